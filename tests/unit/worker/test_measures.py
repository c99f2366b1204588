"""Measures equal scikit-image's numbers on every shape and type, and mean what they say."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from skimage import color, filters, measure, transform

from batchimg_worker.codec import decode
from batchimg_worker.contract import ImageResult
from batchimg_worker.operations import MEASURES, OPERATIONS, costs

SAMPLES = Path(__file__).parents[3] / "samples" / "images"
SHAPES = [(1, 1), (1, 1, 3), (1, 33), (41, 1, 3), (7, 5, 2), (64, 48), (45, 57, 3), (50, 63, 4)]
TYPES = [np.uint8, np.uint16, np.float32, np.bool_]
NUMERIC = [name for name in MEASURES.names() if name != "exif"]
CASES = [(shape, dtype) for shape in SHAPES for dtype in TYPES]


def random_image(shape, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random(shape)
    if dtype is np.bool_:
        return values > 0.5
    return values.astype(np.float32) if dtype is np.float32 else np.rint(values * np.iinfo(dtype).max).astype(dtype)


def run(name, image, **given):
    before = image.copy()
    entry = MEASURES.get(name)
    found = entry.run(image, entry.bind(given))
    np.testing.assert_array_equal(image, before)
    return found


def colours(image):
    """Without alpha, from 0 to 1; the largest level."""
    image = image * np.uint8(255) if image.dtype == np.bool_ else image
    white = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    values = image[..., :-1] if image.ndim == 3 and image.shape[2] in (2, 4) else image
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return values / white, white


def luminance(image):
    values, white = colours(image)
    return (color.rgb2gray(values) if values.ndim == 3 else values), white


@pytest.mark.parametrize(("shape", "dtype"), CASES)
def test_measures_equal_scikit_image(shape, dtype):
    image = random_image(shape, dtype)
    grey, white = luminance(image)
    expected = filters.laplace(grey * 255).var()
    assert math.isclose(run("sharpness", image)["variance"], expected, rel_tol=1e-3, abs_tol=1e-3)
    assert math.isclose(run("brightness", image)["mean"], grey.mean(), abs_tol=1e-4)
    assert math.isclose(run("brightness", image)["deviation"], grey.std(), abs_tol=1e-4)
    levels = np.rint(grey * white) if white > 1 else grey.astype(np.float32)
    if dtype is not np.float32:
        entropy = measure.shannon_entropy(levels)
        assert math.isclose(run("entropy", image)["bits"], entropy, abs_tol=0.05)
        otsu = filters.threshold_otsu(levels.astype(np.uint8 if white == 255 else np.uint16))
        assert abs(run("otsu_level", image)["level"] - otsu) <= 2
    else:
        assert abs(run("otsu_level", image)["level"] - filters.threshold_otsu(levels)) < 0.02


@pytest.mark.parametrize("name", NUMERIC)
def test_strips_leave_no_seams(name, monkeypatch):
    image = random_image((90, 41, 3))
    whole = run(name, image)
    monkeypatch.setattr(costs, "STRIP_VALUES", 41 * 3 * 7)
    assert run(name, image) == pytest.approx(whole)


@pytest.mark.parametrize("name", NUMERIC)
def test_every_measure_fits_into_a_result(name):
    for shape, dtype in CASES:
        found = run(name, random_image(shape, dtype))
        record = ImageResult(path="a", size=1, status="done", measures={name: found})
        assert json.loads(record.model_dump_json())["measures"][name] == found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_histogram_s_bins_are_parts_of_the_pixels(dtype):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = np.zeros((4, 4, 4), dtype)
    image[:2, :, 0], image[..., 1], image[..., 3] = white, white // 2 if white > 1 else 0.5, white
    found = run("histogram", image, bins=4)
    assert len(found) == 16
    assert (found["red_00"], found["red_03"]) == (0.5, 0.5)
    assert found["green_01" if white > 1 else "green_02"] == 1
    assert found["blue_00"] == found["alpha_03"] == 1


def test_a_histogram_equals_numpy_s():
    image = random_image((40, 50))
    expected = np.histogram(image, 16, (0, 256))[0] / image.size
    assert list(run("histogram", image).values()) == pytest.approx(list(expected))


def test_a_histogram_of_floats_counts_what_lies_outside_in_the_ends():
    image = np.array([[-5, 0.5, 7, np.nan]], np.float32)
    assert run("histogram", image, bins=2) == {"grey_00": 0.5, "grey_01": 0.5}


def test_a_blurred_photo_is_less_sharp():
    photo = decode((SAMPLES / "animals" / "chelsea.jpg").read_bytes()).array
    blur = OPERATIONS.get("blur")
    sharp, soft = (run("sharpness", image)["variance"] for image in (photo, blur.run(photo, {"sigma": 3.0})))
    assert soft < 20 < sharp


def test_alike_photos_have_alike_hashes_and_others_not():
    photos = {name: decode((SAMPLES / name).read_bytes()).array for name in ("animals/chelsea.jpg", "space/rocket.jpg")}
    photo = photos["animals/chelsea.jpg"]

    def bits(image):
        return int(run("phash", image)["hash"], 16)

    def apart(one, other):
        return (bits(one) ^ bits(other)).bit_count()

    assert len(run("phash", photo)["hash"]) == 16
    small = np.rint(transform.resize(photo, (150, 225)) * 255).astype(np.uint8)
    assert apart(photo, small) <= 4
    assert apart(photo, OPERATIONS.get("brightness").run(photo, {"factor": 1.1})) <= 6
    assert apart(photo, photo.astype(np.uint16) * 257) <= 4
    assert apart(photo, photos["space/rocket.jpg"]) >= 16


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_dominant_colour_is_the_most_frequent_one(dtype):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = random_image((40, 50, 3), dtype)
    image[:30] = (np.array([200, 30, 60]) / 255 * white).astype(dtype)
    found = run("dominant_color", image)
    assert found["share"] == pytest.approx(0.75, abs=0.01)
    assert found["hex"][:2] == "#c"
    assert found["red"] / white == pytest.approx(200 / 255, abs=0.01)
    assert run("dominant_color", np.full((3, 3), white, dtype)) == {"grey": white, "share": 1.0, "hex": "#ffffff"}


def test_exif_hands_on_what_was_read():
    assert MEASURES.get("exif").run({"iso": 100}, {}) == {"iso": 100}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_in_an_image_gives_no_number_instead_of_a_wrong_one(value):
    image = np.random.default_rng(0).random((20, 30), np.float32)
    image[3] = value
    with np.errstate(invalid="ignore"):
        assert np.isnan(run("sharpness", image)["variance"])
        assert np.isnan(run("brightness", image)["deviation"])
        assert run("phash", image) == {"hash": None}
        assert run("entropy", image) == {"bits": pytest.approx(measure.shannon_entropy(image))}


def test_the_dominant_colour_of_what_is_no_number_has_no_name():
    found = run("dominant_color", np.full((4, 5), np.nan, np.float32))
    assert (found["share"], found["hex"]) == (1.0, None)
