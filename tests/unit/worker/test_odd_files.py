"""Odd files beyond those of test_codec: each row of codec's table has a file here or there."""

import io
import re
import struct
import threading
import tracemalloc
import zlib
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from skimage import color

from batchimg.dataset import is_image_name
from batchimg_worker import codec, mending
from batchimg_worker.apply import process
from batchimg_worker.codec import DecodeLimits, Picture, decode, encode, inspect, output_name
from batchimg_worker.errors import DecodeError
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.process import Room, process_any

ODD = Path(__file__).parent / "odd"
SAMPLES = Path(__file__).parents[3] / "samples" / "images"
KINDS = (
    *("orientation", "icc", "cmyk", "ycck", "palette", "1-bit", "alpha", "16-bit", "12-bit", "float", "lossless"),
    *("arithmetic", "frames", "pages", "markers", "extension", "truncated", "empty", "heic", "too large"),
)
ALLOWED = DecodeLimits(allow_truncated=True)


def ramp(height=32, width=48):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 5, y * 7, 255 - x * 5], axis=2).astype(np.uint8)


def saved(image, kind, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def jpeg(**options):
    return saved(ramp(), "JPEG", quality=95, subsampling=0, **options)


def largest_difference(array, expected):
    assert array.shape == expected.shape
    return np.abs(array.astype(int) - expected.astype(int)).max()


def test_the_committed_files_are_small():
    assert all(file.stat().st_size < 20_000 for file in ODD.iterdir())


# JPEG


@pytest.mark.parametrize("name", ["arithmetic.jpg", "arithmetic-progressive.jpg"])
def test_arithmetic_jpeg_is_read(name):
    picture = decode((ODD / name).read_bytes())
    assert largest_difference(picture.array, ramp()) <= 4
    assert picture.notes == ()


def test_progressive_jpeg_is_read():
    assert largest_difference(decode(jpeg(progressive=True)).array, ramp()) <= 4


@pytest.mark.parametrize("space", ["CMYK", "YCCK"])
def test_four_inks_become_rgb(space):
    inks = np.dstack([ramp(), np.full((32, 48), 255, np.uint8)])  # as Adobe stores them: inverted
    data = imagecodecs.jpeg8_encode(inks, level=98, colorspace="CMYK", outcolorspace=space, subsampling="444")
    picture = decode(data)
    assert largest_difference(picture.array, ramp()) <= 8
    assert picture.notes == ("CMYK converted to RGB",)
    assert encode(picture, "jpeg").notes == ()


def ink_profile(strength=1.0):
    """A small profile of four inks: a table of two steps each, to Lab. ``strength`` is the light that paper gives."""
    table = b""
    for inks in np.ndindex(2, 2, 2, 2):
        light = (1 - np.array(inks[:3])) * (1 - inks[3]) * strength
        lightness, a, b = color.rgb2lab(light.reshape(1, 1, 3)).ravel()
        table += bytes((round(lightness * 2.55), int(np.clip(a, -128, 127)) + 128, int(np.clip(b, -128, 127)) + 128))
    matrix = struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    lut = b"mft1\0\0\0\0\4\3\2\0" + matrix + bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    white = struct.pack(">3i", 63190, 65536, 54061)
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\5inks\0" + bytes(78),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": b"XYZ \0\0\0\0" + white,
        b"A2B0": lut,
    }
    place, index, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        index += name + struct.pack(">II", place + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    head = struct.pack(">I4sI4s4s4s6H4s", place + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ",
                       2026, 1, 1, 0, 0, 0, b"acsp")  # fmt: skip
    return (head.ljust(68, b"\0") + white).ljust(128, b"\0") + index + body


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize(("strength", "light"), [(1.0, 255), (0.5, 128)])
def test_four_inks_become_srgb_by_the_file_s_own_profile(kind, strength, light):
    inks = np.zeros((16, 24, 4), np.uint8)
    inks[:, :12, 0] = 255  # cyan
    inks[:, 12:, 3] = 255  # black
    data = saved(Image.frombytes("CMYK", (24, 16), inks.tobytes()), kind, icc_profile=ink_profile(strength))
    picture = decode(data)
    assert picture.notes == ("CMYK converted to sRGB by its profile",)
    assert picture.icc_profile is None
    assert np.abs(picture.array[8, 2, 1:].astype(int) - light).max() <= 3
    assert picture.array[8, 2, 0] < 80
    assert picture.array[8, -2].max() <= 3


def test_four_inks_in_tiles_become_what_they_become_as_a_whole(tmp_path):
    inks = np.random.default_rng(1).integers(0, 256, (70, 24, 4), dtype=np.uint8)
    data = saved(Image.frombytes("CMYK", (24, 70), inks.tobytes()), "TIFF", icc_profile=ink_profile(0.7))
    work = process_any(data, parse_recipe("variants: {same: []}", "r"), Room(DecodeLimits(), 16, tmp_path))
    (made,) = work.outputs
    assert np.array_equal(decode(made.encoded.data.read_bytes()).array, decode(data).array)
    assert work.notes == ("in tiles", "CMYK converted to sRGB by its profile")


def test_four_inks_with_a_broken_profile_become_rgb_without_it():
    data = saved(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 200)
    picture = decode(data)
    assert picture.notes == ("CMYK converted to RGB",)
    assert picture.array.min() == 255


@pytest.mark.parametrize("name", ["a.pbm", "a.pgm", "a.ppm", "a.pnm"])
def test_netpbm_files_are_read_and_written_as_png(name):
    image = {"a.pbm": ramp()[..., 0] > 100, "a.pgm": ramp()[..., 0]}.get(name, ramp())
    picture = decode(saved(image, "PPM"))
    np.testing.assert_array_equal(picture.array, image * np.uint8(255) if image.dtype == bool else image)
    assert output_name(name, picture.format, "same") == f"{name}.png"
    assert is_image_name(name)


def test_sixteen_bits_of_a_pgm_are_kept():
    image = ramp()[..., 0].astype(np.uint16) * 200
    data = b"P5 48 32 65535\n" + image.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(data).array, image)


