"""Names of results by template: `{stem}-{variant}{ext}`.

========== ============================================================
{stem}     the original's name without its last suffix: `b` of `a/b.jpg`
{name}     the original's whole name: `b.jpg`
{variant}  the variant's name
{format}   the format that is written: jpeg, png, ...
{ext}      its suffix: `.jpg`, `.png`, ...
{frame}    the number of the frame or page, `0001` for the first; for `frames: all`, each then becomes a file
========== ============================================================

The folder stays that of the original. Without a template results are named by `output_name`, where no two
originals can share a result; with `{stem}` two can, so a dataset's paths are checked before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batchimg_worker.errors import EncodeError, RecipeError
from batchimg_worker.operations.registry import nearest

if TYPE_CHECKING:
    from batchimg_worker.recipe_model import Output, Recipe

FIELDS = ("stem", "name", "variant", "format", "ext", "frame")
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "avif": (".avif", ".avifs"),
    "bmp": (".bmp", ".dib"),
}
OTHER_SUFFIXES = (".gif", ".apng", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".pbm", ".pgm", ".ppm", ".pnm")
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes) | set(OTHER_SUFFIXES)
NAMELESS = ".image"
ANY = ".*"
MAX_TEMPLATE = 120
MAX_BYTES = 255
"""What file systems allow for one name."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_FRAME = re.compile(r"-\d{4,}$")
_NUMBERED = re.compile(r"(?:-\d{4,})+(?=\.[^.]*$)")
_PLAIN = re.compile(r"[A-Za-z0-9 ._+@()=,~-]*")


@dataclass(frozen=True)
class Which:
    """Which result of an original this is: ``frame`` counts from 1, None where there is one file for all.

    ``apart``: without a template, one more suffix is needed, as another original of the run could get the name.
    """

    apart: bool = False
    frame: int | None = None


ONLY = Which()


def check(template: str) -> None:
    """Raise RecipeError for a template that is not safe, or that would lose the original's name or the suffix."""
    fields = _FIELD.findall(template)
    strange = next((field for field in fields if field not in FIELDS), None)
    if strange is not None:
        raise RecipeError(f"the name {template!r} has an unknown field {strange!r}", nearest(strange, FIELDS))
    plain = _FIELD.sub("", template)
    if len(template) > MAX_TEMPLATE or not _PLAIN.fullmatch(plain):
        hint = "Use letters, digits, spaces and . _ + @ ( ) = , ~ -; no slash: the folder stays the original's."
        raise RecipeError(f"the name {template!r} is not safe as the name of a file", hint)
    if not template.endswith("{ext}") or template[0] in ". -~":
        hint = "End it with {ext}, and begin it with a letter, a digit or a field."
        raise RecipeError(f"the name {template!r} is not safe as the name of a file", hint)
    if not {"stem", "name"} & set(fields):
        hint = "Put {stem} or {name} into it: otherwise all originals of a folder become one file."
        raise RecipeError(f"the name {template!r} leaves the original's name out", hint)


def written_format(source_format: str, wanted: str) -> str:
    """The format in which a result is written: ``same`` keeps every one that can be written, all else becomes PNG."""
    if wanted != "same":
        return wanted
    return source_format if source_format in SUFFIXES else "png"


def output_name(path: str, source_format: str, wanted: str, which: Which = ONLY) -> str:
    """The name of a result: the original's, if its suffix already says the format, otherwise with one more suffix.

    No two originals share a result: ``a.png`` written as JPEG is ``a.png.jpg``, and an original of that name beside it,
    which `rivals` finds, becomes ``a.png.jpg.jpg``; ``photo``, which has no image suffix, becomes ``photo.image.jpg``.
    The third frame of ``a.gif`` is ``a.gif-0003.jpg``.
    """
    suffixes = SUFFIXES[written_format(source_format, wanted)]
    last = PurePosixPath(path).suffix.lower()
    if last in suffixes and not which.apart and which.frame is None:
        return path
    nameless = "" if last in IMAGE_SUFFIXES else NAMELESS
    number = "" if which.frame is None else f"-{which.frame:04d}"
    return f"{path}{nameless}{number}{suffixes[0]}"


