"""What the fuzzer found (`make fuzz`): one small file for each, made here, with what it has to become."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from batchimg_worker import directories, mending
from batchimg_worker.apply import process
from batchimg_worker.codec import DecodeLimits, decode, inspect
from batchimg_worker.contract import ImageEntry, ImageResult, Limits, RunSpec, Source
from batchimg_worker.documents import dump, parse
from batchimg_worker.errors import ContractError, ContractVersionError, DecodeError, ImageTooLarge
from batchimg_worker.hand import Hand
from batchimg_worker.pipeline import WRITE_BEHIND, Pipeline, Places
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.process import Room, process_any

from residue import allocated_bytes, highest_bytes
from seeds import png_chunk

EVERY_FRAME = parse_recipe("{variants: {turned: [{flip: vertical}]}, outputs: [{format: tiff}], frames: all}", "test")
ONE = recipe_from_ops(["flip=vertical"])
ALLOWED = DecodeLimits(allow_truncated=True)
WIDTH, LENGTH, STRIP_OFFSETS, ROWS, STRIP_BYTES = 256, 257, 273, 278, 279
LITTLE = 100 << 20


def tiff(array=None, pages=1, **options):
    array = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48) if array is None else array
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        for _ in range(pages):
            file.write(array, metadata=None, software=False, **options)
    return target.getvalue()


def changed(data, tag, value, page=0):
    """A TIFF with another value in a field, in its own type; None to find what type that is."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        field = file.pages[page].aspage().tags[tag]
        kind = "<" + str(field.dataformat)[-1]
    found = bytearray(data)
    struct.pack_into(kind, found, field.valueoffset, value)
    return bytes(found)


def last_directory(data):
    """Where the last directory of a TIFF lies, and where it names the next one."""
    place = struct.unpack_from("<I", data, 4)[0]
    while True:
        end = place + 2 + 12 * struct.unpack_from("<H", data, place)[0]
        following = struct.unpack_from("<I", data, end)[0]
        if following == 0:
            return place, end
        place = following


def tiled(data, recipe, folder):
    return process_any(data, recipe, Room(DecodeLimits(), 16, folder))


# TIFF


def test_a_page_without_width_is_damaged():
    with pytest.raises(DecodeError, match="page 2: damaged: its size is 0x64"):
        list(process(changed(tiff(pages=2), WIDTH, 0, page=1), EVERY_FRAME).outputs)


def test_a_tiff_without_width_is_damaged_in_tiles_too(tmp_path):
    with pytest.raises(DecodeError, match="damaged: its size is 0x64"):
        tiled(changed(tiff(), WIDTH, 0), ONE, tmp_path)


@pytest.mark.parametrize("to_itself", [True, False])
def test_pages_that_follow_one_another_in_a_circle_are_damaged_and_the_first_is_not(to_itself):
    data = bytearray(tiff(pages=3))
    first, (last, following) = struct.unpack_from("<I", data, 4)[0], last_directory(data)
    struct.pack_into("<I", data, following, last if to_itself else first)
    assert "first of 3 pages" in process(bytes(data), ONE).notes
    with pytest.raises(DecodeError, match="damaged: page 3 is followed by one that was there before"):
        process(bytes(data), EVERY_FRAME)