def test_bmp_can_be_chosen():
    made = parse_recipe("variants: {a: []}\noutput: {format: bmp}", "x")
    (output,) = process(jpeg(), made).outputs
    assert output.encoded.format == "bmp"
    np.testing.assert_array_equal(decode(output.encoded.data).array, decode(jpeg()).array)


def segments(data):
    """Where each segment before the scan begins."""
    place, places = 2, []
    while data[place + 1] != 0xDA:
        places.append(place)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return [*places, place]


GARBAGE = [b"\0", b"garbage", b"\xff\xff\xff", b"\xff\x00ab\xff\x01", b"\xff", b"\xff\xd0"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_jpeg_with_garbage_between_its_markers_is_read_and_that_is_said(garbage):
    whole = jpeg(exif=orientation(1))
    for place in segments(whole)[1:]:
        data = whole[:place] + garbage + whole[place:]
        picture = decode(data)
        np.testing.assert_array_equal(picture.array, decode(whole).array)
        assert picture.notes == ("bytes between its markers skipped",)
        assert inspect(data) == inspect(whole)


def test_a_clean_jpeg_and_any_other_file_is_not_copied():
    for data in (jpeg(), saved(ramp(), "PNG"), b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", jpeg()[:100]):
        assert mending.without_garbage(data) is data


def test_nothing_but_markers_ends():
    for data in (b"\xff\xd8" + b"\xff" * 5000, b"\xff\xd8\xff\xe0\0\0" * 500, b"\xff\xd8\xff" + b"\0" * 5000):
        with pytest.raises(DecodeError):
            decode(data)


def test_twelve_bit_and_lossless_jpeg_are_read():
    deep = ramp().astype(np.uint16) << 4
    twelve = decode(imagecodecs.jpeg_encode(deep, bitspersample=12, level=98))
    assert twelve.notes == ("12 bits stretched to 16",)
    assert np.abs(twelve.array.astype(int) - deep.astype(int) * 65535 // 4095).max() < 2000
    np.testing.assert_array_equal(decode(imagecodecs.ljpeg_encode(ramp()[..., 0].copy())).array, ramp()[..., 0])


def test_a_jpeg_with_a_second_picture_behind_it_is_its_first():
    picture = decode(jpeg() + jpeg())
    np.testing.assert_array_equal(picture.array, decode(jpeg()).array)


# Truncated


def noise(shape=(64, 64, 3)):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_truncated_jpeg_is_kept_where_that_is_allowed(options, part):
    whole = saved(noise(), "JPEG", quality=90, **options)
    cut = whole[: int(len(whole) * part)]
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut)
    picture = decode(cut, limits=ALLOWED)
    assert picture.notes == ("truncated: what is missing is grey",)
    expected = decode(whole).array
    assert picture.array.shape == expected.shape
    if not options:
        rows = max(0, 16 * int(4 * part - 0.6) - 1)  # chroma is smoothed across the border
        np.testing.assert_array_equal(picture.array[:rows], expected[:rows])


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("shape", [(64, 64, 3), (40, 33), (64, 64, 4), (30, 21, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_truncated_png_is_kept_where_that_is_allowed(shape, dtype, interlaced):
    image = (noise(shape).astype(np.uint16) * 257).astype(dtype)
    whole = encode(Picture(image, "png", 8), "png").data if not interlaced else interlaced_png(image)
    cut = whole[: int(len(whole) * 0.6)]
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut)
    picture = decode(cut, limits=ALLOWED)
    assert picture.notes == ("truncated: what is missing is black",)
    assert (picture.array.shape, picture.array.dtype) == (image.shape, image.dtype)
    if not interlaced:
        rows = shape[0] // 2
        np.testing.assert_array_equal(picture.array[:rows], image[:rows])
        assert not picture.array[-5:].any()


def interlaced_png(image):
    """Adam7, every row with filter 0."""
    height, width = image.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[image.shape[2] if image.ndim == 3 else 1]
    stored = image.astype(image.dtype.newbyteorder(">"))
    rows = [
        b"\0" + row.tobytes()
        for left, top, across, down in mending.ADAM7
        for row in stored[top::down, left::across]
        if row.size
    ]
    header = struct.pack(">IIBBBBB", width, height, image.dtype.itemsize * 8, kind, 0, 0, 1)
    body = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        mending._chunk(*one) for one in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def test_an_interlaced_png_is_read():
    for shape in ((64, 64, 3), (1, 1), (5, 3, 4)):
        image = noise(shape)
        np.testing.assert_array_equal(decode(interlaced_png(image)).array, image)


def test_the_truncated_sample_is_kept_upright_and_goes_through_a_recipe():
    data = (SAMPLES / "odd" / "truncated.jpg").read_bytes()
    processed = process(data, recipe_from_ops(["flip=horizontal"]), ALLOWED)
    assert processed.notes == ("truncated: what is missing is grey",)
    assert len(list(processed.outputs)) == 1


def first_wrong_row(array, expected):
    assert array.shape == expected.shape
    same = (array == expected).reshape(len(expected), -1).all(axis=1)
    return int(same.argmin()) if not same.all() else len(expected)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("kind", "options", "missing"),
    [
        ("WEBP", {}, "made up from what is above it"),
        ("WEBP", {"lossless": True}, "made up from what is above it"),
        ("GIF", {"interlace": 0}, "a colour of its palette"),
    ],
    ids=["webp", "lossless webp", "gif"],
)
def test_a_truncated_webp_or_gif_is_kept_where_that_is_allowed(kind, options, missing, part):
    whole = saved(noise((256, 256, 3)), kind, **options)
    cut = whole[: int(len(whole) * part)]
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut)
    picture = decode(cut, limits=ALLOWED)
    assert picture.notes[0] == f"truncated: what is missing is {missing}"
    expected = decode(whole).array
    assert first_wrong_row(picture.array, expected) >= (part - 0.25) * len(expected)


def tiff(image, **options):
    target = io.BytesIO()
    tifffile.imwrite(target, image, photometric="rgb", **options)
    return target.getvalue()


TIFFS = {
    "plain": {},
    "plain strips": {"rowsperstrip": 7},
    "one packed strip": {"compression": "zlib", "rowsperstrip": 64},
    "packed strips": {"compression": "zlib", "rowsperstrip": 9, "predictor": True},
    "other byte order": {"compression": "zlib", "rowsperstrip": 9, "byteorder": ">"},
    "BigTIFF": {"compression": "zlib", "rowsperstrip": 9, "bigtiff": True},
    "LZW": {"compression": "lzw", "rowsperstrip": 9},
    "tiles": {"compression": "zlib", "tile": (16, 16)},
}


@pytest.mark.parametrize("part", [0.4, 0.6, 0.97])
@pytest.mark.parametrize("name", TIFFS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_truncated_tiff_is_kept_where_that_is_allowed(name, part, dtype):
    image = noise().astype(dtype) * (257 if dtype is np.uint16 else 1)
    whole = tiff(image, **TIFFS[name])
    cut = whole[: int(len(whole) * part)]
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut)
    picture = decode(cut, limits=ALLOWED)
    assert picture.notes == ("truncated: what is missing is black",)
    assert first_wrong_row(picture.array, image) >= (part - 0.3) * 64
    assert not picture.array[-1, -1].any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(noise(), "TIFF", compression="tiff_lzw")[:5000], "its directory, which is at its end, is missing"),
        (tiff(noise(), compression="lzw", rowsperstrip=64)[:9000], "too few for its strips"),
        (saved(noise(), "AVIF")[:2000], "the header is not complete"),
        (saved(noise(), "WEBP")[:18], "truncated"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff" + saved(noise(), "WEBP")[20:600], "truncated"),
    ],
    ids=["directory", "no whole strip", "avif", "header", "a length of 4 GB"],
)
def test_what_cannot_be_completed_is_refused_even_then(data, message):
    with pytest.raises(DecodeError, match="truncated") as caught:
        decode(data, limits=ALLOWED)
    assert message in caught.value.message


