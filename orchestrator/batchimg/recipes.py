"""What a user asks for to be done: a recipe, and the files that it needs beside it, read and checked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchimg.errors import InputError
from batchimg_worker.contract import Attachment
from batchimg_worker.operations import OPERATIONS, LoadedOperations, attach, load_operations_file
from batchimg_worker.recipe import DEFAULT_RECIPE, Recipe, builtin_recipes, load_recipe, recipe_from_ops

LARGEST_FILE = 32 << 20


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that goes along with a run, with its content."""

    attachment: Attachment
    content: bytes


@dataclass(frozen=True, slots=True)
class Instructions:
    """A checked recipe, and what it needs: the user's own operations first, then files that steps read."""

    recipe: Recipe
    attachments: tuple[Attached, ...] = ()


def read_instructions(recipe: str | None, ops: Sequence[str], operations: Sequence[Path]) -> Instructions:
    """Load the files of operations, then read the recipe: a built-in one or a file, variants of `--op`, or both.

    Everything is known to this process afterwards, so that a preview can run. Raises RecipeError for a file of
    operations or a recipe that is wrong, InputError for a file of a step that is.
    """
    loaded = load_all(operations)
    base = load_recipe(recipe or DEFAULT_RECIPE) if recipe or not ops else None
    if base is None or ops:
        base = recipe_from_ops(ops, base)
    own = tuple(_attached("operations", one.source, one.content) for one in loaded)
    return Instructions(base, own + _files(base, recipe))


def load_all(operations: Sequence[Path]) -> tuple[LoadedOperations, ...]:
    """Load files of operations; the same content twice counts once. Raises RecipeError."""
    return tuple({one.sha256: one for one in map(load_operations_file, operations)}.values())


def _attached(kind: str, name: str, content: bytes) -> Attached:
    digest = hashlib.sha256(content).hexdigest()
    values = {"kind": kind, "name": name, "size": len(content), "sha256": digest}
    return Attached(Attachment.model_validate(values), content)


def _files(recipe: Recipe, source: str | None) -> tuple[Attached, ...]:
    found: dict[str, Attached] = {}
    for operation, parameter, name in recipe.files:
        if name not in found:
            found[name] = _attached("file", name, _content(operation, name, source))
            attach(name, found[name].content)
        try:
            OPERATIONS.get(operation).files[parameter](found[name].content)
        except ValueError as error:
            raise InputError(f"{operation}: {parameter} {name!r} {error}", "Give another file.") from None
    return tuple(found.values())


def _content(operation: str, name: str, source: str | None) -> bytes:
    """A file beside the recipe, or else in this folder."""
    own = [] if source is None or source in builtin_recipes() else [Path(source).expanduser().parent]
    places = [folder / Path(name).expanduser() for folder in (*own, Path())]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        where = "beside the recipe and in this folder" if own else "in this folder"
        raise InputError(
            f"{operation}: there is no file {name!r}", f"It is looked for {where}; or give its whole path."
        )
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(f"{operation}: {name!r} is over {LARGEST_FILE >> 20} MB", "Give a smaller file.")
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(file)!r}: {error.strerror}", "See to its permissions.") from None
