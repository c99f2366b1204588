"""Raw pixels in a file on disk: any region can be read, and nothing of it is held in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from batchimg_worker.errors import DecodeError, OperationFailed
from batchimg_worker.operations import Region, Shape
from batchimg_worker.operations.arrays import Image

Buffer = bytes | memoryview
TYPES: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.float32}
"""The types of values by their size in bytes."""

TURNED_SIDES = 5
"""EXIF orientations from here on swap height and width."""


class Source(Protocol):
    """An image whose regions can be read, by several threads at a time."""

    @property
    def shape(self) -> Shape:
        """Height, width and channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""

    def read(self, region: Region) -> Image:
        """The pixels of a region that lies inside, (height, width) where there is one channel."""


def bytes_of(rows: Image) -> Buffer:
    """The pixels as they lie in a store."""
    flat: Any = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    return memoryview(flat)


class Store:
    """An image in a file of its own, row by row, channels side by side, without a header."""

    def __init__(self, path: Path, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._pixel = shape[2] * dtype.itemsize
        self._row = shape[1] * self._pixel
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def read(self, region: Region) -> Image:
        """The pixels of a region that lies inside, (height, width) where there is one channel."""
        result = np.empty((region.height, region.width, self.shape[2]), self.dtype)
        pixels: Any = result.view(np.uint8).reshape(region.height, -1)
        start = region.top * self._row + region.left * self._pixel
        if region.width == self.shape[1]:
            self._fill(memoryview(pixels.reshape(-1)), start)
        else:
            for number, row in enumerate(pixels):
                self._fill(memoryview(row), start + number * self._row)
        return result[..., 0] if self.shape[2] == 1 else result

    def _fill(self, target: memoryview, place: int) -> None:
        while target:
            count = os.preadv(self._file, [target], place)
            if count == 0:
                raise EOFError(f"{self.path} ends before its last pixels")
            target, place = target[count:], place + count

    def write(self, top: int, rows: Image) -> None:
        """Put whole rows where they belong."""
        self.put(top * self._row, bytes_of(rows))

    def put(self, place: int, data: Buffer) -> int:
        """Put bytes of pixels somewhere in the file; returns how many."""
        rest = memoryview(data)
        total = len(rest)
        while rest:
            count = os.pwrite(self._file, rest, place)
            rest, place = rest[count:], place + count
        return total

    def remove(self) -> None:
        """Close and delete the file."""
        os.close(self._file)
        self.path.unlink(missing_ok=True)


class Window:
    """The last rows of an image, in memory: where each is read once, from top to bottom, no file is needed."""

    def __init__(self, rows: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype, self.rows = shape, dtype, rows
        self._ring = np.empty((rows, *shape[1:]), dtype)

    def put(self, place: int, data: Buffer) -> int:
        """Put bytes at a place, counted from the image's first; returns how many went up to the ring's end."""
        ring: Any = self._ring.reshape(-1).view(np.uint8)
        start = place % len(ring)
        some = data[: len(ring) - start]
        ring[start : start + len(some)] = np.frombuffer(some, np.uint8)
        return len(some)

    def read(self, region: Region) -> Image:
        """The pixels of a region whose rows are all there, (height, width) where there is one channel."""
        first = region.top % self.rows
        upper = self._ring[first : first + region.height, region.left : region.right]
        lower = self._ring[: region.height - len(upper), region.left : region.right]
        result: Image = np.concatenate([upper, lower])
        return result[..., 0] if self.shape[2] == 1 else result

    def remove(self) -> None:
        """Nothing to do."""


class Growing:
    """What one thread fills from top to bottom while others read; who is too early waits.

    ``fill`` gets the place for the next bytes of pixels. What it raises is raised by the reads, too. Only ``extent`` is
    filled and can be read; ``store`` holds its columns alone, of ``width``.
    """

    def __init__(
        self, store: Store | Window, width: int, extent: Region, fill: Callable[[Callable[[Buffer], int]], None]
    ) -> None:
        self._store, self._extent = store, extent
        self.shape: Shape = (store.shape[0], width, store.shape[2])
        self.dtype = store.dtype
        self._row = store.shape[1] * store.shape[2] * store.dtype.itemsize
        self._rows = store.rows if isinstance(store, Window) else store.shape[0]
        self._size, self._low, self._end = extent.top * self._row, extent.top, extent.bottom
        self._changed = threading.Condition()
        self._problem: Exception | None = None
        self._ended = False
        self._filler = threading.Thread(target=self._run, args=(fill,), name="decode", daemon=True)
        self._filler.start()

    def _run(self, fill: Callable[[Callable[[Buffer], int]], None]) -> None:
        try:
            fill(self._append)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._problem = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _append(self, data: Buffer) -> int:
        rest = memoryview(data)
        while rest:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._free() > 0)
                if self._ended:
                    raise RuntimeError("nobody reads any more")
                free = self._free()
            count = self._store.put(self._size, rest[:free])
            rest = rest[count:]
            with self._changed:
                self._size += count
                self._changed.notify_all()
        return len(data)

    def _free(self) -> int:
        """How many bytes may come before rows are given up."""
        return (self._low + self._rows) * self._row - self._size

    def read(self, region: Region) -> Image:
        """The pixels of a region that lies inside, as soon as they are there."""
        if region.height and region.width:
            self._check(region)
            self._wait(region.bottom * self._row)
        return self._store.read(region.moved(0, -self._extent.left))

    def _check(self, region: Region) -> None:
        extent = self._extent
        if region.top < extent.top or region.left < extent.left or region.right > extent.right:
            raise OperationFailed(
                f"{region} is read of an image of which {extent} was said to be needed",
                "See that the operation's Tiling.needs names all that its blocks read.",
            )

    def give_up(self, rows: int) -> None:
        """So many rows at the top are not read any more."""
        with self._changed:
            self._low = max(self._low, rows)
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait for the end. Raises what went wrong."""
        self.give_up(self.shape[0])
        self._wait(None)

    def _wait(self, size: int | None) -> None:
        wanted = self._end * self._row if size is None else size
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (size is not None and self._size >= wanted))
            if self._problem is not None:
                raise self._problem
            if self._size < wanted:
                raise DecodeError("truncated: the file ends before its last pixels", "Copy it again.")

    def remove(self) -> None:
        """End the filling, and delete the file."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._filler.join()
        self._store.remove()


class Upright:
    """An image with its EXIF orientation applied."""

    def __init__(self, source: Source, orientation: int) -> None:
        self._source, self._orientation = source, orientation
        height, width, channels = source.shape
        self.shape: Shape = (width, height, channels) if orientation >= TURNED_SIDES else source.shape
        self.dtype = source.dtype

    def read(self, region: Region) -> Image:
        """The pixels of a region that lies inside."""
        from batchimg_worker.codec import turned

        height, width, _ = self.shape
        top, bottom, left, right = region.top, region.bottom, region.left, region.right
        if self._orientation in (3, 4, 7, 8):
            top, bottom = height - bottom, height - top
        if self._orientation in (2, 3, 6, 7):
            left, right = width - right, width - left
        stored = Region(top, bottom, left, right)
        if self._orientation >= TURNED_SIDES:
            stored = Region(left, right, top, bottom)
        return np.ascontiguousarray(turned(self._source.read(stored), self._orientation))
