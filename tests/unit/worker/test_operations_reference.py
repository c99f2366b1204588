"""The operations that are scikit-image's own: equal to it on every shape and type, in strips too; alpha stays."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color, exposure, feature, filters, morphology, restoration, transform, util
from skimage.color.adapt_rgb import adapt_rgb, each_channel, hsv_value

from batchimg_worker.codec import decode
from batchimg_worker.operations import OPERATIONS, costs, framing
from batchimg_worker.operations.reference import marks
from batchimg_worker.recipe import recipe_from_ops

ROOT = Path(__file__).parents[3]
PHOTOS = ["animals/chelsea-alpha.png", "places/flower.jpg", "odd/camera-16bit.png", "odd/rocket-16bit.png"]
SHAPES = [(1, 1), (1, 1, 3), (1, 33), (41, 1, 3), (7, 5, 2), (64, 48), (45, 57, 3), (50, 63, 4)]
TYPES = [np.uint8, np.uint16, np.float32, np.bool_]


def random_image(shape, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random(shape)
    if dtype is np.bool_:
        return values > 0.5
    return values.astype(np.float32) if dtype is np.float32 else np.rint(values * np.iinfo(dtype).max).astype(dtype)


def checker(low, high, dtype):
    y, x = np.mgrid[0:37, 0:53]
    return np.stack([np.where((x + y) % 2, high, low).astype(dtype)] * 3, axis=2)


EXTREMES = {
    "black": np.zeros((37, 53, 3), np.uint8),
    "white": np.full((37, 53, 3), 255, np.uint8),
    "grey of one level": np.full((37, 53), 77, np.uint8),
    "checker": checker(0, 255, np.uint8),
    "checker of 16 bits": checker(0, 65535, np.uint16),
    "nearly one level": checker(100, 101, np.uint8),
    "clear": np.dstack([checker(0, 255, np.uint8), np.zeros((37, 53), np.uint8)]),
}


def run(op, image):
    step = recipe_from_ops([op]).variants[0].steps[0]
    before = image.copy()
    result = OPERATIONS.get(step.operation).run(image, step.parameters)
    np.testing.assert_array_equal(image, before)
    return result


def split(image):
    """Colours from 0 to 1 in float64, without a channel axis where there is one; the type; alpha."""
    image = image * np.uint8(255) if image.dtype == np.bool_ else image
    alpha = image[..., -1] if image.ndim == 3 and image.shape[2] in (2, 4) else None
    colours = image if image.ndim == 2 or alpha is None else image[..., :-1]
    colours = colours[..., 0] if colours.ndim == 3 and colours.shape[2] == 1 else colours
    white = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    return colours / white, image.dtype, alpha


def joined(values, dtype, alpha):
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    values = np.asarray(values, np.float64)
    result = values.astype(dtype) if white == 1 else np.rint(np.clip(values, 0, 1) * white).astype(dtype)
    return result if alpha is None else np.dstack([result, alpha])


def axis(values):
    return -1 if values.ndim == 3 else None


def luminance(values):
    return color.rgb2gray(values) if values.ndim == 3 else values


def by_colour(function):
    return adapt_rgb(each_channel)(lambda plane, *more: function(plane, *more))


def unsharp(values, radius, amount):
    return filters.unsharp_mask(
        values, radius, amount, channel_axis=2 if values.ndim == 3 else None, preserve_range=True
    )


def footprint(kind, radius):
    return np.ones((2 * radius + 1,) * 2) if kind == "square" else getattr(morphology, kind)(radius)


def morph(name, kind, radius):
    return lambda values: by_colour(lambda plane: getattr(morphology, name)(plane, footprint(kind, radius)))(values)


def bilateral(values, color=0.05, spatial=2.0):
    return restoration.denoise_bilateral(
        values, sigma_color=color, sigma_spatial=spatial, mode="edge", channel_axis=axis(values)
    ).reshape(values.shape)


def nl_means(values, **options):
    given = {"h": 0.05, "patch_size": 5, "patch_distance": 6, "preserve_range": True, **options}
    return restoration.denoise_nl_means(values, channel_axis=axis(values), **given).reshape(values.shape)


def stretched(values, low, high):
    ends = tuple(np.percentile(values, (low, high)))
    return values if ends[0] == ends[1] else exposure.rescale_intensity(values, in_range=ends, out_range=(0, 1))


def clahe(values, **options):
    return exposure.equalize_adapthist(values, **options)


CASES = {
    "contrast": lambda v: exposure.rescale_intensity(v, in_range=(0.1, 0.9), out_range=(0, 1)),
    "contrast=60%": lambda v: (v - 0.5) * 0.6 + 0.5,
    "contrast=method:sigmoid": lambda v: exposure.adjust_sigmoid(v, 0.5, 7),
    "contrast=method:sigmoid,cutoff:0.3,gain:12": lambda v: exposure.adjust_sigmoid(v, 0.3, 12),
    "gamma=0.5": lambda v: exposure.adjust_gamma(v, 0.5),
    "gamma=gamma:2.2,gain:1.5": lambda v: exposure.adjust_gamma(v, 2.2, 1.5),
    "brightness=130%": lambda v: exposure.adjust_gamma(v, 1, 1.3),
    "brightness=0.4": lambda v: exposure.adjust_gamma(v, 1, 0.4),
    "invert": util.invert,
    "normalize": lambda v: stretched(v, 1, 99),
    "normalize=low:5,high:80.5": lambda v: stretched(v, 5, 80.5),
    "sharpen": lambda v: unsharp(v, 1, 1),
    "sharpen=amount:2.5,radius:4.2": lambda v: unsharp(v, 4.2, 2.5),
    "denoise=tv": lambda v: restoration.denoise_tv_chambolle(v, 0.05, channel_axis=axis(v)),
    "denoise=bilateral": bilateral,
    "denoise=method:bilateral,sigma_color:0.2,sigma_spatial:1": lambda v: bilateral(v, 0.2, 1),
    "denoise=nl_means": nl_means,
    "denoise=method:nl_means,h:0.2,patch_size:3,patch_distance:4": lambda v: nl_means(
        v, h=0.2, patch_size=3, patch_distance=4
    ),
    "denoise=median": by_colour(filters.median),
    "denoise=method:median,radius:3": by_colour(lambda p: filters.median(p, np.ones((7, 7)))),
    "edges": lambda v: filters.sobel(luminance(v)),
    "morphology=open": morph("opening", "disk", 1),
    "morphology=method:close,footprint:square,radius:2": morph("closing", "square", 2),
    "morphology=method:erode,footprint:diamond,radius:3": morph("erosion", "diamond", 3),
    "morphology=method:dilate,radius:4": morph("dilation", "disk", 4),
}
ON_LUMINANCE_OR_VALUE = {
    "equalize": lambda v: clahe(v),
    "equalize=method:clahe,clip_limit:0.05,kernel_size:9": lambda v: clahe(v, clip_limit=0.05, kernel_size=9),
}
FINER_THAN_FLOAT32 = {"denoise=tv"}
"""Stops when the change is small, so that float32 and float64 may do different numbers of rounds."""

QUANTISED = ("denoise=method:bilateral", "denoise=bilateral")
"""Bilateral looks weights up in a table that depends on the largest value: some of 65536 levels between strips."""


def assert_equal(result, expected, op="", name=""):
    assert result.dtype == expected.dtype, (op, name)
    assert result.shape == expected.shape, (op, name)
    assert result.flags.c_contiguous
    if result.dtype == np.float32:
        np.testing.assert_allclose(result, expected, atol=2e-3 if op not in FINER_THAN_FLOAT32 else 5e-3)
        return
    scale = 4 if result.dtype == np.uint16 and op.startswith(QUANTISED) else 1
    difference = np.abs(result.astype(np.int64) - expected.astype(np.int64))
    assert difference.max(initial=0) <= 2 * scale, (op, name)
    assert (difference <= scale).mean() >= 0.999, (op, name)


def assert_equal_to_skimage(op, reference, image):
    colours, dtype, alpha = split(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = joined(reference(colours), dtype, alpha)
    if image.dtype == np.bool_ and op.startswith(("morphology", "invert", "denoise=median", "denoise=method:median")):
        expected = expected > 127
    assert_equal(run(op, image), expected, op)


@pytest.mark.parametrize("op", CASES)
def test_an_operation_equals_scikit_image_for_every_shape_and_type(op):
    for shape in SHAPES:
        for dtype in TYPES:
            assert_equal_to_skimage(op, CASES[op], random_image(shape, dtype))


@pytest.mark.parametrize("op", CASES)
def test_an_operation_equals_scikit_image_on_extremes(op):
    for image in EXTREMES.values():
        assert_equal_to_skimage(op, CASES[op], image)


@pytest.mark.parametrize("path", PHOTOS)
def test_operations_equal_scikit_image_on_photos(path):
    image = decode((ROOT / "samples" / "images" / path).read_bytes()).array
    image = np.ascontiguousarray(image[100:228, 60:220])
    for op, reference in {**CASES, **ON_LUMINANCE_OR_VALUE}.items():
        assert_equal_to_skimage(op, reference, image)


@pytest.mark.parametrize("op", CASES)
def test_strips_leave_no_seams(op, monkeypatch):
    image = random_image((90, 41, 3))
    whole = run(op, image)
    monkeypatch.setattr(costs, "STRIP_VALUES", 41 * 3 * 7)
    assert_equal(run(op, image), whole, op)
    assert costs.strip_rows((90, 41, 3)) == 7


# Histograms


@pytest.mark.parametrize("op", ON_LUMINANCE_OR_VALUE)
@pytest.mark.parametrize("dtype", TYPES)
def test_clahe_equals_scikit_image(op, dtype):
    for shape in ((1, 1), (1, 1, 3), (40, 1, 3), (64, 48), (45, 57, 3), (50, 63, 4), (30, 31, 2)):
        assert_equal_to_skimage(op, ON_LUMINANCE_OR_VALUE[op], random_image(shape, dtype))
    for name in ("black", "white", "grey of one level", "clear", "checker"):
        assert_equal_to_skimage(op, ON_LUMINANCE_OR_VALUE[op], EXTREMES[name])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equalize_histogram_equals_scikit_image_on_the_value(dtype):
    for shape in ((1, 1), (1, 1, 3), (64, 48), (45, 57, 3), (50, 63, 4)):
        image = random_image(shape, dtype)
        colours, _, alpha = split(image)

        def flat(value, dtype=dtype):
            return exposure.equalize_hist(np.rint(value * np.iinfo(dtype).max).astype(dtype))

        reference = hsv_value(flat, colours) if colours.ndim == 3 else flat(colours)
        assert_equal(run("equalize=histogram", image), joined(reference, dtype, alpha))


def test_equalize_histogram_of_floats_equals_scikit_image():
    image = random_image((64, 48, 3), np.float32)
    expected = hsv_value(lambda value: exposure.equalize_hist(value), image)
    assert_equal(run("equalize=histogram", image), expected.astype(np.float32))


@pytest.mark.parametrize("op", ["equalize", "equalize=histogram"])
def test_equalize_refuses_floats_without_a_known_white(op):
    with pytest.raises(ValueError, match="not from 0 to 1; use normalize first"):
        run(op, random_image((9, 9), np.float32) * 300)


# Black and white


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_otsu_equals_scikit_image(shape, dtype):
    image = random_image(shape, dtype)
    colours, kind, alpha = split(image)
    grey = joined(luminance(colours), kind, None)
    marked = grey > filters.threshold_otsu(grey)
    assert_near_marks(run("threshold", image), joined(marked, kind, alpha))


def assert_near_marks(result, expected):
    """A grey level at the limit may be on either side where luminance is rounded."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert (result == expected).mean() >= 0.99
    white = 1 if result.dtype == np.float32 else np.iinfo(result.dtype).max
    plane = result[..., 0] if result.ndim == 3 else result
    assert set(np.unique(plane)) <= {0, white}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("options", ["", ",block_size:9", ",block_size:21,offset:0.03"])
