"""One file through the worker's own data path, and what has to hold whatever the file is.

It is fetched, decoded, worked on, encoded and put by `Pipeline`, with containers in memory. It has to end in a record
that is whole: done, with pictures of the sizes that it names, or failed, with a type of error that the worker knows, a
message of one line, and no picture left behind.
"""

import io
import os
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from batchimg_worker import errors
from batchimg_worker.codec import DecodeLimits, Header, inspect, opened
from batchimg_worker.contract import ImageEntry, ImageResult, Limits, RunSpec, Source
from batchimg_worker.documents import dump, parse
from batchimg_worker.errors import ImageError
from batchimg_worker.gif import with_every_frame
from batchimg_worker.header import UPRIGHT_SIDES
from batchimg_worker.pipeline import Pipeline, Places
from batchimg_worker.quiet import quiet
from batchimg_worker.recipe import load_recipe, parse_recipe

from residue import highest_bytes

MEMORY_MB, MEGABYTE = 512, 1 << 20
MOST_GROWTH = (MEMORY_MB - 200 + 16) * MEGABYTE
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")  # it touches what was only reserved
"""What one file may add to the process: the setting without its base, and the queues that are part of it."""

MEGAPIXELS = {"default": 4.0, "every frame": 2.0, "tiles": 0.5}
TILE_SIDE = 32
KNOWN = ("DecodeError", "ImageTooLarge", "OperationFailed", "TilingRefused", "EncodeError")
LONGEST_MESSAGE = 600
NAME = "image.bin"

EVERY_FRAME = """
variants:
  small: [{thumbnail: 40}]
  grey: [grayscale, {rotate: {angle: 10, resize: true}}]
  soft: [{blur: {sigma: 1.5}}, invert]
  framed: [{pad: 3}, {crop: {x: 1, y: 1, width: 20, height: 20}}]
outputs:
  - {format: same, name: "{stem}-same{ext}"}
  - {format: png, name: "{stem}-{frame}{ext}"}
  - {format: tiff, name: "{stem}-all{ext}"}
  - {format: webp, name: "{stem}-web{ext}"}
measures: [size, mean_pixel, histogram, sharpness, brightness, entropy, otsu_level, phash, dominant_color, exif]
colors: srgb
frames: all
"""
IN_TILES = """
variants:
  turned: [{rotate: 30}]
  soft: [{blur: {sigma: 1.5}}, {flip: vertical}]
  half: [{resize: {scale: 0.5}}]
outputs:
  - {format: same, name: "{stem}-same{ext}"}
  - {format: tiff, name: "{stem}-all{ext}", pyramid: true}
measures: [size]
"""


def recipe_of(way: str):
    if way == "default":
        return load_recipe("augment")
    return parse_recipe(EVERY_FRAME if way == "every frame" else IN_TILES, way)


def spec_of(way: str) -> RunSpec:
    limits = Limits(
        max_megapixels=MEGAPIXELS[way],
        memory_mb=MEMORY_MB,
        allow_truncated=True if way == "every frame" else None,
        tiles=TILE_SIDE if way == "tiles" else None,
    )
    return RunSpec(
        run="run", plan_hash="0", dataset="fuzz", created=datetime(2026, 1, 1, tzinfo=UTC), client_version="0",
        images=1, bytes=1, chunks=1, rejected=0, source=Source(container="inputs", prefix=""), recipe=recipe_of(way),
        limits=limits,
    )  # fmt: skip


SPECS = {way: spec_of(way) for way in MEGAPIXELS}


class Blobs:
    """A container in memory."""

    def __init__(self, blobs: dict[str, bytes] | None = None) -> None:
        self.blobs = blobs or {}

    def read(self, path: str) -> bytes:
        return self.blobs[path]

    def read_chunks(self, path: str) -> Iterator[bytes]:
        yield self.blobs[path]

    def write(self, path: str, content: bytes | io.BufferedIOBase, *, md5: bytes | None = None) -> None:
        assert md5
        self.blobs[path] = content if isinstance(content, bytes) else content.read()

    def delete(self, path: str) -> bool:
        return self.blobs.pop(path, None) is not None


