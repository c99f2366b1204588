"""Results of large images that are made while they are written: the same files, in half of the memory."""

import hashlib
import io
import tracemalloc

import numpy as np
import pytest
import tifffile

from batchimg_worker import streamed
from batchimg_worker.apply import peak_bytes, process
from batchimg_worker.codec import Encoded, Picture, decode, encode, inspect
from batchimg_worker.errors import EncodeError, OperationFailed
from batchimg_worker.operations import OPERATIONS, strips
from batchimg_worker.operations.arrays import Strips, strips_of
from batchimg_worker.operations.kernels import TEMPORARY_BYTES, fast_smoothing, fast_warping, native
from batchimg_worker.pieces import PIECE_BYTES, Pieces
from batchimg_worker.recipe import load_recipe, parse_recipe, recipe_from_ops
from batchimg_worker.tiles.files import EncodedFile

pytestmark = pytest.mark.skipif(not native.available(), reason="no C kernels")

STEPS = [
    ("flip", {"direction": "horizontal"}),
    ("flip", {"direction": "vertical"}),
    ("rotate", {"angle": 30}),
    ("rotate", {"angle": -7.3, "resize": True, "cval": 1.0}),
    ("rotate", {"angle": 100, "mode": "wrap"}),
    ("blur", {"sigma": 0.1}),
    ("blur", {"sigma": 1.5}),
    ("blur", {"sigma": 5.5}),
    ("blur", {"sigma": 9}),
    ("blur", {"percent": 800}),
]


def image_of(shape, dtype):
    """Far from the fill, so that whatever scikit-image would clip shows."""
    values = np.random.default_rng(3).uniform(0.3, 0.7, shape)
    return values.astype(np.float32) if dtype is np.float32 else (values * np.iinfo(dtype).max).astype(dtype)


@pytest.fixture
def small_strips(monkeypatch):
    for place, name, value in (
        (strips, "FLIPPED_BYTES", 1000),
        (fast_warping, "STRIP_BYTES", 5000),
        (fast_smoothing, "STRIP_VALUES", 2000),
        (fast_smoothing, "SHORT_ROWS", 8),
        (fast_smoothing, "SAMPLE_VALUES", 1000),
    ):
        monkeypatch.setattr(place, name, value)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize(("name", "given"), STEPS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(97, 71, 3), (83, 64), (1, 9, 4)], ids=str)
def test_strips_are_the_rows_of_the_result(name, given, dtype, shape):
    operation, image = OPERATIONS.get(name), image_of(shape, dtype)
    bound = operation.bind(given)
    if not strips.can(name, (*shape, 1)[:3], bound):
        assert name == "rotate"
        assert shape[0] == 1
        return
    parts = list(strips.strips(name, image, bound))
    np.testing.assert_array_equal(np.concatenate(parts), operation.run(image, bound))


def test_a_rotation_whose_result_may_be_clipped_is_not_made_in_strips():
    bind = OPERATIONS.get("rotate").bind
    assert not strips.can("rotate", (40, 40, 3), bind({"angle": 0.5}))  # no pixel of it is all fill
    assert not strips.can("rotate", (40, 60, 3), bind({"angle": 30, "order": 3}))
    assert strips.can("rotate", (40, 60, 3), bind({"angle": 30}))
    assert not strips.can("sharpen", (40, 60, 3), OPERATIONS.get("sharpen").bind({}))


@pytest.mark.parametrize("rows", [1, 4, 7, 50])
@pytest.mark.parametrize("cuts", [[], [1], [3, 5, 6], [20, 21, 40]])
def test_strips_come_in_the_height_that_is_wanted(rows, cuts):
    image = np.arange(45 * 2).reshape(45, 2)
    given = list(Strips(image.shape, image.dtype, iter(np.split(image, cuts))).of(rows))
    np.testing.assert_array_equal(np.concatenate(given), image)
    assert [len(part) for part in given] == [len(part) for part in strips_of(image).of(rows)]
    assert {len(part) for part in given[:-1]} <= {rows}


def written(data, recipe):
    return [(one.variant, one.width, one.height, one.encoded) for one in process(data, recipe).outputs]


def content(encoded):
    return encoded.data if isinstance(encoded, Encoded) else b"".join(encoded.data)


@pytest.mark.parametrize("kind", ["tiff", "png"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(210, 160, 3), (150, 170)], ids=str)
def test_streamed_files_are_those_of_whole_results(kind, dtype, shape, monkeypatch):
    bits = 8 * np.dtype(dtype).itemsize
    data = encode(Picture(image_of(shape, dtype), "tiff", bits), "tiff").data
    recipe = parse_recipe(
        "variants: {f: [{flip: vertical}], r: [{rotate: 30}], b: [{blur: 50%}], c: [{blur: 50%}, {flip: vertical}]}"
        f"\noutput: {{format: {kind}}}",
        "test",
    )
    whole = written(data, recipe)
    monkeypatch.setattr(streamed, "LARGE_BYTES", 0)
    parts = written(data, recipe)
    assert [one[:3] for one in parts] == [one[:3] for one in whole]
    for (*_, part), (*_, before) in zip(parts, whole, strict=True):  # deflate may write the same in another way
        np.testing.assert_array_equal(decode(content(part)).array, decode(content(before)).array)
        assert (part.format, part.notes) == (before.format, before.notes)
        assert (part.size, part.md5) == (len(content(part)), hashlib.md5(content(part)).digest())
    is_streamed = {one[0]: isinstance(one[3], EncodedFile) for one in parts}
    wanted = kind == "tiff" or dtype is not np.float32
    assert is_streamed == {"f": wanted, "r": wanted, "b": False, "c": False}  # what is shared is made once


