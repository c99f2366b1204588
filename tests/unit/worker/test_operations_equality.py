"""scikit-image defines every result: within 1 grey level on 99.9 % of the pixels, within 2 on all."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color, filters, transform

from batchimg_worker.codec import decode
from batchimg_worker.errors import ImageError
from batchimg_worker.operations import OPERATIONS
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.recipe import recipe_from_ops

ROOT = Path(__file__).parents[3]
SAMPLES = sorted(path for path in (ROOT / "samples" / "images").rglob("*") if path.is_file())
SHAPES = [(1, 1), (1, 1, 3), (1, 33), (41, 1, 3), (7, 5, 2), (64, 48), (129, 257, 3), (50, 63, 4)]
TYPES = [np.uint8, np.uint16, np.float32]


def random_image(shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if dtype is np.float32:
        return rng.normal(0.5, 2, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def extreme_images():
    y, x = np.mgrid[0:97, 0:131]
    checker = ((x + y) % 2 * 255).astype(np.uint8)
    yield "checker", checker
    yield "stripes", np.stack([(x // 3 % 2 * 255).astype(np.uint8)] * 3, axis=2)
    yield "white", np.full((97, 131, 3), 255, np.uint8)
    yield "black", np.zeros((97, 131), np.uint8)
    yield "one bright pixel", np.where((x == 65) & (y == 48), 255, 0).astype(np.uint8)
    yield "no black, no white", (100 + checker // 5).astype(np.uint8)
    yield "saturated half", np.where(x > 60, 65535, 0).astype(np.uint16)


EXTREMES = dict(extreme_images())


def rounded(values, dtype):
    """What `skimage.img_as_ubyte` does, after clipping; it raises on values that rounding put just above 1."""
    if dtype == np.float32:
        return np.asarray(values, np.float32)
    return np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def channel_axis(image):
    return -1 if image.ndim == 3 else None


def run(op, image):
    step = recipe_from_ops([op]).variants[0].steps[0]
    return OPERATIONS.get(step.operation).run(image, step.parameters)


def assert_equal(result, expected):
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert result.flags.c_contiguous
    if result.dtype == np.float32:
        np.testing.assert_allclose(result, expected, atol=2e-3, rtol=1e-4)
        return
    difference = np.abs(result.astype(np.int64) - expected.astype(np.int64))
    assert difference.max() <= 2
    assert (difference <= 1).mean() >= 0.999


def skimage_rotate(image, angle, **options):
    options = {"order": 1, **options}
    if options["order"] == 0:
        return transform.rotate(image, angle, preserve_range=True, **options).astype(image.dtype)
    return rounded(transform.rotate(image, angle, **options), image.dtype)


def skimage_resize(image, shape, **options):
    result = transform.resize(image, shape, **options)
    return result if options.get("order") == 0 and image.dtype != np.float32 else rounded(result, image.dtype)


def skimage_blur(image, sigma):
    smooth = filters.gaussian(image, sigma, mode="nearest", truncate=4, channel_axis=channel_axis(image))
    return rounded(smooth, image.dtype)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_default_recipe_equals_scikit_image_on_every_sample(path):
    try:
        image = decode(path.read_bytes()).array
    except ImageError:
        assert path.name in ("truncated.jpg", "not-a-picture.jpg")
        return
    shorter = min(image.shape[:2])
    assert_equal(run("rotate=30", image), skimage_rotate(image, 30))
    assert_equal(run("blur=25%", image), skimage_blur(image, 0.25 * 0.02 * shorter))
    assert_equal(run("blur=50%", image), skimage_blur(image, 0.50 * 0.02 * shorter))
    np.testing.assert_array_equal(run("flip=horizontal", image), image[:, ::-1])
    np.testing.assert_array_equal(run("flip=vertical", image), image[::-1])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_operations_equal_scikit_image_for_every_shape_and_type(shape, dtype):
    image = random_image(shape, dtype)
    assert_equal(run("rotate=30", image), skimage_rotate(image, 30))
    assert_equal(run("rotate=angle:-75,resize:true", image), skimage_rotate(image, -75, resize=True))
    assert_equal(run("blur=sigma:2.3", image), skimage_blur(image, 2.3))
    size = (max(1, round(shape[0] * 0.5)), max(1, round(shape[1] * 0.5)))
    assert_equal(run("resize=50%", image), skimage_resize(image, size))
    assert_equal(run("resize=37x21", image), skimage_resize(image, (21, 37)))


@pytest.mark.parametrize("name", EXTREMES)
def test_operations_equal_scikit_image_on_extreme_images(name):
    image = EXTREMES[name]
    for angle in (0, 0.1, 30, 45, 90, 179.5, -360):
        assert_equal(run(f"rotate={angle}", image), skimage_rotate(image, angle))
    for sigma in (0.1, 0.5, 3.5, 4, 8.25, 40):
        assert_equal(run(f"blur=sigma:{sigma}", image), skimage_blur(image, sigma))
    for width, height in ((1, 1), (13, 97), (131, 200), (400, 30)):
        assert_equal(run(f"resize={width}x{height}", image), skimage_resize(image, (height, width)))


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("mode", ["constant", "edge", "symmetric", "reflect", "wrap"])
def test_rotate_knows_scikit_image_s_orders_and_modes(mode, order):
    for image in (random_image((61, 83, 3)), random_image((40, 90), np.uint16)):
        result = run(f"rotate=angle:50,mode:{mode},order:{order}", image)
        assert_equal(result, skimage_rotate(image, 50, mode=mode, order=order))


def test_rotate_fills_corners_with_a_part_of_white():
    image = np.full((40, 40), 100, np.uint8)
    assert_equal(run("rotate=angle:45,cval:1", image), skimage_rotate(image, 45, cval=1))
    assert run("rotate=angle:45,cval:1", image)[0, 0] == 255
    assert run("rotate=angle:45,cval:0.5,order:0", image)[0, 0] == 128


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("size", [(50, 33), (33, 200), (300, 7), (83, 61)])
def test_resize_knows_scikit_image_s_orders(size, order):
    for dtype in TYPES:
        image = random_image((61, 83, 3), dtype)
        result = run(f"resize=width:{size[0]},height:{size[1]},order:{order}", image)
        assert_equal(result, skimage_resize(image, size[::-1], order=order))


def test_resize_without_anti_aliasing_equals_scikit_image():
    image = random_image((61, 83, 3))
    result = run("resize=width:20,height:20,anti_aliasing:false", image)
    assert_equal(result, skimage_resize(image, (20, 20), anti_aliasing=False))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        ("resize=width:50", (40, 50)),
        ("resize=height:50", (50, 62)),
        ("resize=longest:50", (40, 50)),
        ("resize=longest:200,enlarge:false", (80, 100)),
        ("resize=150%", (120, 150)),
        ("resize=0.1%", (1, 1)),
        ("crop=30x20", (20, 30)),
        ("rotate=angle:90,resize:true", (100, 80)),
    ],
)
def test_sizes_are_what_the_operation_announces(op, shape):
    step = recipe_from_ops([op]).variants[0].steps[0]
    image = random_image((80, 100, 3))
    result = OPERATIONS.get(step.operation).run(image, step.parameters)
    assert result.shape == (*shape, 3)
    assert OPERATIONS.get(step.operation).output_shape(image.shape, step.parameters) == result.shape


def test_crop_cuts_where_it_says_and_shares_no_memory():
    image = random_image((80, 100, 3))
    result = run("crop=x:5,y:7,width:11,height:13", image)
    np.testing.assert_array_equal(result, image[7:20, 5:16])
    assert not np.shares_memory(result, image)
    np.testing.assert_array_equal(run("crop=40x20", image), image[30:50, 30:70])


@pytest.mark.parametrize("op", ["crop=101x10", "crop=x:60,y:0,width:41,height:1", "crop=x:0,y:80,width:1,height:1"])
def test_a_crop_outside_of_the_frame_says_both_sizes(op):
    with pytest.raises(ValueError, match=r"crop of .* does not fit into the image of 100x80"):
        run(op, random_image((80, 100, 3)))


@pytest.mark.parametrize("dtype", TYPES)
def test_grayscale_is_bt_709_and_keeps_alpha(dtype):
    image = random_image((50, 63, 4), dtype)
    result = run("grayscale", image)
    assert result.shape == (50, 63, 2)
    assert_equal(result[..., 0].copy(), rounded(color.rgb2gray(image[..., :3]), image.dtype))
    np.testing.assert_array_equal(result[..., 1], image[..., 3])
    assert run("grayscale", image[..., :3]).shape == (50, 63)
    np.testing.assert_array_equal(run("grayscale", image[..., 0]), image[..., 0])


def test_one_bit_images_stay_one_bit_where_pixels_only_move():
    image = random_image((40, 61)) > 127
    for op in ("flip=vertical", "crop=10x10", "rotate=33", "resize=50%"):
        assert run(op, image).dtype == np.bool_
    np.testing.assert_array_equal(run("resize=20x20", image), transform.resize(image, (20, 20)))
    np.testing.assert_array_equal(run("rotate=33", image), transform.rotate(image, 33, order=0).astype(bool))
    assert_equal(run("blur=sigma:2", image), skimage_blur(image * np.uint8(255), 2))


def test_float_images_may_hold_nan_and_infinity():
    image = random_image((40, 61), np.float32)
    image[3, 4], image[5, 6] = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run("rotate=10", image)
    assert np.isfinite(result).sum() > 2000


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([0, 2, 3, 4]),
    angle=st.floats(-720, 720).map(lambda angle: round(angle, 3)),
    sigma=st.floats(0.01, 30).map(lambda sigma: round(sigma, 3)),
    out=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 99),
)
def test_any_small_image_equals_scikit_image(height, width, channels, angle, sigma, out, seed):
    image = random_image((height, width, channels)[: 3 if channels else 2], seed=seed)
    assert_equal(run(f"blur=sigma:{max(sigma, 0.01)}", image), skimage_blur(image, max(sigma, 0.01)))
    assert_equal(run(f"resize={out[1]}x{out[0]}", image), skimage_resize(image, out))
    assert_equal(run(f"rotate={angle}", image), skimage_rotate(image, angle))


@pytest.mark.parametrize("op", ["rotate=30", "blur=sigma:9", "resize=60%", "resize=width:900,height:3000,order:3"])
def test_results_are_the_same_across_tile_borders(op):
    image = random_image((1200, 2600))
    step = recipe_from_ops([op]).variants[0].steps[0]
    result = run(op, image)
    if step.operation == "rotate":
        expected = skimage_rotate(image, 30)
    elif step.operation == "blur":
        expected = skimage_blur(image, 9)
    else:
        expected = skimage_resize(image, result.shape, order=step.parameters["order"])
    assert_equal(result, expected)


def traced_peak(op, image):
    """The most that an operation holds beside its input and output, as numpy reports it to tracemalloc."""
    run(op, image[:40, :40])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = run(op, image)
        return tracemalloc.get_traced_memory()[1] - before - result.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "op",
    [
        "flip=horizontal",
        "rotate=30",
        "rotate=angle:30,order:0,mode:wrap",
        "blur=sigma:8",
        "resize=30%",
        "resize=scale:0.3,order:3",
        "resize=2%",
        "crop=40x40",
    ],
)
@pytest.mark.parametrize("shape", [(4000, 3000), (40, 300_000)], ids=["square", "wide"])
def test_temporaries_stay_small_whatever_the_size(op, shape):
    image = np.zeros(shape, np.uint8)
    as_float32 = image.size * 4
    assert traced_peak(op, image) < min(TEMPORARY_BYTES, as_float32)


def test_temporaries_stay_small_whatever_the_blur():
    assert traced_peak("blur=sigma:400", np.zeros((20, 20_000), np.uint8)) < TEMPORARY_BYTES


def test_temporaries_of_grayscale_stay_small():
    image = np.zeros((4000, 3000, 3), np.uint8)
    assert traced_peak("grayscale", image) < image.nbytes
