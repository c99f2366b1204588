"""Operations that others wrote: installed packages by entry point, and a user's own file.

A package names a module under the entry-point group ``batchimg.operations``; importing the module registers its
operations with the decorators `operation` and `measure`. A file of operations does the same when it is loaded:

    from batchimg_worker.operations import operation


    @operation(primary="by")
    def darken(image, *, by: float = 0.5):
        '''Make the image darker.

        Parameters
        ----------
        by : 0 to 1
            How much.
        '''
        return (image * (1 - by)).astype(image.dtype)

An operation takes an image as `batchimg_worker.operations.arrays` describes it, must not change it, and must return
the same for the same input. `--operations my_ops.py` loads the file for a submit, a preview or `batchimg ops`; a submit
brings it along to the nodes, so it may import what is installed there and no other file of yours.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations.registry import MEASURES, OPERATIONS, Operation

GROUP = "batchimg.operations"
MODULE = "batchimg_operations_file_"
HINT = "docs/own-operations.md shows how to write one."


@dataclass(frozen=True)
class LoadedOperations:
    """What a file or a package registered; ``sha256`` is that of the file's content, both are empty for a package."""

    source: str
    sha256: str
    content: bytes = field(repr=False)
    operations: tuple[str, ...]
    measures: tuple[str, ...]


_files: dict[str, LoadedOperations] = {}
_packages: dict[str, LoadedOperations] = {}


def load_operations_file(path: str | Path) -> LoadedOperations:
    """Run a Python file and register the operations and measures in it, all or none.

    Loading the same content again, from whatever path, changes nothing. Raises RecipeError that names the file, the
    line where there is one, and what is wrong: it cannot be read, is not Python, fails, registers nothing, takes a
    name that there is already, or has an operation without help or of the wrong shape.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecipeError(f"cannot read the operations file {file}: {reason}", "Give the path of a .py file.") from None
    return load_operations(content, str(path))


def load_operations(content: bytes, source: str) -> LoadedOperations:
    """The same for a file whose content is at hand; ``source`` names it in errors."""
    digest = hashlib.sha256(content).hexdigest()
    if digest not in _files:
        try:
            names = _registered_by(source, lambda: _run(source, content, digest))
            _files[digest] = LoadedOperations(source, digest, content, *names)
        except RecipeError:
            sys.modules.pop(MODULE + digest[:16], None)
            raise
    return _files[digest]


@cache
def load_entry_points() -> tuple[LoadedOperations, ...]:
    """Import every installed package of the group, once. Raises RecipeError that names the broken one."""
    from importlib.metadata import entry_points  # takes a twentieth of a second

    for entry in entry_points(group=GROUP):
        source = f"{entry.name} ({entry.value})"
        if source not in _packages:
            _packages[source] = LoadedOperations(source, "", b"", *_registered_by(source, entry.load))
    return tuple(_packages.values())


def _registered_by(source: str, run: Callable[[], object]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the operations and of the measures that were added."""
    before = {registry: set(registry.names()) for registry in (OPERATIONS, MEASURES)}
    try:
        _guarded(source, run)
        added = {r: tuple(name for name in r.names() if name not in before[r]) for r in before}
        _check(source, [registry.get(name) for registry, names in added.items() for name in names])
    except RecipeError:
        for registry, names_before in before.items():
            for name in set(registry.names()) - names_before:
                registry.remove(name)
        raise
    return added[OPERATIONS], added[MEASURES]


def _guarded(source: str, run: Callable[[], object]) -> None:
    """Turn whatever foreign code raises into one line."""
    try:
        run()
    except SyntaxError as error:
        raise RecipeError(f"{source}, line {error.lineno}: not Python: {error.msg}", HINT) from None
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [""])[0]
        text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise RecipeError(f"{source}{_line(error, source)}: {text}", HINT) from error


def _line(error: BaseException, source: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
    return f", line {lines[-1]}" if lines else ""


def _run(source: str, content: bytes, digest: str) -> None:
    """As a module of its own: annotations of operations are looked up in it later."""
    name = MODULE + digest[:16]
    module = ModuleType(name)
    module.__file__ = source
    code = compile(content, source, "exec", dont_inherit=True)
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - the user's own code, which is what was asked for


def _check(source: str, entries: list[Operation]) -> None:
    """What a recipe needs of an operation: one image, keyword-only parameters with types, help."""
    if not entries:
        raise RecipeError(f"{source} registers no operation", f"Decorate a function with @operation(). {HINT}")
    for entry in entries:
        fault = _fault(entry)
        if fault:
            raise RecipeError(f"{source}: {entry.name} {fault}", HINT)


def _fault(entry: Operation) -> str:
    if not entry.help:
        return "has no docstring; its first line is its help"
    if entry.positional() != 1:
        return "must take exactly one argument, the image, and all others keyword-only (after a *)"
    untyped = [one.name for one in entry.parameters if one.name not in entry.reference.__annotations__]
    if untyped:
        return f"has no type for its parameter {untyped[0]!r}"
    try:
        entry.schema()
    except Exception as error:  # noqa: BLE001 - pydantic and typing raise what they like for a strange annotation
        return f"has parameters that cannot be checked: {str(error).splitlines()[0]}"
    return ""


OPERATIONS.look_also(load_entry_points)
MEASURES.look_also(load_entry_points)
