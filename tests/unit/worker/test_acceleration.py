"""The C kernels and the faster codecs: equal to scikit-image and Pillow, used where they suit, safe where not."""

import io
import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import filters, transform

from batchimg_worker import decoding, encoding, png
from batchimg_worker.codec import decode, inspect
from batchimg_worker.operations import OPERATIONS, costs
from batchimg_worker.operations.kernels import fast_smoothing, native
from batchimg_worker.recipe import recipe_from_ops

CHELSEA = Path(__file__).parents[3] / "samples" / "images" / "animals" / "chelsea.jpg"
TYPES = [np.uint8, np.uint16, np.float32]
SIDES = st.one_of(st.integers(1, 40), st.integers(60, 150))
CHANNELS = st.sampled_from([0, 1, 2, 3, 4])
MODES = ["constant", "edge", "symmetric", "reflect", "wrap"]


def image_of(kind, shape, dtype=np.uint8, seed=0):
    """Noise, noise of two values, a checkerboard, a step, white: what shows a filter's errors."""
    rng = np.random.default_rng(seed)
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    flat = {"checker": (x + y) % 2, "step": x > shape[1] // 2, "white": np.ones_like(x)}
    if kind in flat:
        values = flat[kind].reshape(*x.shape, *(1 for _ in shape[2:]))
        return np.ascontiguousarray(np.broadcast_to(values * white, shape), dtype)
    values = rng.integers(0, 2, shape) if kind == "two values" else rng.random(shape)
    return np.ascontiguousarray(np.round(values * white) if white > 1 else values, dtype)


def shape_of(height, width, channels):
    return (height, width, channels) if channels else (height, width)


def run(op, image):
    """The result of the kernel that is registered, and of the fallback."""
    step = recipe_from_ops([op]).variants[0].steps[0]
    operation = OPERATIONS.get(step.operation)
    assert any(kernel.suits(image, step.parameters) for kernel in operation.kernels)
    return operation.run(image, step.parameters), operation.reference(image, **step.parameters)


def assert_close(result, expected, dtype):
    assert result.dtype == dtype
    assert result.shape == expected.shape
    assert result.flags.c_contiguous
    if dtype is np.float32:
        np.testing.assert_allclose(result, expected, atol=3e-5)
        return
    levels = np.rint(np.clip(expected, 0, 1) * np.iinfo(dtype).max)
    difference = np.abs(result.astype(np.int64) - levels.astype(np.int64))
    assert difference.max() <= 2
    assert (difference <= 1).mean() >= 0.999


def test_the_kernels_are_built_for_this_machine():
    assert native.available() or sys.platform != "linux"


def test_the_kernels_can_be_turned_off():
    code = "from batchimg_worker.operations.kernels import native; print(native.available())"
    environment = os.environ | {native.SWITCH: "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@settings(max_examples=60, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    channels=CHANNELS,
    sigma=st.one_of(st.floats(0.3, 12), st.floats(12, 150)).map(lambda sigma: round(sigma, 2)),
    dtype=st.sampled_from(TYPES),
    kind=st.sampled_from(["noise", "two values", "checker", "step", "white"]),
)
def test_blur_equals_scikit_image_whatever_the_image(height, width, channels, sigma, dtype, kind):
    image = image_of(kind, shape_of(height, width, channels), dtype)
    axis = -1 if channels else None
    expected = filters.gaussian(image, sigma, mode="nearest", truncate=4, channel_axis=axis)
    for result in run(f"blur=sigma:{sigma}", image):
        assert_close(result, expected, dtype)


LEVEL_OPS = ["brightness=130%", "contrast=0.7", "contrast=method:sigmoid", "gamma=0.6", "normalize=low:2,high:97"]
AROUND_OPS = [
    *("sharpen", "sharpen=amount:0.4,radius:3.3", "edges=sobel", "denoise=median"),
    *(f"denoise=method:median,radius:{radius}" for radius in (2, 3, 6)),
    *(f"morphology={method}" for method in ("open", "close", "erode", "dilate")),
    *(f"morphology=method:open,footprint:{shape},radius:3" for shape in ("disk", "square", "diamond")),
    *("equalize=histogram", "equalize=clahe", "equalize=method:clahe,clip_limit:0.2,kernel_size:9"),
]
EXACT = ("brightness", "contrast", "gamma", "normalize", "denoise", "morphology")


@settings(max_examples=8, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    channels=CHANNELS,
    kind=st.sampled_from(["noise", "two values", "checker", "step", "white"]),
)
@pytest.mark.parametrize("op", [*LEVEL_OPS, *AROUND_OPS])
def test_kernels_of_bytes_equal_their_reference_whatever_the_image(op, height, width, channels, kind):
    image = image_of(kind, shape_of(height, width, channels))
    before = image.copy()
    result, expected = run(op, image)
    difference = np.abs(result.astype(int) - expected)
    assert (result.dtype, result.shape) == (np.uint8, expected.shape)
    assert difference.max() <= (0 if op.startswith(EXACT) else 2)
    assert (difference > 1).sum() <= 0.001 * difference.size
    assert np.array_equal(image, before)


@pytest.mark.parametrize("op", [*LEVEL_OPS, *AROUND_OPS])
def test_kernels_of_bytes_equal_their_reference_on_a_photo_and_where_strips_meet(monkeypatch, op):
    monkeypatch.setattr(costs, "STRIP_VALUES", 10_000)
    photo = decode(CHELSEA.read_bytes()).array[60:200, 80:240]
    for image in (photo, np.dstack([photo, photo[..., 0]])):
        result, expected = run(op, np.ascontiguousarray(image))
        difference = np.abs(result.astype(int) - expected)
        assert difference.max() <= (0 if op.startswith(EXACT) else 2)
        assert (difference > 1).mean() <= 0.001


@pytest.mark.parametrize("sigma", [2.53, 3.81, 3.82, 5.07, 5.09, 7.3, 12.7, 20, 40])
@pytest.mark.parametrize("period", [2, 3, 4, 5, 8, 16, 31])
def test_blur_lets_no_pattern_through_that_its_samples_could_alias(sigma, period):
    y, x = np.mgrid[0:181, 0:223]
    for pattern in (x // (period // 2 or 1) % 2, (x % period == 0), ((x + y) % period < period / 2)):
        image = (pattern * 255).astype(np.uint8)
        expected = np.rint(filters.gaussian(image, sigma, mode="nearest", truncate=4) * 255)
        difference = np.abs(fast_smoothing.gaussian(image, sigma) - expected)
        assert difference.max() <= 1


@pytest.mark.parametrize("sigma", [6.4, 7.6, 9.99, 14.9, 40])
@pytest.mark.parametrize("period", [2, 3, 5, 16, 31, 76.5])
def test_blur_of_16_bits_is_as_exact_where_patterns_could_alias_and_at_the_cut_of_the_kernel(sigma, period):
    y, x = np.mgrid[0:61, 0:323]
    cut = np.maximum(abs(x - 161), abs(y - 30) * 4) <= int(4 * sigma + 0.5)
    for pattern in (x % period < period / 2, (x % period < 1), ((x + y) % period < period / 2), cut):
        image = (pattern * 65535).astype(np.uint16)
        expected = filters.gaussian(image, sigma, mode="nearest", truncate=4) * 65535
        assert np.abs(fast_smoothing.gaussian(image, sigma) - expected).max() <= 1.5
        floats = fast_smoothing.gaussian(pattern.astype(np.float32), sigma)
        assert np.abs(floats - expected / 65535).max() <= 3e-5


@pytest.mark.parametrize("sigma", [6.4, 12, 33])
def test_blur_of_a_photo_of_16_bits_equals_scikit_image(sigma):
    photo = decode(CHELSEA.read_bytes()).array[:233, :347]
    noise = np.random.default_rng(1).normal(0, 900, photo.shape)
    image = np.clip(photo * 257.0 + noise, 0, 65535).astype(np.uint16)
    expected = filters.gaussian(image, sigma, mode="nearest", truncate=4, channel_axis=-1)
    assert_close(fast_smoothing.gaussian(image, sigma), expected, np.uint16)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_blur_spreads_what_is_no_number_as_far_as_scikit_image_does(value):
    image = image_of("noise", (120, 130), np.float32)
    image[60, 40] = value
    expected = filters.gaussian(image, 7, mode="nearest", truncate=4)
    result = fast_smoothing.gaussian(image, 7)
    np.testing.assert_array_equal(np.isfinite(result), np.isfinite(expected))
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("sigma", [8, 14])
def test_blur_is_seamless_where_strips_meet(monkeypatch, dtype, sigma):
    image = image_of("noise", (700, 90, 3), dtype)
    whole = fast_smoothing.gaussian(image, sigma)
    monkeypatch.setattr(fast_smoothing, "SAMPLE_VALUES", 1)
    monkeypatch.setattr(fast_smoothing, "GROUP", 4)
    np.testing.assert_array_equal(fast_smoothing.gaussian(image, sigma), whole)


@settings(max_examples=60, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    channels=CHANNELS,
    angle=st.one_of(st.floats(-400, 400), st.sampled_from([0, 45, 90, 180, 270, 360])).map(lambda a: round(a, 3)),
    dtype=st.sampled_from(TYPES),
    mode=st.sampled_from(MODES),
    cval=st.sampled_from([0, 0.5, 1]),
    resize=st.booleans(),
)
def test_rotate_equals_scikit_image_whatever_the_image(height, width, channels, angle, dtype, mode, cval, resize):
    image = image_of("noise", shape_of(height, width, channels), dtype)
    expected = transform.rotate(image, angle, mode=mode, cval=cval, resize=resize)
    op = f"rotate=angle:{angle},mode:{mode},cval:{cval},resize:{str(resize).lower()}"
    for result in run(op, image):
        assert_close(result, expected, dtype)


@settings(max_examples=60, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    channels=CHANNELS,
    out=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    dtype=st.sampled_from(TYPES),
    smooth=st.sampled_from([None, False]),
)
def test_resize_equals_scikit_image_whatever_the_image(height, width, channels, out, dtype, smooth):
    image = image_of("noise", shape_of(height, width, channels), dtype)
    expected = transform.resize(image, out, anti_aliasing=smooth)
    op = f"resize=height:{out[0]},width:{out[1]}" + ("" if smooth is None else ",anti_aliasing:false")
    for result in run(op, image):
        assert_close(result, expected, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_a_mirrored_image_is_exact(channels, dtype):
    for width in range(1, 40):
        image = image_of("noise", shape_of(3, width, channels), dtype)
        for result in run("flip=horizontal", image):
            np.testing.assert_array_equal(result, image[:, ::-1])
            assert result.flags.c_contiguous


@pytest.mark.parametrize(
    "image",
    [
        np.ones((9, 9), np.bool_),
        np.ones((9, 9, 5), np.uint8),
        np.ones((9, 9), np.float64),
        np.ones((9, 18), np.uint8)[:, ::2],
    ],
    ids=["bool", "five channels", "float64", "not contiguous"],
)
def test_what_the_kernels_do_not_cover_is_left_to_the_reference(image):
    for name in ("blur", "rotate", "resize", "flip"):
        parameters = {"direction": "horizontal", "order": 1}
        assert not any(kernel.suits(image, parameters) for kernel in OPERATIONS.get(name).kernels)


def test_rows_that_do_not_fit_are_refused_before_memory_is_touched():
    source, target = np.zeros((4, 8), np.float32), np.zeros((2, 8), np.float32)
    weights = np.ones((2, 1), np.float32)
    for index in ([[0], [4]], [[-1], [0]], [[0], [1], [2]]):
        with pytest.raises(ValueError, match="do not fit"):
            native.weighted_rows(source, np.array(index, np.int32), weights, target)
    with pytest.raises(ValueError, match="do not fit"):
        native.weighted_rows(source.reshape(1, -1), np.array([[0], [25]], np.int32), weights, target, step=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 2, 3, 4])
@pytest.mark.parametrize("kind", ["noise", "step", "white"])
def test_png_is_lossless(channels, dtype, kind):
    for height, width in ((1, 1), (1, 70), (33, 1), (61, 67)):
        image = image_of(kind, shape_of(height, width, channels), dtype)
        np.testing.assert_array_equal(imagecodecs.png_decode(png.write(image, None)), image)
        if dtype is np.uint8:
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png.write(image, None)))), image)


