"""Large originals in blob storage of which only a part is fetched, through the whole data path of a task."""

import base64
import hashlib
import io
import re
import threading
from collections import namedtuple
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import imagecodecs
import numpy as np
import pytest
import tifffile

from batchimg_worker import parts, pipeline, ranged
from batchimg_worker.bands import BandStore
from batchimg_worker.codec import DecodeLimits
from batchimg_worker.contract import Band, ImageEntry, Limits, RunSpec, Source
from batchimg_worker.errors import OperationFailed
from batchimg_worker.operations import Region
from batchimg_worker.parts import Parts, coalesced
from batchimg_worker.pipeline import Pipeline, Places
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.storage import BlobStore
from batchimg_worker.tiles import fetching
from batchimg_worker.tiles.joining import Joined
from batchimg_worker.tiles.process import Room, process_any
from batchimg_worker.tiles.store import Growing, Store, bytes_of

HEIGHT, WIDTH = 903, 400
SIDE = 128
TILE = 64
OWN_BYTES = 12_000
"""What directories, their tables and what is read with them take at most."""


class Blobs:
    """The blob service as far as a task needs it, over HTTP; it counts what is read of originals, and can break off."""

    def __init__(self):
        self.content, self.served, self.cuts, self.on_read = {}, [], 0, None
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Requests", (_Requests,), {"blobs": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/account"

    @property
    def bytes_read(self):
        return sum(map(len, self.served))

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def digest(content):
    return hashlib.md5(content, usedforsecurity=False)


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs = None

    def log_message(self, *_):
        """Say nothing."""

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.blobs.content[self.path] = (body, None)
        self._answer(201)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path not in self.blobs.content:
            self._answer(404, {"x-ms-error-code": "BlobNotFound"})
            return
        content, md5 = self.blobs.content[self.path]
        tag = f'"{digest(content).hexdigest()}"'
        if self.headers.get("If-Match", tag) != tag:
            self._answer(412, {"x-ms-error-code": "ConditionNotMet"})
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("x-ms-range", f"bytes=0-{len(content) - 1}"))
        wanted = range(int(found[1]), min(int(found[2]) + 1, len(content)))
        about = {"ETag": tag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "x-ms-blob-type": "BlockBlob"}
        about |= {"Content-MD5": md5} if md5 and self.command == "HEAD" else {}
        if self.headers.get("x-ms-range"):
            about["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{len(content)}"
        if self.command == "GET" and "/inputs/" in self.path:
            with self.blobs.lock:
                self.blobs.served.append(wanted)
                if self.blobs.on_read:
                    self.blobs.on_read(len(self.blobs.served))
        self._answer(206 if "Content-Range" in about else 200, about, content[wanted.start : wanted.stop])

    def _answer(self, status, headers=None, body=b""):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self._cuts(body):
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _cuts(self, body):
        with self.blobs.lock:
            cut = self.blobs.cuts > 0 and len(body) == ranged.PIECE_BYTES
            self.blobs.cuts -= cut
        return cut


@pytest.fixture
def blobs():
    with closing(Blobs()) as server:
        yield server


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    """Pictures of some 100 KB are fetched as those of gigabytes are."""
    monkeypatch.setattr(pipeline, "LARGE_BYTES", 0)
    monkeypatch.setattr(parts, "GAP_BYTES", 512)
    monkeypatch.setattr(ranged, "PIECE_BYTES", 60_000)
    monkeypatch.setattr(ranged, "HEADER_BYTES", 1024)


def picture(channels=3, dtype=np.uint8):
    """Noise that does not compress, so that bytes go by pixels."""
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype)


def tiff(array=None, **options):
    array = picture() if array is None else array
    target = io.BytesIO()
    tifffile.imwrite(target, array, **({"photometric": "rgb" if array.ndim > 2 else "minisblack"} | options))
    return target.getvalue()


def planes():
    return picture().transpose(2, 0, 1).copy()


def with_pyramid(**options):
    """As slides are: smaller versions as SubIFDs, written behind the page."""
    target = io.BytesIO()
    with tifffile.TiffWriter(target, **options) as file:
        file.write(picture(), photometric="rgb", tile=(TILE, TILE), subifds=2)
        for scale in (2, 4):
            file.write(picture()[::scale, ::scale], photometric="rgb", tile=(TILE, TILE), subfiletype=1)
    return target.getvalue()


