"""More than 8 bits in kinds of files that Pillow reads as 8: all of them are kept, or it is said that they are not."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from batchimg_worker.apply import process
from batchimg_worker.codec import decode, inspect
from batchimg_worker.errors import DecodeError
from batchimg_worker.recipe import parse_recipe

KEPT = parse_recipe("{variants: {same: []}, output: {format: tiff}}", "test")
WHITE = 65535


def levels(channels, bits=16, height=9, width=14):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(channels).integers(0, 2**bits, shape, np.uint16)


def stretched(array, bits):
    return np.rint(array * (WHITE / (2**bits - 1))).astype(np.uint16)


def jpeg2000(array, bits, kind="jp2"):
    return bytes(imagecodecs.jpeg2k_encode(array, codecformat=kind, bitspersample=bits, reversible=True))


def ppm(array, largest=WHITE):
    return f"P6\n# a comment\n{array.shape[1]} {array.shape[0]}\n{largest}\n".encode() + array.astype(">u2").tobytes()


@pytest.mark.parametrize("kind", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_2000_keeps_its_bits(channels, bits, kind):
    array = levels(channels, bits)
    found = decode(jpeg2000(array, bits, kind))
    np.testing.assert_array_equal(found.array, stretched(array, bits))
    assert found.notes == (() if bits == 16 else (f"{bits} bits stretched to 16",))


def test_signed_jpeg_2000_becomes_float_with_its_values():
    array = levels(1).astype(np.int16)
    found = decode(jpeg2000(array, 16))
    np.testing.assert_array_equal(found.array, array.astype(np.float32))
    assert found.notes == ("int16 values read as float32",)


def test_jpeg_2000_of_8_bits_is_read_as_ever():
    array = (levels(3) >> 8).astype(np.uint8)
    found = decode(jpeg2000(array, 8))
    np.testing.assert_array_equal(found.array, array)
    assert found.notes == ()


@pytest.mark.parametrize("part", [0.4, 0.9])
@pytest.mark.parametrize("make", [lambda: jpeg2000(levels(3), 16), lambda: ppm(levels(3))], ids=["jp2", "ppm"])
def test_what_is_cut_is_refused(make, part):
    data = make()
    with pytest.raises(DecodeError):
        decode(data[: int(len(data) * part)])


def test_a_codestream_that_is_larger_than_its_file_says_is_not_made_room_for():
    data = jpeg2000(levels(3), 16)
    place = data.index(b"\xff\x4f\xff\x51") + 8
    lying = data[:place] + struct.pack(">II", 60_000, 60_000) + data[place + 8 :]
    with pytest.raises(DecodeError):
        decode(lying)


@pytest.mark.parametrize(("largest", "bits"), [(WHITE, 16), (4095, 12), (1000, 10)])
def test_ppm_keeps_its_bits(largest, bits):
    array = np.minimum(levels(3, bits), largest)
    found = decode(ppm(array, largest))
    np.testing.assert_allclose(found.array.astype(int), array * (WHITE / largest), atol=WHITE / (2**bits - 1) / 2 + 1)
    assert found.array.dtype == np.uint16
    assert found.array.max() == (WHITE if array.max() == largest else found.array.max())


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif_keeps_its_bits(channels, bits):
    array = levels(channels, bits, 32, 48)
    array[...] = np.linspace(0, 2**bits - 1, 48).astype(np.uint16)[:, None] if channels > 1 else array
    data = bytes(imagecodecs.avif_encode(array, level=100, bitspersample=bits))
    found = decode(data)
    assert found.array.dtype == np.uint16
    assert inspect(data).bits == bits
    assert np.abs(found.array.astype(int) - stretched(array, bits)).max() <= 2 * WHITE / (2**bits - 1) + 1
    assert found.notes == (f"{bits} bits stretched to 16",)


def test_where_only_pillow_reads_it_that_is_said():
    planes = np.moveaxis(levels(3)[::-1], 2, 0).astype(">u2").tobytes()
    head = struct.pack(">HBBHHHHII4x80s", 474, 0, 2, 3, 14, 9, 3, 0, WHITE, b"").ljust(512, b"\0")
    found = decode(head + planes)
    assert found.array.dtype == np.uint8
    assert found.notes == ("16 bits read as 8",)


def test_plain_ppm_is_noted_too():
    found = decode(b"P3\n2 1\n1023\n0 512 1023 3 2 1\n")
    assert found.notes == ("10 bits read as 8",)


def test_the_bits_reach_the_file_that_is_written():
    array = levels(3)
    (output,) = process(jpeg2000(array, 16), KEPT).outputs
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(output.encoded.data)), array)