@pytest.mark.parametrize(
    "output",
    ["{format: tiff, bits: 8}", "{format: tiff, pyramid: true}", "{format: jpeg}", "[{format: tiff}, {format: png}]"],
)
def test_other_outputs_are_made_of_whole_results(output, monkeypatch):
    monkeypatch.setattr(streamed, "LARGE_BYTES", 0)
    data = encode(Picture(image_of((90, 80, 3), np.uint16), "tiff", 16), "tiff").data
    key = "outputs" if output.startswith("[") else "output"
    found = written(data, parse_recipe(f"variants: {{a: [{{flip: vertical}}]}}\n{key}: {output}", "test"))
    assert all(isinstance(one[3], Encoded) for one in found)


@pytest.fixture(scope="module")
def deep():
    """A TIFF of 12 megapixels and 16 bits: 72 MB of pixels."""
    ramp = np.add.outer(np.arange(3000), np.arange(4000)).astype(np.uint16)
    return encode(Picture(np.stack([ramp, ramp, ramp], 2), "tiff", 16), "tiff").data


def test_a_large_recipe_holds_the_original_and_little_more_and_less_than_is_estimated(deep):
    recipe, pixels = load_recipe("augment"), 3000 * 4000 * 6
    tracemalloc.start()
    try:
        work = process(deep, recipe)
        tracemalloc.reset_peak()
        sizes = [output.encoded.size for output in work.outputs]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < pixels + TEMPORARY_BYTES + max(sizes) + PIECE_BYTES
    assert peak < pixels * 1.8  # a result as a whole would be twice
    assert peak < peak_bytes(inspect(deep), recipe)
    assert work.seconds.compute > 0
    assert work.seconds.encode > 0


def test_the_estimate_knows_what_is_streamed(deep):
    header = inspect(deep)
    pixels = 3000 * 4000 * 6
    several = parse_recipe("variants: {a: [{rotate: 30}]}\noutputs: [{format: tiff}, {format: png}]", "test")
    alone = recipe_from_ops(["rotate=30"])
    assert peak_bytes(header, alone) == pytest.approx(3 * pixels, rel=0.01)  # that of decoding
    assert peak_bytes(header, several) > 3.5 * pixels


@pytest.mark.parametrize(
    ("raised", "says"), [(MemoryError("512 GiB"), "not enough memory"), (ValueError("it is green"), "it is green")]
)
@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_a_step_that_fails_in_the_middle_of_a_file_is_what_the_record_names(raised, says, kind, monkeypatch):
    def begun(image, _parameters):
        yield image[:20]
        raise raised

    monkeypatch.setattr(streamed, "LARGE_BYTES", 0)
    monkeypatch.setitem(strips._STRIPS, "blur", strips._Strips(begun))
    data = encode(Picture(image_of((90, 80, 3), np.uint16), "tiff", 16), "tiff").data
    with pytest.raises(OperationFailed, match=f"^variant soft: blur: {says}$"):
        written(data, parse_recipe(f"variants: {{soft: [{{blur: 50%}}]}}\noutput: {{format: {kind}}}", "test"))


def test_memory_that_ends_while_a_file_is_written_is_no_fault_of_its_format(monkeypatch):
    def full(_pieces, _data):
        raise MemoryError

    monkeypatch.setattr(streamed, "LARGE_BYTES", 0)
    monkeypatch.setattr(Pieces, "write", full)
    data = encode(Picture(image_of((90, 80, 3), np.uint16), "tiff", 16), "tiff").data
    with pytest.raises(EncodeError, match=r"^variant f: not enough memory to write it as tiff$") as caught:
        written(data, parse_recipe("variants: {f: [{flip: vertical}]}\noutput: {format: tiff}", "test"))
    assert "memory_mb" in caught.value.hint


def test_pieces_are_a_file():
    pieces, plain = Pieces(), io.BytesIO()
    random = np.random.default_rng(4)
    for _ in range(60):
        some = random.bytes(int(random.integers(0, 3 * PIECE_BYTES // 2)))
        place = int(random.integers(0, len(plain.getvalue()) + 1))
        for file in (pieces, plain):
            file.seek(place)
            assert file.write(some) == len(some)
        assert pieces.tell() == plain.tell()
    whole = plain.getvalue()
    assert len(pieces) == len(whole)
    assert b"".join(pieces) == whole
    for start, count in ((0, 10), (PIECE_BYTES - 3, 7), (len(whole) - 5, 50), (len(whole), 1)):
        pieces.seek(start)
        assert pieces.read(count) == whole[start : start + count]
    assert pieces.seek(-4, io.SEEK_END) == len(whole) - 4


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 3 * PIECE_BYTES + 17])
def test_pieces_that_are_taken_are_let_go(size):
    whole = np.random.default_rng(5).bytes(size)
    pieces = Pieces()
    pieces.write(whole)
    held = pieces._pieces
    file = pieces.taken()
    assert file.seek(0, io.SEEK_END) == size  # how clients learn the length
    file.seek(0)
    seen = bytearray()
    while some := file.read(PIECE_BYTES // 2):
        seen += some
    assert seen == whole
    assert not held
    assert len(pieces) == 0
    if size:
        file.seek(0)
        with pytest.raises(io.UnsupportedOperation, match="is gone"):
            file.read(1)


def test_a_tiff_in_pieces_is_read_by_others():
    image = image_of((300, 400, 3), np.uint16)
    picture = Picture(image, "tiff", 16)
    step = recipe_from_ops(["flip=vertical"]).variants[0].steps[0]
    made = streamed.Streamed(picture, step, "flip").write(load_recipe("augment").outputs_of("flip-vertical")[0])
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(b"".join(made.data))), image[::-1])