def test_local_threshold_equals_scikit_image(options, dtype):
    given = dict(part.split(":") for part in options.split(",") if part)
    for shape in SHAPES[2:]:
        image = random_image(shape, dtype)
        colours, kind, alpha = split(image)
        grey = joined(luminance(colours), kind, None).astype(np.float64)
        white = 1 if kind == np.float32 else np.iinfo(kind).max
        limit = filters.threshold_local(
            grey, int(given.get("block_size", 51)), offset=float(given.get("offset", 0)) * white
        )
        assert_near_marks(run(f"threshold=method:local{options}", image), joined(grey > limit, kind, alpha))


def test_a_fixed_level_is_a_part_of_white():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(run("threshold=50%", image), (image > 127.5) * np.uint8(255))
    np.testing.assert_array_equal(run("threshold=method:level,level:0.25", image), (image > 63.75) * np.uint8(255))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("options", ["", ",sigma:2,low_threshold:0.02,high_threshold:0.05"])
def test_canny_equals_scikit_image(options, dtype):
    given = {name: float(value) for name, value in (part.split(":") for part in options.split(",") if part)}
    for shape in SHAPES:
        image = random_image(shape, dtype)
        colours, kind, alpha = split(image)
        own = colours.astype(np.float32) if dtype is np.float32 else colours
        expected = feature.canny(luminance(own), **{"sigma": 1, **given})
        np.testing.assert_array_equal(run(f"edges=method:canny{options}", image), joined(expected, kind, alpha))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_canny_on_a_slope_is_scikit_image_s_where_the_last_bit_decides(dtype):
    y, x = np.mgrid[0:63, 0:65]
    for colours in (x / 64, np.dstack([x / 64, y / 62, (x + y) / 126])):
        image = np.rint(colours * np.iinfo(dtype).max).astype(dtype)
        plane = color.rgb2gray(image) if image.ndim == 3 else util.img_as_float(image)
        marks = feature.canny(plane, 2.5, 0.02, 0.05)
        assert marks.any()
        result = run("edges=method:canny,sigma:2.5,low_threshold:0.02,high_threshold:0.05", image)
        np.testing.assert_array_equal(result > 0, marks)


