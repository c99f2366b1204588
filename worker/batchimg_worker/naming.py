"""Names of results by template: `{stem}-{variant}{ext}`.

========== ============================================================
{stem}     the original's name without its last suffix: `b` of `a/b.jpg`
{name}     the original's whole name: `b.jpg`
{variant}  the variant's name
{format}   the format that is written: jpeg, png, ...
{ext}      its suffix: `.jpg`, `.png`, ...
========== ============================================================

The folder stays that of the original. Without a template results are named by `output_name`, where no two
originals can share a result; with `{stem}` two can, so a dataset's paths are checked before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batchimg_worker.errors import EncodeError, RecipeError
from batchimg_worker.operations.registry import nearest

if TYPE_CHECKING:
    from batchimg_worker.recipe_model import Output, Recipe

FIELDS = ("stem", "name", "variant", "format", "ext")
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "avif": (".avif", ".avifs"),
    "bmp": (".bmp", ".dib"),
}
OTHER_SUFFIXES = (".gif", ".apng", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".pgm", ".ppm", ".pnm")
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes) | set(OTHER_SUFFIXES)
NAMELESS = ".image"
ANY = ".*"
MAX_TEMPLATE = 120
MAX_BYTES = 255
"""What file systems allow for one name."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9 ._+@()=,~-]*")


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


def output_name(path: str, source_format: str, wanted: str) -> str:
    """The name of a result: the original's, if its suffix already says the format, otherwise with one more suffix.

    No two originals share a result: ``a.png`` written as JPEG is ``a.png.jpg``, an original of that name becomes
    ``a.png.jpg.jpg``, and ``photo``, which has no image suffix, becomes ``photo.image.jpg`` beside ``photo.jpg``.
    """
    suffixes = SUFFIXES[written_format(source_format, wanted)]
    last, before = _last_suffixes(path)
    if last in suffixes and before not in IMAGE_SUFFIXES | {NAMELESS}:
        return path
    return f"{path}{suffixes[0]}" if last in IMAGE_SUFFIXES else f"{path}{NAMELESS}{suffixes[0]}"


def _last_suffixes(path: str) -> tuple[str, str]:
    """The last suffix in lower case and the one before, empty where there is none."""
    suffixes = ["", "", *PurePosixPath(path).suffixes]
    return suffixes[-1].lower(), suffixes[-2].lower()


def result_name(path: str, variant: str, written: str, output: Output) -> str:
    """The path of one result below its variant's folder; ``written`` is the format that `written_format` gave.

    Raises EncodeError where the name gets longer than file systems allow.
    """
    if output.name is None:
        return output_name(path, written, written)
    try:
        return _filled(output.name, path, variant, (written, SUFFIXES[written][0]))
    except RecipeError as error:
        raise EncodeError(error.message, error.hint) from None


def _filled(template: str, path: str, variant: str, written: tuple[str, str]) -> str:
    """``written`` is a format and its suffix."""
    original = PurePosixPath(path)
    values = {
        "stem": original.stem,
        "name": original.name,
        "variant": variant,
        "format": written[0],
        "ext": written[1],
    }
    name = _FIELD.sub(lambda match: values[match[1]], template)
    if len(name.encode()) > MAX_BYTES:
        raise RecipeError(f"the name of a result of {path!r} would have over {MAX_BYTES} bytes", "Shorten `name`.")
    return str(original.with_name(name))


def check_paths(recipe: Recipe, paths: Iterable[str]) -> None:
    """Raise RecipeError that names two results that would get one name, before anything runs.

    Names are compared without case, as some file systems do. What `same` will be is not known before a file is read,
    so suffixes do not count where it is used. Paths are read once, and only where a template is given.
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
                other = seen.setdefault((variant, name.lower()), (path, number))
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
