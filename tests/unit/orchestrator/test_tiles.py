"""A recipe that cannot be tiled is refused before anything is sent, where an image needs it."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from batchimg.errors import SettingsError
from batchimg.order import Order
from batchimg.recipes import Instructions
from batchimg.settings import load_settings
from batchimg.tiles import check_tiles
from batchimg_worker.contract import Limits, Source
from batchimg_worker.errors import RecipeError
from batchimg_worker.recipe import parse_recipe, recipe_from_ops


@pytest.fixture
def folder(tmp_path):
    """One image of 9 MB that needs more than the 216 MB that 512 MB leave, and one that is no image."""
    tifffile.imwrite(tmp_path / "huge.tif", np.zeros((3000, 3000), np.uint8), rowsperstrip=8)
    (tmp_path / "broken.tif").write_bytes(bytes(9 << 20))
    return tmp_path


def order(folder, recipe, **settings):
    return Order.of(load_settings(None, **settings), str(folder), Instructions(recipe))


CANNY = ["invert | edges=canny"]


def test_a_huge_image_and_a_step_that_needs_all_of_it_are_refused_with_both_names(folder):
    with pytest.raises(RecipeError, match=r"huge\.tif does not fit into memory, and .*step 2: edges cannot be tiled"):
        order(folder, recipe_from_ops(CANNY), memory_mb=512).plan_folder()


@pytest.mark.parametrize("settings", [{"memory_mb": 8192}, {"memory_mb": 512, "tiles": "off"}])
def test_the_same_recipe_is_taken_where_no_image_needs_tiles(folder, settings):
    assert len(order(folder, recipe_from_ops(CANNY), **settings).plan_folder().dataset) == 2


class Blobs:
    """A container that holds the files of a folder."""

    def __init__(self, folder):
        self.folder = folder

    def read_range(self, path, start, count):
        return (self.folder / path.removeprefix("p/")).read_bytes()[start : start + count]


def test_images_that_are_in_blob_storage_already_are_looked_at_too(folder):
    there = replace(order(folder, recipe_from_ops(["invert"]), tiles="off").plan_folder().dataset, root=None)
    blobs = (Blobs(folder), Source(container="c", prefix="p/"))
    check_tiles(recipe_from_ops(CANNY), Limits(memory_mb=8192), there, blobs)
    with pytest.raises(RecipeError, match=r"huge\.tif does not fit into memory, and .*step 2: edges cannot be tiled"):
        check_tiles(recipe_from_ops(CANNY), Limits(memory_mb=512), there, blobs)


def test_a_recipe_that_can_be_tiled_is_taken(folder):
    assert order(folder, recipe_from_ops(["blur=10%"]), memory_mb=512).plan_folder().limits.tiles is None


@pytest.mark.parametrize("tiles", ["always", 512])
def test_where_tiles_are_forced_the_recipe_alone_tells(tmp_path, tiles):
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(RecipeError, match="step 2: edges cannot be tiled"):
        order(tmp_path, recipe_from_ops(CANNY), tiles=tiles).plan_folder()
    assert order(tmp_path, recipe_from_ops(["invert"]), tiles=tiles).plan_folder().limits.tiles == tiles


@pytest.mark.parametrize("tiles", ["always", 512])
def test_truncated_images_cannot_be_kept_where_tiles_are_forced(tmp_path, tiles):
    (tmp_path / "a.jpg").write_bytes(b"x")
    recipe = recipe_from_ops(["invert"])
    with pytest.raises(SettingsError, match="truncated images cannot be kept in tiles") as caught:
        order(tmp_path, recipe, tiles=tiles, allow_truncated=True).plan_folder()
    assert "--tiles auto" in caught.value.hint
    assert order(tmp_path, recipe, tiles="auto", allow_truncated=True).plan_folder().limits.allow_truncated


def test_a_jpeg_that_would_be_too_wide_is_refused_before_anything_is_sent(tmp_path):
    tifffile.imwrite(tmp_path / "long.tif", np.zeros((140, 65_600), np.uint8), rowsperstrip=8)
    recipe = parse_recipe("variants: {same: []}\noutput: {format: jpeg}", "r")
    with pytest.raises(RecipeError, match=r"long\.tif .*65600x140 is too large for jpeg"):
        order(tmp_path, recipe, tiles="always").plan_folder()


def test_pages_that_would_all_need_tiles_are_refused_before_anything_is_sent(folder):
    with tifffile.TiffWriter(folder / "pages.tif") as file:
        for _ in range(2):
            file.write(np.zeros((3000, 3000), np.uint8), rowsperstrip=8)
    every = parse_recipe("variants: {larger: [{resize: 250%}]}\nframes: all", "r")
    with pytest.raises(RecipeError, match=r"pages\.tif does not fit .* has 2 pages, and only the first can be done"):
        order(folder, every, memory_mb=512).scan_folder()
    assert order(folder, every, memory_mb=8192).scan_folder() is not None
