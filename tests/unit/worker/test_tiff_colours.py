"""TIFF in tiles: black and white, few greys, palettes and inks become what they become in a whole image."""

import io

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image as PillowImage

from batchimg_worker.codec import DecodeLimits, decode
from batchimg_worker.errors import DecodeError
from batchimg_worker.recipe import parse_recipe
from batchimg_worker.tiles.process import Room, process_any

GREY = np.random.default_rng(1).integers(0, 256, (97, 131), dtype=np.uint8)
COLOURS = np.random.default_rng(2).integers(0, 256, (97, 131, 3), dtype=np.uint8)
TABLE = np.random.default_rng(3).integers(0, 65_536, (3, 256)).astype(np.uint16)
SAME = parse_recipe("variants: {same: []}\noutput: {format: png}", "r")


def by_pillow(mode, **options):
    target = io.BytesIO()
    image = PillowImage.fromarray(COLOURS)
    (image.quantize(options.pop("levels")) if mode == "P" else image.convert(mode)).save(target, "tiff", **options)
    return target.getvalue()


def by_tifffile(array, **options):
    target = io.BytesIO()
    tifffile.imwrite(target, array, **options)
    return target.getvalue()


def by_vips(**options):
    return pyvips.Image.new_from_array(GREY).tiffsave_buffer(**options)


def inks_in_planes():
    with PillowImage.open(io.BytesIO(by_pillow("CMYK"))) as image:
        planes = np.moveaxis(np.array(image), -1, 0).copy()
    return by_tifffile(planes, photometric="separated", planarconfig="separate", rowsperstrip=11)


KINDS = {
    "1 bit": lambda: by_pillow("1"),
    "1 bit, fax": lambda: by_pillow("1", compression="group4"),
    "1 bit, lzw": lambda: by_pillow("1", compression="tiff_lzw"),
    "1 bit, white is 0": lambda: by_tifffile(GREY > 99, photometric="miniswhite"),
    "1 bit, tiles": lambda: by_tifffile(GREY > 99, tile=(32, 32), compression="zlib"),
    "2 bits": lambda: by_vips(bitdepth=2),
    "4 bits": lambda: by_vips(bitdepth=4),
    "4 bits, white is 0": lambda: by_vips(bitdepth=4, miniswhite=True),
    "4 bits, tiles": lambda: by_vips(
        bitdepth=4, tile=True, tile_width=64, tile_height=64, compression="deflate", predictor="none"
    ),
    "palette": lambda: by_pillow("P", levels=200),
    "palette, lzw": lambda: by_pillow("P", levels=16, compression="tiff_lzw"),
    "palette, tiles": lambda: by_tifffile(GREY, photometric="palette", colormap=TABLE, tile=(32, 32)),
    "inks": lambda: by_pillow("CMYK"),
    "inks, lzw": lambda: by_pillow("CMYK", compression="tiff_lzw"),
    "inks, no profile": lambda: by_pillow("CMYK", icc_profile=b"x" * 200),
    "inks in planes": inks_in_planes,
}


@pytest.mark.parametrize("kind", KINDS)
def test_colours_in_tiles_are_those_of_the_whole_image(kind, tmp_path):
    data = KINDS[kind]()
    whole = decode(data)
    work = process_any(data, SAME, Room(DecodeLimits(), 37, tmp_path))
    (made,) = work.outputs
    found = decode(made.encoded.data.read_bytes())
    assert np.array_equal(found.array, whole.array)
    assert found.array.dtype == whole.array.dtype
    assert (work.notes, found.icc_profile) == (("in tiles", *whole.notes), whole.icc_profile)


@pytest.mark.parametrize(("dtype", "inverted"), [(np.uint16, True), (np.float32, False), (np.int16, False)])
def test_where_0_is_white_unsigned_levels_are_inverted_and_others_stay(dtype, inverted, tmp_path):
    levels = GREY.astype(dtype) - (0 if inverted else dtype(100))
    data = by_tifffile(levels, photometric="miniswhite")
    work = process_any(data, parse_recipe("variants: {same: []}", "r"), Room(DecodeLimits(), 37, tmp_path))
    (made,) = work.outputs
    expected = 65_535 - levels if inverted else levels.astype(np.float32)
    for found in (decode(data).array, decode(made.encoded.data.read_bytes()).array):
        assert np.array_equal(found, expected)
        assert found.dtype == expected.dtype


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_inks_in_jpeg_and_lab_cannot_be_read_in_parts(mode, tmp_path):
    data = by_pillow("CMYK", compression="jpeg") if mode == "CMYK" else by_tifffile(COLOURS, photometric="cielab")
    with pytest.raises(DecodeError, match=r"read in parts: TIFF files of 8 bits and colours .* cannot"):
        process_any(data, SAME, Room(DecodeLimits(), 37, tmp_path))