@pytest.mark.parametrize("data", [b"", jpeg()[:30], saved(ramp(), "PNG")[:20], b"hello"], ids=len)
def test_a_file_without_its_header_is_refused_even_then(data):
    with pytest.raises(DecodeError):
        decode(data, limits=ALLOWED)


def test_a_truncated_png_that_unpacks_to_more_than_its_header_says_is_refused():
    body = zlib.compress(b"\0" * 200_000_000, 9)
    header = struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + mending._chunk(b"IHDR", header) + mending._chunk(b"IDAT", body)
    decoded = inspect(data)
    tracemalloc.start()
    try:
        assert mending.completed(data[:-100], decoded) is None
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_megabytes_of_garbage_are_skipped_at_once():
    whole = jpeg()
    place = segments(whole)[1]
    for garbage in (b"\xff" * 20_000_000, b"\xff\0" * 10_000_000):
        picture = decode(whole[:place] + garbage + whole[place:])
        np.testing.assert_array_equal(picture.array, decode(whole).array)


def test_a_wrong_checksum_is_no_truncation():
    data = bytearray(saved(noise(), "PNG"))
    data[200] ^= 0xFF
    with pytest.raises(DecodeError, match="checksum"):
        decode(bytes(data), limits=ALLOWED)


def test_what_is_allowed_for_one_thread_is_not_for_another():
    whole = saved(noise(), "JPEG")
    cut, refused = whole[: len(whole) // 2], []

    def strict():
        for _ in range(50):
            try:
                decode(cut)
            except DecodeError:
                refused.append(1)

    thread = threading.Thread(target=strict)
    thread.start()
    for _ in range(50):
        decode(cut, limits=ALLOWED)
    thread.join()
    assert len(refused) == 50


# Frames


def test_an_apng_is_its_first_frame_and_that_is_said():
    frames = [Image.fromarray(np.roll(ramp(), 5 * k, axis=1)) for k in range(3)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    picture = decode(data)
    np.testing.assert_array_equal(picture.array, ramp())
    assert picture.notes == ("first of 3 frames",)
    assert inspect(encode(picture, "png").data).frames == 1


def test_pages_of_different_sizes_do_not_disturb_the_first():
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        file.write(ramp(), photometric="rgb")
        file.write(ramp(10, 10), photometric="rgb")
    picture = decode(target.getvalue())
    np.testing.assert_array_equal(picture.array, ramp())
    assert picture.notes == ("first of 2 pages",)


# Transparency


def test_a_transparent_palette_becomes_a_jpeg_on_white():
    image = Image.fromarray(ramp()).quantize(16)
    image.info["transparency"] = image.getpixel((0, 0))
    processed = process(saved(image, "PNG"), parse_recipe("variants: {a: []}\noutput: {format: jpeg}", "x"))
    (output,) = processed.outputs
    assert processed.notes == ("palette converted to RGBA",)
    assert output.encoded.notes == ("alpha laid on white for jpeg",)
    assert decode(output.encoded.data).array[0, 0].min() > 240


def test_alpha_is_blurred_like_a_colour_but_kept_by_what_changes_colours():
    image = np.dstack([ramp(), np.where(np.arange(48) < 24, 0, 255)[None].repeat(32, 0).astype(np.uint8)])
    data = encode(Picture(image, "png", 8), "png").data
    made = recipe_from_ops(["blur=sigma:3", "gamma=0.5", "sharpen=1", "equalize", "invert"])
    files = {one.variant: decode(one.encoded.data).array for one in process(data, made).outputs}
    assert len(np.unique(files.pop("blur-sigma-3")[..., 3])) > 5
    for array in files.values():
        np.testing.assert_array_equal(array[..., 3], image[..., 3])


# Names that lie


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("a.jpg", "PNG", "a.jpg.png"), ("a.png", "JPEG", "a.png.jpg"), ("a.gif", "WEBP", "a.gif.webp")],
)
def test_the_content_decides_what_a_file_is_and_the_result_gets_the_right_suffix(name, kind, expected):
    picture = decode(saved(ramp(), kind))
    assert picture.format == kind.lower()
    assert output_name(name, picture.format, "same") == expected


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_heic_is_refused_with_what_to_do(brand):
    data = struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\0\0mif1heic" + b"\0" * 40
    with pytest.raises(DecodeError, match="is a HEIC image, which batchimg does not read") as caught:
        decode(data)
    assert "JPEG or PNG" in caught.value.hint