def rivals(path: str) -> tuple[str, ...]:
    """The originals whose results could get the name ``path``: where one of them is in a run, this one is set apart."""
    last = PurePosixPath(path).suffix
    if last.lower() not in IMAGE_SUFFIXES:
        return ()
    without = path.removesuffix(last)
    names = {without, _FRAME.sub("", without)}
    named = {name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES}
    nameless = {name.removesuffix(NAMELESS) for name in names if name.endswith(NAMELESS)}
    return tuple(sorted(named | nameless))


def result_name(path: str, variant: str, written: str, output: Output, which: Which = ONLY) -> str:
    """The path of one result below its variant's folder; ``written`` is the format that `written_format` gave.

    Raises EncodeError where the name gets longer than file systems allow.
    """
    if output.name is None:
        return output_name(path, written, written, which)
    template = output.name
    if which.frame is not None and "{frame}" not in template:
        template = f"{template.removesuffix('{ext}')}-{{frame}}{{ext}}"
    try:
        return _filled(template, path, variant, (written, SUFFIXES[written][0]), which.frame or 1)
    except RecipeError as error:
        raise EncodeError(error.message, error.hint) from None


def _filled(template: str, path: str, variant: str, written: tuple[str, str], frame: int = 1) -> str:
    """``written`` is a format and its suffix."""
    original = PurePosixPath(path)
    values = {
        "stem": original.stem,
        "name": original.name,
        "variant": variant,
        "format": written[0],
        "ext": written[1],
        "frame": f"{frame:04d}",
    }
    name = _FIELD.sub(lambda match: values[match[1]], template)
    if len(name.encode()) > MAX_BYTES:
        raise RecipeError(f"the name of a result of {path!r} would have over {MAX_BYTES} bytes", "Shorten `name`.")
    return str(original.with_name(name))


def check_paths(recipe: Recipe, paths: Iterable[str]) -> None:
    """Raise RecipeError that names two results that would get one name, before anything runs.

    Names are compared without case, as some file systems do. What `same` will be is not known before a file is read,
    so suffixes do not count where it is used, nor how many frames it has, so that with `frames: all` the number of a
    frame at the end of a name does not count either. Paths are read once, and only where a template is given.
    """
    templates = [(variant.name, _templates(recipe.outputs_of(variant.name))) for variant in recipe.variants]
    templates = [(variant, found) for variant, found in templates if found]
    if not templates:
        return
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    for path in paths:
        for variant, found in templates:
            for number, (template, written) in enumerate(found):
                name = _filled(template, path, variant, written)
                key = _NUMBERED.sub("", name.lower()) if recipe.frames else name.lower()
                other = seen.setdefault((variant, key), (path, number))
                if other != (path, number):
                    raise _same_name(variant, (other[0], path), name)


def _same_name(variant: str, paths: tuple[str, str], name: str) -> RecipeError:
    if paths[0] == paths[1]:
        hint = "Give the outputs of a variant different names."
        return RecipeError(f"variant {variant}: two outputs of {paths[0]!r} would both become {name!r}", hint)
    hint = "Use {name} instead of {stem} in the recipe's `name`, or rename one of them."
    return RecipeError(f"variant {variant}: {paths[0]!r} and {paths[1]!r} would both become {name!r}", hint)


def _templates(outputs: tuple[Output, ...]) -> list[tuple[str, tuple[str, str]]]:
    """Template, format and suffix of each output; the suffix is any where one of them is `same`."""
    same = any(output.format == "same" for output in outputs)
    return [
        (output.name, (output.format, ANY if same else SUFFIXES[output.format][0]))
        for output in outputs
        if output.name is not None
    ]
