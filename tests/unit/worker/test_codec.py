"""The decisions about odd files, one of each kind."""

import gc
import io
import itertools
import re
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from batchimg_worker.codec import (
    DecodeLimits,
    Picture,
    decode,
    decode_bytes,
    encode,
    inspect,
    output_name,
    written_format,
)
from batchimg_worker.errors import DecodeError, EncodeError, ImageTooLarge
from batchimg_worker.naming import Which, rivals

from color_profiles import color_profile

SAMPLES = Path(__file__).parents[3] / "samples" / "images"
ORIENTATION = 0x0112


def gradient(height=24, width=36, channels=3, dtype=np.uint8):
    """Smooth, and different in every direction and channel, so that any mistake shows."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    planes = [y, x, 1 - y * x, 1 - x / 2][:channels]
    top = 1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    image = (np.stack(planes, axis=2) * top).astype(dtype)
    return image[..., 0] if channels == 1 else image


def saved(image, kind, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def tiff(array, **options):
    target = io.BytesIO()
    tifffile.imwrite(target, array, **options)
    return target.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def grey_profile():
    """An sRGB profile that says it is grey: only its header is read."""
    return color_profile()[:16] + b"GRAY" + color_profile()[20:]


def assert_near(array, expected, most=3):
    assert array.shape == expected.shape
    assert array.dtype == expected.dtype
    assert np.abs(array.astype(np.int64) - expected.astype(np.int64)).max() <= most


# Orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, kind):
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = saved(gradient(), kind, exif=exif(orientation), **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = decode(data)
    assert_near(picture.array, expected)
    assert picture.array.flags.c_contiguous
    assert inspect(data).orientation == orientation
    assert (f"orientation {orientation} applied" in picture.notes) == (orientation != 1)


def test_orientation_of_a_tiff_that_pillow_reads_is_applied_once():
    image = Image.fromarray(gradient()).quantize(16)
    picture = decode(saved(image, "TIFF", exif=exif(6)))
    assert_near(picture.array, np.rot90(np.asarray(image.convert("RGB")), -1))


def test_the_turned_sample_is_upright_and_its_exif_is_dropped():
    picture = decode((SAMPLES / "animals/chelsea-turned.jpg").read_bytes())
    upright = decode((SAMPLES / "animals/chelsea.jpg").read_bytes())
    assert picture.array.shape == upright.array.shape
    assert np.abs(picture.array.astype(int) - upright.array).mean() < 3
    again = encode(picture, "jpeg").data
    assert inspect(again).orientation == 1
    assert b"Exif" not in again


@pytest.mark.parametrize("damage", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0garbage" * 9])
def test_damaged_exif_does_not_cost_the_image(damage):
    whole = saved(gradient(), "JPEG")
    broken = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(damage) + 2) + damage + whole[2:]
    np.testing.assert_array_equal(decode(broken).array, decode(whole).array)


# Colours


def test_cmyk_becomes_rgb_with_adobe_s_inversion_undone():
    image = Image.fromarray(gradient())
    cmyk = saved(image.convert("CMYK"), "JPEG", quality=98, subsampling=0, icc_profile=b"x" * 200)
    picture = decode(cmyk)
    assert_near(picture.array, gradient(), most=8)
    assert picture.notes == ("CMYK converted to RGB",)
    assert picture.icc_profile is None


def test_cmyk_tiff_becomes_rgb():
    picture = decode(saved(Image.fromarray(gradient()).convert("CMYK"), "TIFF"))
    assert_near(picture.array, gradient())


def test_a_palette_becomes_rgb_and_with_transparency_rgba():
    image = Image.fromarray(gradient()).quantize(32)
    assert decode(saved(image, "PNG")).array.shape == (24, 36, 3)
    transparent = decode(saved(image, "PNG", transparency=image.getpixel((0, 0))))
    assert transparent.array.shape == (24, 36, 4)
    assert transparent.array[0, 0, 3] == 0
    assert transparent.array[-1, -1, 3] == 255
    assert transparent.notes == ("palette converted to RGBA",)


@pytest.mark.parametrize(("mode", "channels"), [("L", 2), ("RGB", 4)])
def test_a_transparent_colour_becomes_alpha(mode, channels):
    image = Image.fromarray(gradient()).convert(mode)
    picture = decode(saved(image, "PNG", transparency=image.getpixel((0, 0))))
    assert picture.array.shape[2] == channels
    assert picture.array[0, 0, -1] == 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit_becomes_eight_bit_grey(kind):
    bits = np.indices((9, 13)).sum(axis=0) % 2 * np.uint8(255)
    picture = decode(saved(Image.fromarray(bits.astype(np.uint8)).convert("1"), kind))
    grey = picture.array if picture.array.ndim == 2 else picture.array[..., 0]
    np.testing.assert_array_equal(grey, bits)
    assert picture.array.dtype == np.uint8


@pytest.mark.parametrize(("channels", "mode"), [(2, "LA"), (4, "RGBA")])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept(channels, mode, kind):
    image = Image.fromarray(gradient(channels=channels))
    assert image.mode == mode
    picture = decode(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert picture.array.shape[2] == (4 if kind == "WEBP" else channels)
    np.testing.assert_array_equal(picture.array[..., -1], gradient(channels=channels)[..., -1])


# Depth


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_stays_sixteen_bit(channels):
    image = gradient(channels=channels, dtype=np.uint16)
    data = encode(Picture(image, "png", 16, color_profile() if channels > 2 else grey_profile()), "png").data
    header, picture = inspect(data), decode(data)
    assert (header.bits, header.channels) == (16, channels)
    np.testing.assert_array_equal(picture.array, image)
    assert picture.array.dtype == np.uint16
    assert picture.icc_profile is not None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_keeps_every_type(channels, dtype):
    image = gradient(channels=channels, dtype=dtype)
    data = encode(Picture(image, "tiff", 16), "tiff").data
    np.testing.assert_array_equal(decode(data).array, image)
    assert decode(data).array.dtype == dtype
    assert decode(data).notes == ()


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "bmp"])
def test_a_file_is_let_go_when_it_is_decoded_and_not_when_somebody_collects_circles(kind):
    data = encode(Picture(gradient(), kind, 8), kind, quality=90).data
    held = sys.getrefcount(data)
    gc.disable()
    try:
        decode(data)
        assert sys.getrefcount(data) == held
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_tiff_layouts(options):
    image = gradient(dtype=np.uint16)
    np.testing.assert_array_equal(decode(tiff(image, photometric="rgb", **options)).array, image)


def test_tiff_with_separate_planes():
    image = gradient(dtype=np.uint16)
    data = tiff(np.moveaxis(image, 2, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode(data).array, image)


def test_tiff_where_white_is_zero():
    image = gradient(channels=1)
    np.testing.assert_array_equal(decode(tiff(image, photometric="miniswhite")).array, 255 - image)


def test_tiff_with_premultiplied_alpha_becomes_straight():
    image = gradient(channels=4)
    alpha = image[..., 3:].astype(float) / 255
    image[..., :3] = np.rint(image[..., :3] * alpha)
    picture = decode(tiff(image, photometric="rgb", extrasamples=["assocalpha"]))
    assert_near(picture.array, gradient(channels=4), most=4)
    assert picture.notes == ("premultiplied alpha made straight",)


def test_tiff_with_an_unknown_fourth_channel_drops_it_and_says_so():
    image = gradient(channels=4)
    picture = decode(tiff(image, photometric="rgb", extrasamples=["unspecified"]))
    np.testing.assert_array_equal(picture.array, image[..., :3])
    assert picture.notes == ("1 extra channel dropped",)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int16, np.uint32])
def test_other_numbers_become_float32(dtype):
    image = (gradient(channels=1) * 3.0).astype(dtype)
    picture = decode(tiff(image))
    assert picture.array.dtype == np.float32
    np.testing.assert_allclose(picture.array, image.astype(np.float32))
    assert bool(picture.notes) == (dtype is not np.float16)


def test_complex_numbers_are_refused():
    with pytest.raises(DecodeError, match="complex64"):
        decode(tiff(np.zeros((4, 4), np.complex64)))


def test_twelve_bit_jpeg_is_stretched_to_sixteen():
    image = gradient(channels=3, dtype=np.uint16) >> 4
    data = imagecodecs.jpeg_encode(image, bitspersample=12, level=98)
    picture = decode(data)
    assert picture.array.dtype == np.uint16
    assert abs(int(picture.array.max()) - 65535) < 1500
    assert picture.notes == ("12 bits stretched to 16",)
    assert inspect(data).bits == 12


def test_lossless_jpeg_is_read():
    image = gradient(channels=1, dtype=np.uint16)
    np.testing.assert_array_equal(decode(imagecodecs.ljpeg_encode(image)).array, image)


def test_sixteen_bit_pgm_is_read():
    image = gradient(channels=1, dtype=np.uint16)
    data = b"P5\n36 24\n65535\n" + image.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(data).array, image)


@pytest.mark.parametrize("kind", ["jpeg", "webp", "bmp"])
def test_sixteen_bits_are_reduced_with_a_note_where_the_format_has_eight(kind):
    image = gradient(dtype=np.uint16)
    encoded = encode(Picture(image, "png", 16), kind, quality=100)
    assert encoded.notes == (f"16 bits reduced to 8 for {kind}",)
    assert_near(decode(encoded.data).array, np.rint(image / 257).astype(np.uint8), most=12)


def test_float_is_written_as_integers_only_where_white_is_certain():
    image = gradient(dtype=np.float32)
    assert encode(Picture(image, "tiff", 32), "png").notes == ("float written as integers",)
    for wrong in (image * 2, image - 1, np.full_like(image, np.nan)):
        with pytest.raises(EncodeError, match="only 0 to 1") as caught:
            encode(Picture(wrong, "tiff", 32), "png")
        assert "tiff" in caught.value.hint


# Frames


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read_and_that_is_said(kind):
    frames = [Image.fromarray(np.roll(gradient(), 5 * k, axis=1)) for k in range(3)]
    data = saved(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    picture = decode(data)
    assert picture.array.shape[:2] == (24, 36)
    assert_near(picture.array[..., :3], gradient(), most=60 if kind == "GIF" else 0)
    assert picture.notes[-1] == f"first of 3 {'pages' if kind == 'TIFF' else 'frames'}"


def test_a_still_gif_is_one_image():
    picture = decode(saved(gradient(channels=1), "GIF"))
    assert picture.array.shape[:2] == (24, 36)
    assert not any("frame" in note for note in picture.notes)


def test_a_volume_is_refused():
    data = tiff(np.zeros((4, 16, 16), np.uint8), volumetric=True, tile=(4, 16, 16), photometric="minisblack")
    with pytest.raises(DecodeError, match="volume of 4 layers"):
        decode(data)


def test_a_camera_raw_s_preview_is_not_taken_for_the_photo():
    with pytest.raises(DecodeError, match="camera raw"):
        decode(tiff(gradient(), photometric="rgb", subfiletype=1))


# Colour profiles


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_a_colour_profile_survives(kind):
    data = saved(gradient(), "JPEG", icc_profile=color_profile())
    encoded = encode(decode(data), kind)
    assert decode(encoded.data).icc_profile == color_profile()
    assert encoded.notes == ()


def test_a_colour_profile_is_dropped_where_the_image_became_grey():
    picture = Picture(gradient(channels=1), "jpeg", 8, color_profile())
    encoded = encode(picture, "jpeg")
    assert decode(encoded.data).icc_profile is None
    assert encoded.notes == ("ICC profile dropped: its colours do not fit",)
    assert encode(Picture(gradient(channels=1), "jpeg", 8, b"short"), "jpeg").notes


# Writing


def test_jpeg_is_written_with_subsampled_chroma_and_the_given_quality():
    picture = Picture(gradient(64, 64), "jpeg", 8)
    usual = encode(picture, "jpeg").data
    assert usual == encode(picture, "jpeg", quality=90).data
    assert usual == saved(gradient(64, 64), "JPEG", quality=90, subsampling="4:2:0")
    assert len(encode(picture, "jpeg", quality=30).data) < len(usual)


@pytest.mark.parametrize("kind", ["jpeg", "bmp"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_laid_on_white_where_the_format_has_none(channels, kind):
    image = gradient(40, 40, channels)
    image[:, 20:, -1] = 0
    image[:, :20, -1] = 255
    encoded = encode(Picture(image, "png", 8), kind, quality=95)
    array = decode(encoded.data).array
    assert array.shape == (40, 40, 3)[: channels // 2 + 1]
    assert array[:, 24:].min() >= 250
    assert_near(array[:, :16], image[:, :16, 0] if channels == 2 else image[:, :16, :3], most=16)
    assert encoded.notes == (f"alpha laid on white for {kind}",)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_, np.float32])
def test_every_array_can_be_written_in_every_format_and_the_same_bytes_come_twice(channels, kind, dtype):
    image = gradient(channels=channels) > 100 if dtype is np.bool_ else gradient(channels=channels, dtype=dtype)
    first = encode(Picture(image, "png", 8), kind)
    assert first == encode(Picture(image, "png", 8), kind)
    assert decode(first.data).array.shape[:2] == (24, 36)
    assert inspect(first.data).format == kind


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 50, 4), (50, 1), (2, 3, 2), (4, 4, 3), (3, 4), (1, 3)])
@pytest.mark.parametrize("kind", ["png", "tiff", "bmp"])
def test_narrow_images_survive(shape, kind):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    if kind == "bmp" and len(shape) == 3 and shape[2] in (2, 4):
        pytest.skip("BMP has no alpha")
    np.testing.assert_array_equal(decode(encode(Picture(image, "png", 8), kind).data).array, image)


@pytest.mark.parametrize(("kind", "side"), [("jpeg", 65_501), ("webp", 16_384)])
def test_a_side_that_the_format_cannot_hold_is_refused_with_another_format(kind, side):
    with pytest.raises(EncodeError, match=f"{side}x1 is too large for {kind}") as caught:
        encode(Picture(np.zeros((1, side), np.uint8), "png", 8), kind)
    assert "png" in caught.value.hint


# Damage


def test_no_bytes_text_and_other_files_are_told_apart():
    cases = {
        b"": "is empty",
        b"hello, this is text": r"is not an image \(it begins with 'hello, this is t'\)",
        b"\x00\x01\x02\x03" * 9: r"is not an image \(it begins with 00 01 02 03",
        b"PK\x03\x04" + b"\0" * 50: "is not an image",
        b"\0\0\0\x18ftypheic\0\0\0\0": "is a HEIC image",
    }
    for data, message in cases.items():
        with pytest.raises(DecodeError, match=message) as caught:
            decode(data)
        assert caught.value.hint


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind, part):
    rng = np.random.default_rng(0)
    whole = saved(rng.integers(0, 256, (64, 64, 3), np.uint8), kind)
    with pytest.raises(DecodeError):
        decode(whole[: int(len(whole) * part)])


def test_the_message_for_a_truncated_jpeg_says_so():
    with pytest.raises(DecodeError, match="truncated: the file ends after 19,351 bytes"):
        decode((SAMPLES / "odd/truncated.jpg").read_bytes())


def test_a_truncated_sixteen_bit_png_and_tiff_are_refused():
    image = gradient(64, 64, dtype=np.uint16)
    for kind in ("png", "tiff"):
        data = encode(Picture(image, "png", 16), kind).data
        for part in (0.5, 0.95):
            with pytest.raises(DecodeError):
                decode(data[: int(len(data) * part)])


SEEDS = [
    saved(gradient(), "JPEG"),
    saved(gradient(), "PNG"),
    saved(gradient(), "WEBP"),
    saved(Image.fromarray(gradient()).quantize(8), "GIF"),
    tiff(gradient(dtype=np.uint16), photometric="rgb", compression="zlib"),
    tiff(gradient()[..., 0]),
    imagecodecs.png_encode(gradient(dtype=np.uint16)),
    imagecodecs.jpeg_encode(gradient(dtype=np.uint16) >> 4, bitspersample=12),
    saved(gradient(), "BMP"),
]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_damaged_file_gives_an_image_or_a_short_decode_error_and_nothing_else(seed, edits):
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * len(data))] = value
    message = ""
    try:
        array = decode(bytes(data), limits=DecodeLimits(max_megapixels=1)).array
    except DecodeError as error:
        message = error.message
    else:
        assert array.dtype in (np.uint8, np.uint16, np.float32)
        assert array.ndim == 2 or array.shape[2] in (2, 3, 4)
    assert len(message) < 200
    assert not re.search(r"\n| object at 0x|Traceback|/\w+/", message)


def test_what_libraries_say_reaches_neither_warnings_nor_stderr(capfd):
    damaged = [bytes(seed[:k]) + b"\xff" * 8 + bytes(seed[k + 8 :]) for seed in SEEDS for k in range(12, len(seed), 97)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in damaged:
            try:
                decode(data)
            except DecodeError:
                continue
    assert capfd.readouterr().err == ""


def test_threads_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(decode, SEEDS * 10))
    assert warnings.filters == before


# Limits


def bomb(side):
    """A PNG whose header promises side x side pixels, in a few hundred bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_a_picture_beyond_the_limit_is_refused_from_its_header():
    with pytest.raises(ImageTooLarge, match=r"22361x22361 \(500.0 megapixels\) is over the limit of 200") as caught:
        decode(bomb(22_361))
    assert "max_megapixels" in caught.value.hint