ORIGINALS = {
    "strips": lambda: tiff(rowsperstrip=50),
    "one strip": lambda: tiff(),
    "strips, deflate": lambda: tiff(rowsperstrip=50, compression="zlib"),
    "strips, lzw, 16 bits": lambda: tiff(picture(1, np.uint16), rowsperstrip=50, compression="lzw"),
    "tiles": lambda: tiff(tile=(TILE, TILE)),
    "tiles, deflate, predictor": lambda: tiff(tile=(TILE, TILE), compression="zlib", predictor=True),
    "tiles, jpeg": lambda: tiff(tile=(TILE, TILE), compression="jpeg"),
    "big, big-endian": lambda: tiff(tile=(TILE, TILE), bigtiff=True, byteorder=">"),
    "planes in strips, lzw": lambda: tiff(planes(), rowsperstrip=50, planarconfig="separate", compression="lzw"),
    "planes in strips": lambda: tiff(planes(), rowsperstrip=50, planarconfig="separate"),
    "planes in tiles": lambda: tiff(planes(), tile=(TILE, TILE), planarconfig="separate", compression="zlib"),
    "ome": lambda: tiff(tile=(TILE, TILE), ome=True),
    "pyramid": with_pyramid,
    "palette": lambda: tiff(picture(1), photometric="palette", colormap=np.zeros((3, 256), np.uint16), rowsperstrip=50),
}


class Tasks:
    """Tasks on one original, as a run has them."""

    def __init__(self, blobs, data, recipe, tiles=SIDE):
        self.blobs, self.data, self.recipe = blobs, data, recipe
        self.store = BlobStore(blobs.endpoint, "a2V5")
        self.containers = [self.store.container(name) for name in ("inputs", "outputs", "runs")]
        self.put(data)
        about = {"plan_hash": "0", "dataset": "x", "client_version": "0", "images": 1, "bytes": 1, "chunks": 1}
        self._spec = RunSpec(
            run="run", created=datetime.now(UTC), source=Source(container="inputs", prefix=""), rejected=0,
            recipe=recipe, limits=Limits(tiles=tiles), **about,
        )  # fmt: skip

    def put(self, data, md5=None):
        self.blobs.content["/account/inputs/a.tif"] = (data, md5)

    def done(self, **entry):
        """The record of one task, and how many bytes of the original it read."""
        inputs, outputs, runs = self.containers
        band = entry.get("band")
        places = Places(inputs, outputs, BandStore(runs, "run", band.number if band else 0))
        before = self.blobs.bytes_read
        entries = iter([ImageEntry(**({"path": "a.tif", "size": len(self.data)} | entry))])
        (record,) = Pipeline(self._spec, places, threading.Event()).run(entries)
        return record, self.blobs.bytes_read - before

    def bands(self, number):
        return [self.done(band=Band(number=one, of=number)) for one in range(number)]

    def joined(self, records, folder):
        fetch = BandStore(self.containers[2], "run", 0).fetch
        return files_of(Joined(records, self.recipe, lambda output: fetch(output, folder), folder))

    def whole(self, folder):
        """What one task makes of the whole file."""
        return files_of(process_any(self.data, self.recipe, Room(DecodeLimits(), SIDE, folder)))


def files_of(work):
    return {output.variant: output.encoded.data.read_bytes() for output in work.outputs}


@pytest.fixture
def tasks(blobs):
    made = []

    def make(data, ops, **options):
        recipe = parse_recipe(ops, "r") if isinstance(ops, str) else recipe_from_ops(ops)
        made.append(Tasks(blobs, data, recipe, **options))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.mark.parametrize("kind", ORIGINALS)
def test_bands_fetch_their_own_rows_and_joined_are_the_file_of_one_task(kind, tasks, tmp_path):
    data = ORIGINALS[kind]()
    task = tasks(data, ["sharpen=amount:1,radius:2"])
    done = task.bands(3)
    assert [(record.status, record.message) for record, _ in done] == [("done", None)] * 3
    assert task.joined([record for record, _ in done], tmp_path) == task.whole(tmp_path)
    pixels = sum(_page_ranges(data))
    halo = 2 * (2 * TILE / HEIGHT) * pixels  # a row of tiles at most on either side
    assert [size < 0.55 * len(data) for _, size in done] == [True] * 3
    assert sum(size for _, size in done) < pixels + 2 * halo + 3 * OWN_BYTES


