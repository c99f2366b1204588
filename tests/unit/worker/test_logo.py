"""A watermark that is an image: it goes along with the run."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from batchimg_worker.apply import process
from batchimg_worker.errors import OperationFailed, RecipeError
from batchimg_worker.operations import OPERATIONS, attach
from batchimg_worker.operations.reference import marks
from batchimg_worker.recipe import parse_recipe, recipe_from_ops


def saved(array, kind="PNG"):
    target = io.BytesIO()
    Image.fromarray(array).save(target, kind)
    return target.getvalue()


def plain(colour, shape=(20, 40)):
    return np.full((*shape, len(colour)), colour, np.uint8)


@pytest.fixture
def mark():
    """Run a watermark with a logo; the file's name is another one for each content."""

    def run(image, logo, **how):
        content = logo if isinstance(logo, bytes) else saved(logo)
        attach("logo.png", content)
        watermark = OPERATIONS.get("watermark")
        return watermark.run(image, watermark.bind({"image": "logo.png", **how}))

    return run


def where(image, result):
    """The rows and columns that changed, as first and behind the last."""
    changed = np.argwhere((image != result).reshape(*image.shape[:2], -1).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0) + 1
    return top, bottom, left, right


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_logo_of_any_kind_is_laid_over(mark, kind):
    image = plain((0, 0, 0), (100, 200))
    result = mark(image, saved(plain((255, 0, 0)), kind), opacity=1, size=0.4)
    top, bottom, left, right = where(image, result)
    assert (bottom - top, right - left) == (20, 40)  # 40 % of 100, and its own shape
    assert np.abs(result[top + 5, left + 5].astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize(
    ("position", "corner"),
    [("top-left", (0, 0)), ("bottom-right", (1, 1)), ("center", (0.5, 0.5)), ("right", (0.5, 1)), ("top", (0, 0.5))],
)
def test_it_lies_where_it_should(mark, position, corner):
    image = plain((0, 0, 0), (100, 200))
    top, bottom, left, right = where(image, mark(image, plain((9, 9, 255)), position=position, size=0.4))
    margin = 2
    assert abs(top - (margin + corner[0] * (100 - (bottom - top) - 2 * margin))) <= 1
    assert abs(left - (margin + corner[1] * (200 - (right - left) - 2 * margin))) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_opacity_and_alpha_count(mark, dtype):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = np.full((100, 100, 3), 0.5 * white).astype(dtype)
    logo = plain((255, 255, 255, 255))
    logo[:, :20, 3] = 0
    result = mark(image, logo, size=0.4, opacity=0.5, position="top-left") / white
    assert result[10, 35] == pytest.approx(0.75, abs=0.01)
    assert result[10, 8] == pytest.approx(0.5, abs=0.01)
    assert mark(image, logo).dtype == dtype


def test_colours_under_clear_alpha_do_not_bleed(mark):
    logo = plain((255, 0, 0, 0), (100, 100))
    logo[:, 50:] = (0, 0, 255, 255)
    image = plain((0, 0, 0), (60, 60))
    assert mark(image, logo, size=0.5, opacity=1)[..., 0].max() <= 1


@pytest.mark.parametrize("shape", [(60, 60), (60, 60, 2), (60, 60, 4), (1, 1), (2, 50, 3)])
def test_grey_images_get_a_grey_logo_and_shapes_stay(mark, shape):
    image = np.full(shape, 100, np.uint8)
    result = mark(image, plain((255, 0, 0)), size=1, opacity=1)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    if len(shape) == 2 or shape[2] == 2:
        assert abs(int(result.reshape(*shape[:2], -1)[shape[0] // 2, shape[1] // 2, 0]) - 54) <= 1
    assert (image == 100).all()


def test_over_nothing_a_logo_is_as_opaque_as_itself(mark):
    result = mark(np.zeros((60, 60, 4), np.uint8), plain((0, 200, 0)), size=1, opacity=0.5)
    np.testing.assert_allclose(result[30, 30], (0, 200, 0, 128), atol=2)


def test_a_recipe_says_which_files_it_needs_and_goes_through():
    attach("logo.png", saved(plain((255, 0, 0))))
    recipe = parse_recipe("variants: {a: [{watermark: {image: logo.png, size: 30%}}]}", "x")
    assert recipe.files == (("watermark", "image", "logo.png"),)
    assert recipe_from_ops(["watermark=hello"]).files == ()
    (output,) = process(saved(plain((0, 0, 0), (50, 50))), recipe).outputs
    assert output.width == 50


def test_a_file_that_was_not_brought_along_fails_the_image_with_its_name():
    recipe = recipe_from_ops(["watermark=image:never.png"])
    with pytest.raises(OperationFailed, match=r"never\.png"):
        list(process(saved(plain((0, 0, 0))), recipe).outputs)


@pytest.mark.parametrize("given", [{}, {"text": "a", "image": "b"}])
def test_a_watermark_is_a_text_or_an_image(given):
    with pytest.raises(RecipeError, match="give text, or image, and only one of these"):
        OPERATIONS.get("watermark").bind(given)


@pytest.mark.parametrize(
    ("content", "message"), [(b"hello", "is not an image"), (saved(np.zeros((2100, 2000), np.uint8)), "megapixels")]
)
def test_what_cannot_be_a_logo_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        marks.logo(content)


def test_no_more_memory_is_held_than_announced(mark):
    logo, image = saved(np.zeros((900, 900, 4), np.uint8)), np.zeros((300, 400, 3), np.uint8)
    attach("logo.png", logo)
    watermark = OPERATIONS.get("watermark")
    given = watermark.bind({"image": "logo.png", "size": 1})
    mark(image, logo)
    marks._logo.cache_clear()
    tracemalloc.start()
    try:
        result = watermark.run(image, given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= watermark.temporary_bytes(image.shape, 1, given) + result.nbytes