def test_our_limit_can_be_above_pillow_s():
    data = encode(Picture(np.zeros((19_000, 10_000), np.uint8), "png", 8), "png").data
    assert len(data) < 1_000_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data).array.shape == (19_000, 10_000)


def test_memory_is_limited_from_the_header_too():
    data = bomb(3000)
    with pytest.raises(ImageTooLarge, match="needs 86 MB of memory to decode, the limit is 10 MB") as caught:
        decode(data, limits=DecodeLimits(memory_bytes=10 * 1024**2))
    assert "memory_mb" in caught.value.hint
    assert decode_bytes(inspect(data)) == 3000 * 3000 * 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_the_beginning_of_a_file_is_enough_for_its_header(kind):
    rng = np.random.default_rng(0)
    data = saved(rng.integers(0, 256, (200, 300, 3), np.uint8), kind)
    header = inspect(data[:4096])
    assert (header.width, header.height, header.format) == (300, 200, kind.lower())


# Names


@pytest.mark.parametrize(
    ("path", "source", "wanted", "expected"),
    [
        ("a/b.jpg", "jpeg", "same", "a/b.jpg"),
        ("a/b.JPEG", "jpeg", "same", "a/b.JPEG"),
        ("b.tif", "tiff", "same", "b.tif"),
        ("b.png", "png", "jpeg", "b.png.jpg"),
        ("b.gif", "gif", "same", "b.gif.png"),
        ("b.jpg", "png", "same", "b.jpg.png"),
        ("b.jpg", "png", "jpeg", "b.jpg"),
        ("b.png.jpg", "jpeg", "same", "b.png.jpg"),
        ("x.jpg.png", "png", "same", "x.jpg.png"),
        ("x.jpg.png", "jpeg", "same", "x.jpg.png.jpg"),
        ("photo", "jpeg", "same", "photo.image.jpg"),
        ("a.b/photo.v2", "webp", "same", "a.b/photo.v2.image.webp"),
    ],
)
def test_a_result_keeps_its_name_where_the_suffix_is_right_and_gets_one_more_where_not(path, source, wanted, expected):
    assert output_name(path, source, wanted) == expected