def test_a_directory_that_names_the_same_bytes_again_and_again_is_refused_before_it_is_read():
    fields, values = 4000, 16_000
    directory = b"".join(struct.pack("<HHII", 700 + number % 60_000, 3, values // 2, 8) for number in range(fields))
    place = 8 + values
    data = b"II*\0" + struct.pack("<I", place) + bytes(values) + struct.pack("<H", fields) + directory + bytes(4)
    with pytest.raises(DecodeError, match="names more than the file holds"):
        inspect(data)


def test_directories_that_are_whole_are_no_reason_to_complain():
    for options in ({}, {"bigtiff": True}, {"byteorder": ">"}):
        target = io.BytesIO()
        with tifffile.TiffWriter(target, **options) as file:
            for _ in range(3):
                file.write(np.zeros((300, 20), np.uint8), rowsperstrip=1, description="x" * 200)
        directories.check_every(target)


@pytest.mark.parametrize(("tag", "value"), [(ROWS, 0), (LENGTH, 0)])
def test_a_truncated_tiff_whose_strips_have_no_size_is_refused(tag, value):
    cut = changed(tiff(rowsperstrip=16), tag, value)[:-100]
    with pytest.raises(DecodeError):
        process(cut, ONE, ALLOWED)


def test_a_truncated_strip_that_its_16_bit_field_cannot_describe_is_not_mended():
    array = np.full((400, 400), 7, np.uint8)
    data = bytearray(tiff(array, rowsperstrip=200))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        counts, offsets = tags[STRIP_BYTES], tags[STRIP_OFFSETS]
        places = file.pages.first.dataoffsets
    for field, values in ((offsets, places), (counts, (60_000, 60_000))):
        struct.pack_into("<HI", data, field.offset + 2, 3, 2)
        data[field.offset + 8 : field.offset + 12] = bytes(4)
        struct.pack_into("<HH", data, field.offset + 8, *(value & 0xFFFF for value in values))
    with pytest.raises(DecodeError, match="truncated"):
        process(bytes(data[: places[0] + 50_000]), ONE, ALLOWED)


def test_samples_of_12_bits_are_the_same_in_tiles(tmp_path):
    data = tiff(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) % 4096, bitspersample=12)
    recipe = parse_recipe("{variants: {turned: [{flip: vertical}]}, outputs: [{format: tiff}]}", "test")
    (whole,), (parts,) = process(data, recipe).outputs, tiled(data, recipe, tmp_path).outputs
    found = [tifffile.imread(io.BytesIO(one)) for one in (whole.encoded.data, parts.encoded.data.read_bytes())]
    np.testing.assert_array_equal(*found)


def test_a_truncated_tiff_that_names_many_widths_is_refused_without_multiplying_them():
    data = bytearray(tiff(rowsperstrip=16))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        struct.pack_into("<HII", data, tags[WIDTH].offset + 2, 4, 300, 8)
        struct.pack_into("<I", data, tags[ROWS].valueoffset, 100_000)
        struct.pack_into("<I", data, tags[LENGTH].valueoffset, 100_000)
    before = highest_bytes(anew=True)
    with pytest.raises(DecodeError):
        process(bytes(data[:-100]), ONE, ALLOWED)
    assert highest_bytes() - before < LITTLE


# JPEG and WebP


def test_a_lossless_jpeg_without_tables_is_damaged():
    """liblj92 reads what is not there, and dies of it."""
    sizes = bytes.fromhex("ffc30011080020003003011100021101031101")
    with pytest.raises(DecodeError, match="damaged"):
        decode(b"\xff\xd8" + sizes + bytes.fromhex("ffda0008010301013f01"))


def test_a_webp_of_some_bytes_that_says_it_has_many_is_not_filled_up():
    limit = 400 << 20
    for length, filled in ((limit // 2, False), (1000, True)):
        size = struct.pack("<I", length)
        data = b"RIFF" + size + b"WEBPVP8 " + size + bytes(100)
        assert (mending.extended(data, limit) is not None) == filled


def test_a_png_with_wrong_filters_leaves_no_memory_behind():
    side = 500
    rows = (b"\x09" + bytes(3 * side)) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", head), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    before = []
    for _ in range(6):
        with pytest.raises(DecodeError, match="damaged"):
            decode(data)
        before.append(allocated_bytes())
    assert before[-1] - before[1] < 3 * side * side


# GIF


def gif(*sides):
    """A GIF of 4x4 pixels whose frames say that they are of other sides."""
    first, *others = (Image.new("P", (4, 4), number) for number in range(len(sides)))
    target = io.BytesIO()
    for number, image in enumerate((first, *others)):
        image.putpalette(bytes(range(256)) * 3)
        image.putpixel((number % 4, 0), 9)
    first.save(target, "GIF", save_all=True, append_images=others, optimize=False, duration=10)
    data, place = bytearray(target.getvalue()), 0
    for width, height in sides:
        place = data.index(b",\0\0\0\0", place) + 1
        struct.pack_into("<HH", data, place + 4, width, height)
    return bytes(data)


def test_a_frame_that_would_fill_the_memory_is_too_large():
    with pytest.raises(ImageTooLarge, match="60000x60000"):
        process(gif((4, 4), (60_000, 60_000)), EVERY_FRAME)


def test_a_first_frame_that_would_fill_the_memory_is_too_large_before_it_is_opened():
    data = bytearray(gif((60_000, 60_000), (4, 4)))
    control = data.index(b"!\xf9\x04")
    data[control + 3] = 2 << 2  # restore to background: Pillow makes a picture of it at once
    before = highest_bytes(anew=True)
    with pytest.raises(ImageTooLarge, match="60000x60000"):
        process(bytes(data), ONE)
    assert highest_bytes() - before < LITTLE


def test_a_frame_that_reaches_a_little_beyond_the_first_makes_all_of_them_larger():
    work = process(gif((4, 4), (6, 4)), EVERY_FRAME, ALLOWED)
    list(work.outputs)
    assert (work.width, work.height) == (6, 4)


# Others


def test_an_animation_whose_first_frame_is_not_whole_beside_its_still_is_damaged():
    frames = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (40, 40), np.uint8)) for n in range(3)]
    target = io.BytesIO()
    frames[0].save(target, "png", save_all=True, default_image=True, append_images=frames[1:])
    whole = target.getvalue()
    cut = whole[: whole.index(b"fdAT") + 200]
    with pytest.raises(DecodeError, match="none of its frames can be read"):
        process(cut, EVERY_FRAME, DecodeLimits(allow_truncated=True))
    with pytest.raises(DecodeError, match="truncated"):
        process(cut, EVERY_FRAME)