@dataclass(frozen=True)
class Outcome:
    """What became of a file: done, or the type of its error; ``fault`` is what should not be."""

    word: str
    message: str = ""
    fault: str = ""
    seconds: float = 0.0
    growth: int = 0


def tried(data: bytes, way: str) -> Outcome:
    """Never raises: whatever comes out of the worker that is no record is a fault."""
    before, used = highest_bytes(anew=True), _cpu_seconds()
    outputs = Blobs()
    pipeline = Pipeline(SPECS[way], Places(Blobs({NAME: data}), outputs), threading.Event())
    try:
        records = list(pipeline.run(iter([ImageEntry(path=NAME, size=len(data))])))
    except BaseException as error:  # noqa: BLE001 - this is what is looked for
        return Outcome("raised", str(error)[:LONGEST_MESSAGE], f"{type(error).__name__} came out: {_place(error)}")
    seconds, growth = _cpu_seconds() - used, highest_bytes() - before
    (record,) = records
    faults = [text for check in CHECKS if (text := check(record, outputs.blobs, data))]
    if growth > MOST_GROWTH and not SANITIZED:
        faults.append(f"it took {growth / MEGABYTE:,.0f} MB")
    return Outcome(record.error_type or record.status, record.message or "", "; ".join(faults), seconds, growth)


def _place(error: BaseException) -> str:
    """Where an exception was raised, the last frame of our own code."""
    own, trace = "?", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "batchimg_worker" in file.parts:
            own = f"{file.name}:{trace.tb_lineno} {trace.tb_frame.f_code.co_name}"
        trace = trace.tb_next
    return own


def _is_whole_record(record: ImageResult, _: dict[str, bytes], __: bytes) -> str:
    try:
        again = parse(ImageResult, dump(record), "the record")
    except errors.ContractError as error:
        return f"its record cannot be read again: {error.message[:200]}"
    return "" if again == record or record.measures else "its record is another one when it is read again"


def _is_told(record: ImageResult, blobs: dict[str, bytes], _: bytes) -> str:
    if record.status == "done":
        return ""
    message = record.message or ""
    if record.error_type not in KNOWN:
        return f"{record.error_type} is no kind of error that a file may cause: {message}"
    if not message.strip() or len(message) > LONGEST_MESSAGE or len(message.splitlines()) > 1:
        return f"its message is not one line: {message!r}"
    return f"{len(blobs)} pictures of a failed image are left" if blobs else ""


def _has_its_size(record: ImageResult, blobs: dict[str, bytes], data: bytes) -> str:
    if record.status != "done":
        return ""
    seen = opened(data, DecodeLimits(allow_truncated=True))[1]
    if seen.format == "gif" and any(note.startswith("all of ") for note in record.notes):
        seen = with_every_frame(seen, data)
    if (record.width, record.height) != upright(seen):
        return f"done as {record.width}x{record.height}, its header says {upright(seen)}"
    elsewhere = size_by_pillow(data)
    if elsewhere is not None and seen.format != "gif" and sorted(elsewhere) != sorted(upright(seen)):
        return f"done as {record.width}x{record.height}, Pillow says {elsewhere}"
    return next(filter(None, (_of_output(output, blobs) for output in record.outputs)), "")


def _of_output(output, blobs: dict[str, bytes]) -> str:
    try:
        written = inspect(blobs[f"run/{output.variant}/{output.path}"])
    except (KeyError, ImageError) as error:
        return f"{output.variant}: its picture cannot be read: {error}"
    found = written.width, written.height
    named = output.width, output.height
    return "" if found == named else f"{output.variant}: its picture is {found}, the record says {named}"


def upright(header: Header) -> tuple[int, int]:
    size = header.width, header.height
    return size if header.orientation in UPRIGHT_SIDES else size[::-1]


def size_by_pillow(data: bytes) -> tuple[int, int] | None:
    try:
        with quiet(), Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # noqa: BLE001 - it has no say then
        return None


CHECKS: tuple[Callable[[ImageResult, dict[str, bytes], bytes], str], ...] = (_is_whole_record, _is_told, _has_its_size)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