def test_avif_is_read_upright():
    data = saved(ramp(), "AVIF", quality=100, subsampling="4:4:4", exif=orientation(6))
    picture = decode(data)
    assert largest_difference(picture.array, np.rot90(ramp(), -1)) <= 8


# Colour profiles


@cache
def wide_profile():
    """Display P3's primaries with a gamma of 2.2; made once, as it holds the second in which it was made."""
    primaries = [0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.329, 1.0], primaries=primaries, gamma=2.2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_wide_profile_is_converted_to_srgb_where_that_is_wanted(channels, dtype):
    image = np.full((4, 5, 4), 128, np.uint8)[..., :channels].copy()
    image[..., :3] = (200, 30, 30)
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = (image / 255 * white).astype(dtype)
    data = encode(Picture(array, "tiff", 8, wide_profile()), "tiff").data
    kept, converted = decode(data), decode(data, profile="srgb")
    assert kept.icc_profile == wide_profile()
    assert converted.icc_profile is None
    assert converted.notes == ("colours converted to sRGB",)
    assert converted.array.dtype == dtype
    red, green, blue = converted.array[0, 0, :3].astype(float) / white * 255
    assert red > 210
    assert green < 5
    assert blue < 30
    np.testing.assert_array_equal(converted.array[..., 3:], array[..., 3:])


