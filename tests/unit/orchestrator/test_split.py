"""Which huge images go over several tasks, and the chunks and tasks that they become."""

from array import array
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile

from batchimg.chunk import Cut
from batchimg.dataset import Dataset
from batchimg.errors import SettingsError
from batchimg.order import Order
from batchimg.plan import make_plan, plan_hash, spec_of
from batchimg.recipes import Instructions
from batchimg.settings import load_settings
from batchimg.split import joins_of, with_bands
from batchimg.submit import tasks_of
from batchimg_worker.blob_names import manifest_path
from batchimg_worker.contract import Band, Limits, Source
from batchimg_worker.documents import dump
from batchimg_worker.errors import RecipeError
from batchimg_worker.ranged import open_blob
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.original import look, look_at

INVERT = recipe_from_ops(["invert"])
SOURCE = Source(container="c", prefix="p/")


def dataset(bands, total=7):
    paths = [f"{number}.tif" for number in range(total)]
    return Dataset("x", "x", Path(), None, paths, array("Q", range(1, total + 1)), bands=bands)


def plan_of(bands, chunk_images=3, total=7):
    return make_plan(dataset(bands, total), Instructions(INVERT), Limits(split=3), Cut(chunk_images))


def test_the_chunks_of_split_images_come_after_those_of_all_others():
    plan = plan_of({"1.tif": 3, "5.tif": 2})
    paths = [[entry.path for entry in plan.entries(number)] for number in range(plan.tasks)]
    assert paths == [["0.tif", "2.tif"], ["3.tif", "4.tif"], ["6.tif"], *[["1.tif"]] * 4, *[["5.tif"]] * 3]
    assert [entry.band for number in range(3, 7) for entry in plan.entries(number)] == [
        *(Band(number=number, of=3) for number in range(3)),
        None,
    ]
    assert [entry.joins for number in (2, 6, 9) for entry in plan.entries(number)] == [None, (3, 4, 5), (7, 8)]
    assert spec_of(plan, "x", SOURCE, datetime.now(UTC)).chunks == plan.tasks == 10


def test_a_chunk_that_has_only_split_images_is_none():
    plan = plan_of({f"{number}.tif": 2 for number in range(3, 7)})
    assert [len(list(plan.entries(number))) for number in range(plan.tasks)] == [3] + [1] * 12
    assert plan_of({"0.tif": 4}, total=1).tasks == 5


def test_bands_of_images_that_are_not_in_the_plan_any_more_are_left_out():
    whole = dataset({"1.tif": 3, "5.tif": 2})
    rest = make_plan(whole.only([0, 5]), Instructions(INVERT), Limits(split=3))
    assert [(one.index, one.bands) for one in rest.split] == [(1, 2)]


def test_another_number_of_bands_is_another_run():
    hashes = {plan_hash(plan_of(bands), SOURCE) for bands in ({}, {"1.tif": 2}, {"1.tif": 3}, {"2.tif": 3})}
    assert len(hashes) == 4


class Manifests:
    """The container of runs, as a plan would fill it."""

    def __init__(self, plan, spec):
        self.lines = {manifest_path(spec.run, n): [b"{}", *map(dump, plan.entries(n))] for n in range(plan.tasks)}

    def read_lines(self, path):
        return iter(self.lines[path])


def written(plan, spec, chunks=None):
    """What `joins_of` finds in a plan's manifests."""
    return joins_of(Manifests(plan, spec), spec, chunks or list(range(plan.tasks)), 4)


def test_a_joining_task_waits_for_its_bands_and_the_last_one_for_all():
    plan = plan_of({"1.tif": 3, "5.tif": 2})
    spec = spec_of(plan, "x", SOURCE, datetime.now(UTC))
    tasks = tasks_of(spec, list(range(10)), written(plan, spec), load_settings())
    assert {task.id: task.after for task in tasks if task.after} == {
        "6": (range(3, 6),),
        "9": (range(7, 9),),
        "10": (range(10),),
    }


def test_a_job_that_goes_on_waits_for_no_band_that_is_there_already():
    plan = plan_of({"1.tif": 3, "5.tif": 2})
    spec = spec_of(plan, "x", SOURCE, datetime.now(UTC))
    chunks = [2, 3, 5, 6, 9]
    after = {task.id: task.after for task in tasks_of(spec, chunks, written(plan, spec, chunks), load_settings())}
    assert (after["6"], after["9"]) == ((range(3, 4), range(5, 6)), ())


@pytest.fixture
def folder(tmp_path):
    """An image of 9 MB that needs more than the 216 MB that 512 MB leave, one that does not, and one that is none."""
    tifffile.imwrite(tmp_path / "huge.tif", np.zeros((3000, 3000), np.uint8), rowsperstrip=8)
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((1100, 10), np.uint8))
    (tmp_path / "broken.tif").write_bytes(bytes(9 << 20))
    return tmp_path


def bands_of(folder, recipe=INVERT, **settings):
    order = Order.of(load_settings(None, **settings), str(folder), Instructions(recipe))
    return order.plan_folder().dataset.bands


def test_images_that_are_done_in_tiles_are_split(folder):
    assert bands_of(folder, recipe_from_ops(["resize=300%"]), memory_mb=512, split=4) == {"huge.tif": 4}
    assert bands_of(folder, memory_mb=8192, split=4) == {}
    assert bands_of(folder, memory_mb=512) == {}


def test_where_all_are_done_in_tiles_all_are_split_but_into_no_more_bands_than_strips(folder):
    assert bands_of(folder, tiles="always", split=3) == {"huge.tif": 3, "small.tif": 3}
    assert bands_of(folder, tiles="always", split=100) == {"huge.tif": 12, "small.tif": 5}
    small = recipe_from_ops(["crop=10x200"])
    assert bands_of(folder, small, tiles="always", split=100) == {}


def test_without_tiles_nothing_can_be_split(folder):
    with pytest.raises(SettingsError, match="tiles are off"):
        bands_of(folder, tiles="off", split=2)


@pytest.mark.parametrize("split", [0, 1, 1001])
def test_a_number_of_tasks_that_cannot_be_is_refused(split):
    with pytest.raises(SettingsError, match="split"):
        load_settings(None, split=split)


class Blobs:
    """A container of one blob that counts what is fetched."""

    def __init__(self, content):
        self.content, self.fetched = content, 0

    def read_range(self, path, start, count):
        assert path == "p/huge.tif"
        self.fetched += count
        return self.content[start : start + count]


def test_of_a_blob_only_the_header_is_fetched(folder):
    content = (folder / "huge.tif").read_bytes()
    blobs = Blobs(content)
    with open_blob(blobs, "p/huge.tif", len(content)) as file:
        assert look_at(file, len(content)) == look(folder / "huge.tif")
    assert blobs.fetched < len(content) // 4


def test_blobs_are_split_by_their_headers_and_refused_where_a_step_cannot_be_done_in_parts(folder):
    content = (folder / "huge.tif").read_bytes()
    there = replace(dataset({}, 1), paths=["huge.tif"], sizes=array("Q", [len(content)]), root=None)
    limits = Limits(memory_mb=512, split=3)
    larger = recipe_from_ops(["resize=300%"])
    assert with_bands(there, larger, limits, (Blobs(content), SOURCE)).bands == {"huge.tif": 3}
    webp = parse_recipe("variants: {larger: [{resize: 300%}]}\noutput: {format: webp}", "r")
    with pytest.raises(RecipeError, match=r"huge\.tif cannot be split: .*webp cannot be written in tiles"):
        with_bands(there, webp, limits, (Blobs(content), SOURCE))