def test_a_program_in_postscript_is_not_run():
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "EPS")
    with pytest.raises(DecodeError, match="PostScript drawing, which batchimg does not run"):
        inspect(target.getvalue())


def test_half_of_a_surrogate_pair_in_a_document_is_refused():
    with pytest.raises(ContractError, match="is not JSON"):
        parse(ImageEntry, '{"path": "a\\ud800", "size": 1}', "m")
    assert parse(ImageEntry, '{"path": "a\\u00e4", "size": 1}', "m").path == "aä"


def test_a_message_does_not_repeat_a_whole_document():
    with pytest.raises(ContractVersionError) as error:
        parse(RunSpec, f'{{"schema_version": "{"x" * 5000}"}}', "run.json")
    assert len(str(error.value)) < 200


def test_a_document_nested_without_end_is_refused():
    with pytest.raises(ContractError, match="is not JSON"):
        parse(ImageEntry, "[" * 100_000, "m")


# Memory over many images


class Slow:
    """A container that writes nothing before it may."""

    def __init__(self, content: bytes) -> None:
        self._content, self.open = content, threading.Event()

    def read(self, _path):
        return self._content

    def write(self, _path, _content, *, md5=None):
        assert md5
        assert self.open.wait(60)


def test_images_whose_pictures_are_written_slowly_do_not_pile_up():
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "PNG")
    container, hand, taken = Slow(target.getvalue()), Hand(), []

    def count(path):
        taken.append(path)
        if len(taken) == WRITE_BEHIND:
            container.open.set()

    hand.before = count
    spec = RunSpec(
        run="run", plan_hash="0", dataset="x", created="2026-01-01T00:00:00Z", client_version="0", images=1, bytes=1,
        chunks=1, rejected=0, source=Source(container="inputs", prefix=""), recipe=ONE, limits=Limits(),
    )  # fmt: skip
    entries = (ImageEntry(path=f"{number}.png", size=len(target.getvalue())) for number in range(WRITE_BEHIND + 20))
    records = Pipeline(spec, Places(container, container), threading.Event(), hand).run(entries)
    first = next(records)
    assert len(taken) == WRITE_BEHIND
    assert isinstance(first, ImageResult)
    assert len([first, *records]) == WRITE_BEHIND + 20
    assert dump(first)