def test_an_srgb_profile_changes_nothing_that_can_be_seen():
    data = saved(ramp(), "PNG", icc_profile=bytes(imagecodecs.cms_profile("srgb")))
    assert largest_difference(decode(data, profile="srgb").array, ramp()) <= 2


@pytest.mark.parametrize("profile", [b"\0" * 16 + b"RGB " + b"\0" * 99, b"\0" * 16 + b"GRAY" + b"\0" * 99, b"x"])
def test_a_profile_that_cannot_be_converted_is_kept_and_that_is_said(profile):
    picture = decode(saved(ramp(), "PNG", icc_profile=profile), profile="srgb")
    np.testing.assert_array_equal(picture.array, ramp())
    assert picture.icc_profile == profile
    assert picture.notes == ("ICC profile kept: it cannot be converted to sRGB",)


def test_a_recipe_can_ask_for_srgb():
    data = saved(ramp(), "PNG", icc_profile=wide_profile())
    made = parse_recipe("colors: srgb\nvariants: {a: []}", "x")
    processed = process(data, made)
    (output,) = processed.outputs
    assert processed.notes == ("colours converted to sRGB",)
    assert decode(output.encoded.data).icc_profile is None


# EXIF


def orientation(value):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = value
    return tags


def full_exif():
    tags = Image.Exif()
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = "Canon\0", "Canon EOS R5"
    tags[ExifTags.Base.Artist], tags[ExifTags.Base.Copyright] = "Jane Secret", "Jane Secret"
    tags[ExifTags.Base.Software] = "Some\tEditor 1.0"
    photo = tags.get_ifd(ExifTags.IFD.Exif)
    photo[ExifTags.Base.ExposureTime], photo[ExifTags.Base.FNumber] = IFDRational(1, 200), 2.8
    photo[ExifTags.Base.ISOSpeedRatings], photo[ExifTags.Base.FocalLength] = 400, 35.0
    photo[ExifTags.Base.DateTimeOriginal], photo[ExifTags.Base.Flash] = "2026:01:02 03:04:05", 16
    photo[ExifTags.Base.BodySerialNumber], photo[ExifTags.Base.CameraOwnerName] = "SN-123", "Jane Secret"
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 12.0, 30.0)
    return tags


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_tells_the_camera_and_no_person_or_place(kind):
    measured = process(saved(ramp(), kind, exif=full_exif()), recipe_from_ops(["exif"])).measures["exif"]
    assert measured["camera"] == "Canon EOS R5"
    assert measured["iso"] == 400
    assert measured["exposure_seconds"] == 0.005
    assert measured["f_number"] == 2.8
    assert measured["taken"] == "2026:01:02 03:04:05"
    assert measured["flash"] == "no"
    assert measured["software"] == "SomeEditor 1.0"
    assert set(measured) <= {
        "camera", "lens", "taken", "exposure_seconds", "f_number", "iso", "focal_length_mm", "flash", "software"
    }  # fmt: skip
    assert not re.search("Secret|SN-123|48", str(measured))