def test_a_local_threshold_of_one_level_of_floats_is_scikit_image_s():
    image = np.full((31, 40), 0.7, np.float32)
    np.testing.assert_array_equal(run("threshold=local", image) > 0, image > filters.threshold_local(image, 51))


FLOATS_BESIDE_WHITE = np.array([[0.1, 0.5, 1.0000001, 0.3], [-1e-7, 0.2, 0.9, 1.0]], np.float32)


@pytest.mark.parametrize("op", ["convert=8", "convert=16", "equalize=clahe", "equalize=histogram"])
def test_what_rounding_leaves_beside_white_in_a_float_is_white(op):
    clipped = np.clip(FLOATS_BESIDE_WHITE, 0, 1)
    assert_equal(run(op, FLOATS_BESIDE_WHITE), run(op, clipped))


def test_a_normalized_float_image_lies_from_0_to_1():
    for seed in range(40):
        image = random_image((9, 11, 3), np.float32, seed) * np.float32(3.7) - np.float32(0.3)
        result = run("normalize=low:10,high:60", image)
        assert result.min() == 0
        assert 1 - 1e-6 < result.max() <= 1


def test_local_threshold_leaves_no_seams(monkeypatch):
    image = random_image((90, 41))
    whole = run("threshold=method:local,block_size:11", image)
    monkeypatch.setattr(costs, "STRIP_VALUES", 41 * 20)
    np.testing.assert_array_equal(run("threshold=method:local,block_size:11", image), whole)