def test_an_original_beside_its_rival_gets_one_more_suffix():
    assert rivals("b.png.jpg") == ("b.png",)
    assert rivals("b.jpg") == ()
    assert output_name("b.png.jpg", "jpeg", "same", Which(apart=True)) == "b.png.jpg.jpg"


def test_no_two_originals_share_a_result():
    parts = ["", ".jpg", ".jpeg", ".JPG", ".png", ".gif", ".image", ".txt", ".gif-0002", "-0002"]
    paths = {f"photo{a}{b}{c}" for a, b, c in itertools.product(parts, parts, parts)}
    for wanted in ("jpeg", "png", "tiff"):
        names = [
            output_name(path, "jpeg", wanted, Which(any(rival in paths for rival in rivals(path)), frame))
            for path in paths
            for frame in ((None,) if len(path) % 2 else (1, 2))  # some are stills, some animations
        ]
        assert len(set(names)) == len(names)


def test_same_means_the_original_s_format_or_png():
    assert [written_format(kind, "same") for kind in ("jpeg", "png", "tiff", "webp", "bmp")] == [
        "jpeg",
        "png",
        "tiff",
        "webp",
        "bmp",
    ]
    assert written_format("gif", "same") == written_format("jpeg2000", "same") == "png"
    assert written_format("gif", "webp") == "webp"