def test_exif_of_a_tiff_tells_the_camera():
    measured = process(saved(ramp(), "TIFF", exif=full_exif()), recipe_from_ops(["exif"])).measures["exif"]
    assert measured == {"camera": "Canon EOS R5", "software": "SomeEditor 1.0"}


@pytest.mark.parametrize("damage", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0garbage" * 9])
def test_damaged_or_no_exif_measures_nothing(damage):
    whole = jpeg()
    broken = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(damage) + 2) + damage + whole[2:]
    for data in (broken, whole):
        assert process(data, recipe_from_ops(["exif"])).measures["exif"] == {}


# The table


def test_every_decision_is_in_the_table():
    kinds = [line[:38].strip() for line in (codec.__doc__ or "").splitlines() if re.match(r"\S.{37} \S", line)]
    assert len(kinds) >= 20
    words = " ".join(kinds).lower()
    for word in KINDS:
        assert word in words, word


# sides of one pixel


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)], ids=str)
@pytest.mark.parametrize("colors", ["keep", "srgb"])
def test_a_side_of_one_pixel_can_be_mirrored_and_written_as_anything(size, orientation, colors):
    exif = Image.Exif()
    exif[0x0112] = orientation
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    data = saved(ramp(*size), "PNG", exif=exif.tobytes(), icc_profile=profile)
    recipe = parse_recipe(
        f"""
        variants: {{a: [], b: [{{flip: vertical}}], c: [{{flip: horizontal}}], d: [{{convert: 32}}]}}
        colors: {colors}
        outputs: [{{format: jpeg}}, {{format: tiff}}, {{format: png}}]
        """,
        "r",
    )
    written = [decode(output.encoded.data).array.shape[:2] for output in process(data, recipe).outputs]
    assert written == [size if orientation < 5 else size[::-1]] * 12


# TIFF of unusual colours


def tiff_of(array, **options):
    target = io.BytesIO()
    tifffile.imwrite(target, array, **options)
    return target.getvalue()