# Frames


@pytest.mark.parametrize("mode", ["constant", "edge", "symmetric", "reflect", "wrap"])
def test_pad_equals_numpy(mode):
    for shape in SHAPES:
        for dtype in TYPES:
            image = random_image(shape, dtype)
            widths = ((1, 2), (3, 0), (0, 0))[: image.ndim]
            result = run(f"pad=top:1,bottom:2,left:3,mode:{mode}", image)
            assert_equal(result.astype(np.float32), np.pad(image, widths, mode=mode).astype(np.float32))
            assert result.dtype == image.dtype


@pytest.mark.parametrize(
    ("op", "shape", "corner"),
    [
        ("pad=5", (50, 70), (5, 5)),
        ("pad=100x81", (81, 100), (20, 20)),
        ("pad=square", (60, 60), (10, 0)),
        ("pad=height:43", (43, 60), (1, 0)),
    ],
)
def test_a_padded_image_is_where_it_says(op, shape, corner):
    image = random_image((40, 60, 3))
    result = run(op, image)
    assert result.shape == (*shape, 3)
    top, left = corner
    np.testing.assert_array_equal(result[top : top + 40, left : left + 60], image)
    assert result.sum(dtype=int) == image.sum(dtype=int)


def test_the_border_s_grey_is_a_part_of_white():
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)):
        assert run("pad=top:1,cval:1", random_image((3, 3), dtype))[0, 0] == white


