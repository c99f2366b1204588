"""Preview: a recipe on one image, in this process, exactly as a node would do it."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batchimg.errors import InputError, MachineError
from batchimg.settings import Settings
from batchimg_worker.contract import Measure
from batchimg_worker.errors import ImageError
from batchimg_worker.recipe import Recipe

if TYPE_CHECKING:
    from batchimg_worker.apply import EncodedVariant, Work
    from batchimg_worker.tiles.process import Room


@dataclass(frozen=True, slots=True)
class PreviewPicture:
    """One picture that was written; sizes in pixels and bytes."""

    variant: str
    file: Path
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a recipe made of one image."""

    image: Path
    width: int
    height: int
    pictures: tuple[PreviewPicture, ...]
    measures: dict[str, Measure]
    notes: tuple[str, ...]
    seconds: float


def preview(image: Path, recipe: Recipe, settings: Settings, to: Path | None = None) -> Preview:
    """Run a recipe on an image file and write its pictures to ``to`` (default: ``preview-STEM`` in this folder).

    Raises InputError where the file cannot be read, ImageError where it is no image that can be done.
    """
    from batchimg_worker.memory import image_limits
    from batchimg_worker.tiles.process import Room

    folder = to or Path(f"preview-{image.stem}")
    began = time.perf_counter()
    with TemporaryDirectory(prefix="batchimg-") as scratch:
        room = Room(image_limits(settings.limits), settings.tiles, Path(scratch))
        try:
            return _made(image, _opened(image, recipe, room), folder, began)
        except ImageError as error:
            raise type(error)(f"{image}: {error.message}", error.hint) from error


def _opened(image: Path, recipe: Recipe, room: "Room") -> "Work":
    from batchimg_worker.tiles.process import process_file

    try:
        return process_file(image, recipe, room)
    except OSError as error:
        reason = f"cannot read {str(image)!r}: {error.strerror}"
        raise InputError(reason, "Give the path of an image file.") from None


def _made(image: Path, processed: "Work", folder: Path, began: float) -> Preview:
    """Write the pictures."""
    from batchimg_worker.naming import Which, result_name

    notes: tuple[str, ...] = ()
    pictures = []
    for variant in processed.outputs:
        notes += tuple(note for note in variant.encoded.notes if note not in notes)
        which = Which(frame=variant.frame)
        name = result_name(image.name, variant.variant, variant.encoded.format, variant.output, which)
        pictures.append(_write(variant, folder / variant.variant / name))
    return Preview(
        image=image,
        width=processed.width,
        height=processed.height,
        pictures=tuple(pictures),
        measures={name: dict(numbers) for name, numbers in processed.measures.items()},
        notes=(*processed.notes, *(note for note in notes if note not in processed.notes)),
        seconds=time.perf_counter() - began,
    )


def _write(variant: "EncodedVariant", file: Path) -> PreviewPicture:
    content = variant.encoded.data
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.move(content, file)
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            with file.open("wb") as target:
                target.writelines(content)
    except OSError as error:
        raise MachineError(f"cannot write {str(file)!r}: {error.strerror}", "Give another folder with --to.") from None
    return PreviewPicture(variant.variant, file, variant.width, variant.height, variant.encoded.size)
