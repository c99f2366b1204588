"""What operations hold beside input and output is bounded, or they say how much it is."""

import tracemalloc

import numpy as np
import pytest

from batchimg_worker.apply import peak_bytes, process
from batchimg_worker.codec import DecodeLimits, Picture, encode, inspect
from batchimg_worker.errors import ImageTooLarge
from batchimg_worker.operations import MEASURES, OPERATIONS
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.recipe import parse_recipe, recipe_from_ops

BOUNDED = {
    "contrast": {},
    "gamma": {"gamma": 0.5},
    "brightness": {"factor": 1.2},
    "invert": {},
    "normalize": {},
    "sharpen": {"radius": 3.0},
    "edges": {"method": "sobel"},
    "morphology": {"method": "open"},
    "pad": {"square": True},
    "strip_metadata": {},
    "thumbnail": {"longest": 100},
}
ANNOUNCED = [
    ("equalize", {"method": "clahe"}, np.uint16),
    ("equalize", {"method": "histogram"}, np.float32),
    ("normalize", {}, np.float32),
    ("sharpen", {"radius": 15.0}, np.uint8),
    ("edges", {"method": "canny"}, np.uint8),
    ("threshold", {"method": "otsu"}, np.uint8),
    ("threshold", {"method": "otsu"}, np.float32),
    ("threshold", {"method": "local", "block_size": 301}, np.uint8),
    ("convert", {"mode": "rgba", "bits": 16}, np.uint8),
    ("watermark", {"text": "hello world", "size": 0.5}, np.uint8),
    ("denoise", {"method": "tv"}, np.uint8),
    ("denoise", {"method": "bilateral"}, np.uint8),
    ("morphology", {"method": "dilate", "radius": 20, "footprint": "square"}, np.uint16),
]
ANNOUNCED_FOR_ALL_TYPES = [
    ("equalize", {"method": "clahe"}),
    ("equalize", {"method": "histogram"}),
    ("morphology", {"method": "dilate", "radius": 20, "footprint": "square"}),
]
MEASURED = [
    ("entropy", np.uint8),
    ("entropy", np.float32),
    ("otsu_level", np.uint8),
    ("otsu_level", np.float32),
    ("dominant_color", np.uint8),
    ("histogram", np.uint8),
    ("phash", np.uint8),
    ("sharpness", np.uint8),
    ("brightness", np.uint8),
]
SLACK = 24 << 20
"""Strips of the many operations that also look at the whole image."""


def image_of(shape, dtype):
    ramp = np.random.default_rng(0).integers(0, 200, shape[:2], np.uint8)
    scale = 1 / 256 if dtype is np.float32 else np.iinfo(dtype).max / 255
    return np.stack([((ramp + 9 * k) * scale).astype(dtype) for k in range(shape[2])], axis=2)


def traced(entry, given, image):
    bound = entry.bind(given)
    entry.run(image[:40, :40], bound)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = entry.run(image, bound)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return peak - getattr(result, "nbytes", 0) * (result is not image)


@pytest.mark.parametrize("name", BOUNDED)
def test_temporaries_stay_small_whatever_the_size(name):
    image = image_of((2600, 3000, 3), np.uint8)
    assert image.size * 4 > TEMPORARY_BYTES * 1.5
    assert traced(OPERATIONS.get(name), BOUNDED[name], image) < TEMPORARY_BYTES


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("sigma", [7, 10, 40])
def test_a_wide_blur_holds_little_whatever_its_sigma(sigma, dtype):
    image = image_of((2600, 3000, 3), dtype)
    assert traced(OPERATIONS.get("blur"), {"sigma": sigma}, image) < TEMPORARY_BYTES / 2


@pytest.mark.parametrize(("name", "given", "dtype"), ANNOUNCED)
def test_an_operation_holds_what_it_announces(name, given, dtype):
    image = image_of((800, 1000, 3), dtype)
    entry = OPERATIONS.get(name)
    announced = entry.temporary_bytes(image.shape, image.itemsize, entry.bind(given))
    held = traced(entry, given, image)
    assert held <= max(announced, SLACK)
    assert held >= announced / 8


@pytest.mark.parametrize(("name", "given"), ANNOUNCED_FOR_ALL_TYPES)
def test_a_kernel_of_bytes_holds_less_than_is_announced_for_all_types(name, given):
    image = image_of((800, 1000, 3), np.uint8)
    entry = OPERATIONS.get(name)
    announced = entry.temporary_bytes(image.shape, image.itemsize, entry.bind(given))
    assert traced(entry, given, image) <= max(announced, SLACK)


@pytest.mark.parametrize(("name", "dtype"), MEASURED)
def test_a_measure_holds_what_it_announces(name, dtype):
    image = image_of((2000, 2400, 3), dtype)
    entry = MEASURES.get(name)
    announced = entry.temporary_bytes(image.shape, image.itemsize, entry.bind({}))
    assert traced(entry, {}, image) <= max(announced, TEMPORARY_BYTES)


@pytest.fixture(scope="module")
def large():
    return encode(Picture(np.zeros((4000, 6000), np.uint8), "png", 8), "png").data


def test_the_estimate_of_a_recipe_knows_operations_that_hold_the_whole_image(large):
    header = inspect(large)
    cheap = peak_bytes(header, recipe_from_ops(["gamma=0.5"]))
    for op in ("equalize", "denoise=tv", "edges=canny"):
        assert peak_bytes(header, recipe_from_ops([op])) > cheap + 500_000_000
    assert peak_bytes(header, recipe_from_ops(["convert=32 | gamma=0.5"])) > cheap + 3 * 4000 * 6000
    with pytest.raises(ImageTooLarge, match="this recipe need"):
        process(large, recipe_from_ops(["equalize"]), DecodeLimits(memory_bytes=500 << 20))


def test_the_estimate_of_a_recipe_knows_its_measures_and_outputs(large):
    header = inspect(large)
    plain = peak_bytes(header, parse_recipe("variants: {a: []}\noutput: {format: jpeg}", "x"))
    avif = peak_bytes(header, parse_recipe("variants: {a: []}\noutputs: [{format: jpeg}, {format: avif}]", "x"))
    assert avif > plain + 1_000_000_000
    assert peak_bytes(header, recipe_from_ops(["entropy"])) >= 24_000_000 + TEMPORARY_BYTES


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_regions_that_are_larger_than_the_image_count_for_clahe(dtype):
    operation = OPERATIONS.get("equalize")
    parameters = operation.bind({"method": "clahe", "kernel_size": 600})
    image = (np.random.default_rng(0).random((9, 7)) * (1 if dtype is np.float32 else 255)).astype(dtype)
    tracemalloc.start()
    operation.run(image, parameters)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < operation.temporary_bytes((9, 7, 1), image.itemsize, parameters) + (20 << 20)
    with pytest.raises(ImageTooLarge, match=r"^7x9 .* need [0-9,]+ MB of memory"):
        process(encode(Picture(image, "tiff", 8), "tiff").data, recipe_from_ops(["equalize=kernel_size:20000"]))