def test_a_frame_that_is_too_small_says_both_sizes():
    with pytest.raises(ValueError, match="image of 60x40 is larger than the frame of 50x50"):
        run("pad=50x50", random_image((40, 60)))


def test_a_thumbnail_is_skimage_s_resize_and_never_larger():
    image = random_image((40, 60, 3))
    expected = transform.resize(image, (20, 30))
    assert_equal(run("thumbnail=30", image), joined(expected, np.uint8, None))
    np.testing.assert_array_equal(run("thumbnail=300", image), image)
    assert run("thumbnail=1", random_image((1, 500))).shape == (1, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bit_depths_are_scikit_image_s(shape):
    for dtype in (np.uint8, np.uint16, np.float32):
        image = random_image(shape, dtype)
        for bits, reference in ((8, util.img_as_ubyte), (16, util.img_as_uint), (32, util.img_as_float32)):
            result = run(f"convert={bits}", image)
            expected = reference(image)
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result.astype(float), expected.astype(float), atol=1 if bits < 32 else 1e-6)


def test_there_and_back_again_is_the_same_image():
    image = random_image((20, 30, 4))
    for bits in (16, 32):
        np.testing.assert_array_equal(
            run(f"convert={bits} | convert=8".split(" | ")[1], run(f"convert={bits}", image)), image
        )


@pytest.mark.parametrize("values", [[0.0, 1.5], [-0.1, 1.0], [np.nan, 0.5], [np.inf, 0.5]])
def test_floats_beyond_white_are_refused_for_whole_numbers(values):
    image = np.array([values], np.float32)
    with pytest.raises(ValueError, match="no agreed white"):
        run("convert=8", image)
    assert run("convert=32", image) is image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_modes_are_scikit_image_s(dtype):
    rgba = random_image((20, 30, 4), dtype)
    rgb, grey = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 0])
    np.testing.assert_array_equal(run("convert=rgb", grey), color.gray2rgb(grey))
    np.testing.assert_array_equal(run("convert=rgba", rgb)[..., :3], rgb)
    assert (run("convert=rgba", rgb)[..., 3] == (1 if dtype is np.float32 else np.iinfo(dtype).max)).all()
    np.testing.assert_array_equal(run("convert=rgba", rgba), rgba)
    colours, kind, _ = split(rgb)
    assert_equal(run("convert=grey", rgb), joined(color.rgb2gray(colours), kind, None))
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    assert_equal(run("convert=rgb", rgba), joined(color.rgba2rgb(rgba / white), kind, None))
    greya = run("convert=greya", rgba)
    np.testing.assert_array_equal(greya[..., 1], rgba[..., 3])
    np.testing.assert_array_equal(run("convert=greya", greya), greya)