def _page_ranges(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages.first.databytecounts


def test_a_crop_fetches_the_tiles_it_touches_and_no_others(tasks, blobs, tmp_path):
    data = tiff(tile=(TILE, TILE))
    task = tasks(data, ["crop=x:70,y:130,width:100,height:100"])
    record, size = task.done()
    assert record.status == "done"
    assert task.containers[1].read(f"run/{record.outputs[0].variant}/a.tif") == task.whole(tmp_path).popitem()[1]
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        across = -(-WIDTH // TILE)
        touched = [row * across + column for row in (2, 3) for column in (1, 2)]
        wanted = coalesced(range(page.dataoffsets[k], page.dataoffsets[k] + page.databytecounts[k]) for k in touched)
    pieces = [piece for one in wanted for piece in ranged.pieces_of(one)]
    assert len(pieces) == 2
    assert sorted((one for one in blobs.served if one.start >= pieces[0].start), key=min) == pieces
    assert size < 4 * TILE * TILE * 3 + OWN_BYTES


@pytest.mark.parametrize(
    ("ops", "most"),
    [
        (["crop=x:0,y:300,width:400,height:90"], 0.2),
        (["crop=x:0,y:300,width:400,height:90 | normalize"], 0.2),
        (["crop=x:0,y:300,width:400,height:90 | rotate=90"], 0.2),
        (["crop=x:0,y:300,width:90,height:90 | resize=200% | blur=sigma:3 | pad=40"], 0.3),
        (["crop=x:0,y:0,width:90,height:90", "crop=x:0,y:200,width:90,height:90"], 0.45),
        ("variants: {small: [{crop: {x: 9, y: 300, width: 50, height: 50}}]}\nmeasures: [size]", 0.2),
    ],
)
def test_what_begins_with_a_crop_fetches_a_part(ops, most, tasks, tmp_path):
    task = tasks(tiff(rowsperstrip=20, compression="zlib"), ops)
    record, size = task.done()
    assert (record.status, record.message) == ("done", None)
    found = {one.variant: task.containers[1].read(f"run/{one.variant}/{one.path}") for one in record.outputs}
    assert found == task.whole(tmp_path)
    assert size < most * len(task.data)


@pytest.mark.parametrize(
    ("data", "ops", "options"),
    [
        (tiff(rowsperstrip=50), ["invert"], {}),
        (tiff(rowsperstrip=50), ["normalize"], {"band": Band(number=1, of=3)}),
        (tiff(rowsperstrip=50), ["rotate=30"], {"band": Band(number=1, of=3)}),
        (tiff(rowsperstrip=50, extratags=[(274, "H", 1, 6, True)]), ["invert"], {"band": Band(number=1, of=3)}),
    ],
)
def test_what_needs_everything_fetches_the_whole_file_and_looks_at_its_checksum(data, ops, options, tasks):
    task = tasks(data, ops)
    record, size = task.done(**options, md5=digest(data).hexdigest())
    assert (record.status, size >= len(data)) == ("done", True)
    record, _ = task.done(**options, md5="0" * 32)
    assert (record.status, record.error_type) == ("failed", "InputError")


def test_a_whole_file_that_changes_while_it_is_fetched_fails(tasks, blobs, monkeypatch):
    monkeypatch.setattr(ranged, "PIECE_BYTES", 15_000)
    task = tasks(tiff(rowsperstrip=50), ["invert"])
    blobs.on_read = lambda reads: task.put(tiff(255 - picture())) if reads == 5 else None
    record, _ = task.done()
    assert (record.error_type, record.message) == ("InputError", "the original has changed since it was submitted")


def test_a_png_is_fetched_as_a_whole(tasks):
    data = bytes(imagecodecs.png_encode(picture()))
    record, size = tasks(data, ["invert"]).done(band=Band(number=1, of=3))
    assert (record.status, size >= len(data)) == ("done", True)


BAND = {"band": Band(number=1, of=3)}


def test_an_original_with_another_checksum_or_tag_or_size_is_not_fetched(tasks):
    data = tiff(rowsperstrip=50)
    task = tasks(data, ["invert"])
    md5 = digest(data)
    task.put(data, base64.b64encode(md5.digest()).decode())
    for entry in ({"md5": "0" * 32}, {"etag": "0x1"}, {"size": 7 + len(data)}):
        record, size = task.done(**BAND, **entry)
        assert (record.error_type, record.message, size) == (
            "InputError", "the original has changed since it was submitted", 0
        )  # fmt: skip
    record, size = task.done(**BAND, md5=md5.hexdigest(), etag=None)
    assert (record.status, size < 0.5 * len(data)) == ("done", True)
    assert task.done(**BAND, etag=md5.hexdigest())[0].status == "done"


@pytest.mark.parametrize("when", [1, 5])
def test_an_original_that_changes_while_it_is_fetched_fails(when, tasks, blobs, monkeypatch):
    monkeypatch.setattr(ranged, "PIECE_BYTES", 15_000)
    task = tasks(tiff(rowsperstrip=50), ["invert"])
    other = tiff(255 - picture(), rowsperstrip=50)
    blobs.on_read = lambda reads: task.put(other) if reads == when else None
    record, _ = task.done(**BAND)
    assert (record.error_type, record.message) == ("InputError", "the original has changed since it was submitted")
    assert len(blobs.served) >= when


def test_a_connection_that_ends_in_the_middle_of_a_range_is_asked_again(tasks, blobs, tmp_path):
    task = tasks(tiff(rowsperstrip=50), ["invert"])
    blobs.cuts = 1
    done = task.bands(3)
    assert blobs.cuts == 0
    assert len(blobs.served) > len(set(blobs.served))
    assert task.joined([record for record, _ in done], tmp_path) == task.whole(tmp_path)


def test_a_file_whose_directories_lie_all_over_it_is_fetched_as_a_whole(tasks, monkeypatch):
    monkeypatch.setattr(fetching, "HEADER_BYTES", 3000)
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        for _ in range(40):
            file.write(picture(1)[:90], rowsperstrip=10)
    record, size = tasks(target.getvalue(), ["crop=x:0,y:0,width:9,height:9"]).done()
    assert (record.status, record.notes[1]) == ("done", "first of 40 pages")
    assert size > target.tell()


def test_a_directory_that_is_damaged_is_told_as_ever(tasks):
    data = bytearray(tiff(rowsperstrip=50))
    data[data.index(b"\x11\x01") + 4] = 1  # StripOffsets, tag 273, is a list of one
    record, _ = tasks(bytes(data), ["invert"]).done(**BAND)
    assert record.error_type == "DecodeError"


def test_a_disk_without_room_for_a_part_is_told(tasks, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(9, 9, 50_000))
    record, _ = tasks(tiff(rowsperstrip=50), ["invert"]).done(**BAND)
    assert record.error_type == "ImageTooLarge"
    assert record.message.startswith("what is needed of the original of 0 MB does not fit into")


def test_a_step_that_reads_more_than_it_says_fails_and_gets_no_zeros(tmp_path):
    rows = np.arange(20 * 8, dtype=np.uint8).reshape(20, 8, 1)
    extent = Region(5, 15, 2, 6)
    store = Store(tmp_path / "raw", (20, extent.width, 1), np.dtype(np.uint8))
    growing = Growing(store, 8, extent, lambda append: append(bytes_of(rows[5:15, 2:6])) and None)
    assert growing.shape == (20, 8, 1)
    assert np.array_equal(growing.read(Region(6, 9, 3, 5)), rows[6:9, 3:5, 0])
    assert growing.read(Region(0, 1, 0, 0)).size == 0
    for outside in (Region(4, 9, 3, 5), Region(6, 9, 1, 5), Region(6, 9, 3, 7)):
        with pytest.raises(OperationFailed, match="was said to be needed"):
            growing.read(outside)
    growing.finish()
    growing.remove()


def content(size):
    return np.random.default_rng(2).integers(0, 256, size, np.uint8).tobytes()


def test_what_has_not_come_is_fetched_when_it_is_read_and_nothing_twice(tmp_path):
    data, asked = content(200_000), []

    def ask(start, count):
        asked.append(range(start, start + count))
        return data[start : start + count]

    some = Parts(ask, len(data), tmp_path)
    some.fetch([range(100, 200), range(150_000, 155_000), range(40_000, 150_000)])
    assert some.read(150, 20_000) == data[150:20_150]
    assert some.read(199_990, 100) == data[199_990:]
    with some.open() as file:
        assert file.read() == data
    assert sum(map(len, asked)) == len(data) == some.fetched
    assert max(map(len, asked)) == ranged.PIECE_BYTES
    some.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(5))
def test_any_reads_in_any_order_give_the_file_and_ask_for_nothing_twice(seed, tmp_path):
    random, data, asked = np.random.default_rng(seed), content(50_000), []

    def ask(start, count):
        asked.append((start, count))
        return data[start : start + count]

    some = Parts(ask, len(data), tmp_path)
    for start, count in random.integers(0, 50_000, (40, 2)) // np.array([1, 40]):
        assert some.read(int(start), int(count)) == data[start : start + count]
    marks = np.zeros(len(data), int)
    for start, count in asked:
        marks[start : start + count] += 1
    assert marks.max() == 1
    some.unlink()


def test_ranges_that_touch_or_are_near_become_one():
    given = [range(50, 60), range(10), range(10, 20), range(25, 30), range(5, 7), range(9, 9)]
    assert coalesced(given) == [range(20), range(25, 30), range(50, 60)]
    assert coalesced(given, gap=5) == [range(30), range(50, 60)]