def test_png_of_a_photo_uses_filters_and_is_no_larger_than_pillow_s():
    image = decode(CHELSEA.read_bytes()).array
    usual = io.BytesIO()
    Image.fromarray(image).save(usual, "png", compress_level=encoding.PNG_LEVEL)
    assert len(png.write(image, None)) < 1.05 * len(usual.getvalue())


@pytest.mark.parametrize("quality", [1, 50, 90, 100])
def test_jpeg_has_the_bytes_that_pillow_writes(quality):
    for shape in ((1, 1, 3), (17, 33, 3), (200, 300, 3)):
        image, usual = image_of("noise", shape), io.BytesIO()
        Image.fromarray(image).save(usual, "jpeg", quality=quality, subsampling="4:2:0", icc_profile=bytes(70_000))
        assert encoding.write(image, encoding.Wanted("jpeg", quality, _profile()))[0] == _with_profile(usual.getvalue())


def _profile():
    return bytes(16) + b"RGB " + bytes(70_000 - 20)


def _with_profile(data):
    return data.replace(bytes(20), _profile()[:20], 1)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 20}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_read_as_pillow_reads_it_and_by_the_faster_library(mode, options):
    target = io.BytesIO()
    Image.open(CHELSEA).convert(mode).resize((333, 201)).save(target, "jpeg", **options)
    data = target.getvalue()
    pixels = decoding._fast(data, inspect(data))
    assert pixels is not None
    np.testing.assert_array_equal(pixels.array, np.asarray(Image.open(io.BytesIO(data))))


def test_what_the_faster_library_minds_is_decided_by_pillow():
    data = CHELSEA.read_bytes()
    garbage = data[:-2] + b"garbage" + data[-2:]
    assert decoding._fast(data[:-2], inspect(data)) is None
    np.testing.assert_array_equal(decode(garbage).array, decode(data).array)


LATE = """
import sys
import batchimg_worker.task
early = [name for name in ("imageio", "PIL", "tifffile", "numpy") if name in sys.modules]
from batchimg_worker.apply import process
from batchimg_worker.recipe import load_recipe
outputs = list(process(open(sys.argv[1], "rb").read(), load_recipe("augment")).outputs)
late = [name for name in ("scipy", "skimage") if name in sys.modules]
print(len(outputs), early, late)
"""


def test_a_task_fetches_before_image_libraries_load_and_the_default_recipe_needs_no_scikit_image():
    done = subprocess.run([sys.executable, "-c", LATE, str(CHELSEA)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5 [] []"


FAULTS = """
import resource, sys
import numpy as np
from batchimg_worker.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(40_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(40_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again():
    faults = {
        way: int(subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True, check=True).stdout)
        for way in ("keep", "usual")
    }
    assert faults["keep"] < 100
    assert faults["usual"] > 2 * faults["keep"]