@pytest.mark.parametrize("tile", [None, (16, 16)], ids=["strips", "tiles"])
def test_a_tiff_of_12_bit_jpeg_keeps_its_depth(tile, tmp_path):
    wide = ramp().astype(np.uint16) * 16
    data = tiff_of(wide, photometric="rgb", compression="jpeg", compressionargs={"level": 98}, tile=tile)
    picture = decode(data)
    assert picture.notes == ("12 bits stretched to 16",)
    assert np.abs(picture.array / 65535 - wide / 4095).max() < 0.02
    (whole,), (tiled,) = (
        list(process(data, recipe_from_ops(["invert"])).outputs),
        list(process_any(data, recipe_from_ops(["invert"]), Room(DecodeLimits(), 32, tmp_path)).outputs),
    )
    np.testing.assert_array_equal(decode(tiled.encoded.data.read_bytes()).array, decode(whole.encoded.data).array)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("photometric", "colours"), [("minisblack", 1), ("rgb", 3)])
def test_further_channels_of_a_tiff_are_dropped_in_tiles_too(photometric, colours, planar, tmp_path):
    channels = np.random.default_rng(1).integers(0, 65536, (50, 61, 6), np.uint16)
    array = channels if planar == "contig" else np.moveaxis(channels, 2, 0).copy()
    data = tiff_of(array, photometric=photometric, planarconfig=planar, extrasamples=["unspecified"] * (6 - colours))
    work = process_any(data, recipe_from_ops(["invert"]), Room(DecodeLimits(), 32, tmp_path))
    assert f"{6 - colours} extra channels dropped" in work.notes
    (output,) = work.outputs
    found = decode(output.encoded.data.read_bytes()).array
    np.testing.assert_array_equal(found.reshape(50, 61, colours), ~channels[..., :colours])


@pytest.mark.parametrize(
    ("photometric", "shape", "kind"),
    [
        ("separated", (20, 30, 5), "5 channels of 16 bits, colours separated"),
        ("cfa", (20, 30), "1 channel of 16 bits, colours cfa"),
        ("cielab", (20, 30, 3), "3 channels of 16 bits, colours cielab"),
    ],
)
def test_a_tiff_whose_colours_nobody_reads_is_called_one(photometric, shape, kind):
    planar = "contig" if len(shape) > 2 else None
    with pytest.raises(DecodeError) as caught:
        decode(tiff_of(np.zeros(shape, np.uint16), planarconfig=planar, photometric=photometric))
    assert caught.value.message == f"is a TIFF of a kind that batchimg does not read: {kind}"


def test_it_is_noted_where_inks_lose_depth():
    notes = decode(tiff_of(np.zeros((20, 30, 4), np.uint16), photometric="separated", planarconfig="contig")).notes
    assert notes == ("CMYK converted to RGB", "16 bits read as 8")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (imagecodecs.jpegxl_encode(ramp()), "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "a JPEG XL image"),
        (imagecodecs.jpegxr_encode(ramp()), "a JPEG XR image"),
        (b"\xff\xd8\xff\xf7" + bytes(20), "a JPEG-LS image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a camera raw file"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (b"v/1\x01" + bytes(20), "an OpenEXR image"),
        (b'<?xml version="1.0"?>\n<svg width="4" height="4"/>', "an SVG drawing"),
    ],
    ids=["jxl", "jxl box", "jxr", "jls", "pdf", "raf", "cr3", "mp4", "dicom", "hdf5", "exr", "svg"],
)
def test_pictures_of_kinds_that_nobody_reads_are_called_by_their_name(data, kind):
    with pytest.raises(DecodeError, match=f"^is {kind}, which batchimg does not read$") as caught:
        inspect(data)
    assert caught.value.hint == "Convert it to PNG or TIFF first."


def test_a_pointer_of_git_lfs_says_how_to_get_the_image():
    with pytest.raises(DecodeError, match="is a pointer of Git LFS") as caught:
        inspect(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in caught.value.hint


def test_a_channel_behind_alpha_is_dropped_with_a_note():
    array = np.zeros((8, 9, 5), np.uint8)
    data = tiff_of(array, photometric="rgb", extrasamples=["unassalpha", "unspecified"], planarconfig="contig")
    found = decode(data)
    assert found.array.shape == (8, 9, 4)
    assert found.notes == ("1 extra channel dropped",)