def test_stripping_metadata_leaves_the_pixels():
    image = random_image((5, 6, 4))
    np.testing.assert_array_equal(run("strip_metadata", image), image)


# Watermark


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_watermark_lightens_only_its_place(channels, dtype):
    image = np.zeros((120, 160, channels), dtype) if channels > 1 else np.zeros((120, 160), dtype)
    result = run("watermark=text:© batchimg,size:0.1,position:bottom-right", image)
    plane = result if channels == 1 else result[..., 0]
    changed = np.argwhere(plane > 0)
    assert len(changed) > 50
    assert changed.min(axis=0)[0] > 90
    assert changed.min(axis=0)[1] > 80
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    top = white if channels in (2, 4) else white / 2
    assert abs(float(plane.max()) - top) <= top / 50
    if channels in (2, 4):
        assert abs(float(result[..., -1].max()) - white / 2) <= white / 50


@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [
        ("top-left", (0, 40), (0, 80)),
        ("top", (0, 40), (40, 120)),
        ("right", (40, 80), (80, 160)),
        ("left", (40, 80), (0, 80)),
        ("center", (40, 80), (40, 120)),
        ("bottom", (80, 120), (40, 120)),
    ],
)
def test_a_watermark_is_where_it_should_be(position, rows, columns):
    result = run(f"watermark=text:here,position:{position}", np.zeros((120, 160), np.uint8))
    low, high = np.argwhere(result).min(axis=0), np.argwhere(result).max(axis=0)
    assert rows[0] <= low[0] <= high[0] < rows[1]
    assert columns[0] <= low[1] <= high[1] < columns[1]


def test_a_watermark_is_made_smaller_until_it_fits_and_refused_where_nobody_could_read_it():
    text = "a rather long text that is wider than most images"
    assert run(f"watermark=text:{text},size:0.5", np.zeros((300, 400), np.uint8)).any()
    with pytest.raises(ValueError, match="image of 40x30 is too small for the text"):
        run(f"watermark=text:{text}", np.zeros((30, 40), np.uint8))


def test_the_same_watermark_gives_the_same_pixels_and_black_on_white_is_its_mirror():
    on_black = run("watermark=text:mark,opacity:1", np.zeros((90, 90, 3), np.uint8))
    on_white = run("watermark=text:mark,opacity:1,color:black", np.full((90, 90, 3), 255, np.uint8))
    np.testing.assert_array_equal(on_black, run("watermark=text:mark,opacity:1", np.zeros((90, 90, 3), np.uint8)))
    np.testing.assert_allclose(on_black.astype(int), 255 - on_white.astype(int), atol=1)


def test_the_built_in_font_has_every_letter_that_is_allowed():
    allowed = [*map(chr, range(0x21, 0x7F)), *framing.SIGNS]
    missing = marks._drawn("￿", 24)
    for letter in allowed:
        OPERATIONS.get("watermark").bind({"text": letter})
        drawn = marks._drawn(letter, 24)
        assert drawn.any()
        assert drawn.shape != missing.shape or (drawn != missing).any(), letter


# Wavelets


def test_wavelet_equals_scikit_image():
    image = random_image((64, 48, 3))
    colours, kind, _ = split(image)
    expected = restoration.denoise_wavelet(colours, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True)
    assert_equal(run("denoise=wavelet", image), joined(expected, kind, None))


# Any image


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 3, 4])),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
    op=st.sampled_from(sorted(CASES)),
    seed=st.integers(0, 99),
)
def test_any_small_image_equals_scikit_image(shape, dtype, op, seed):
    image = random_image(shape[:2] if shape[2] == 1 else shape, dtype, seed)
    assert_equal_to_skimage(op, CASES[op], image)
