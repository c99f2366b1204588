"""Which images go before the rest, how the rest is cut, and when failures are too many."""

from array import array
from dataclasses import replace

import pytest

from batchimg import canary
from batchimg.chunk import AS_USUAL, MOST_MEASURED, Cut, split, work_seconds
from batchimg.dataset import Dataset
from batchimg.errors import SettingsError
from batchimg.estimate import Fleet
from batchimg.failure_limit import FailureLimit
from batchimg.plan import CANARY, canary_name, check_name, clean_name, is_canary, make_plan, name_of, plan_hash
from batchimg.prices import VmPrice
from batchimg.recipes import Instructions
from batchimg.settings import Settings
from batchimg.span import Span
from batchimg.speed import Speed
from batchimg.spread import spread
from batchimg_worker.contract import Limits, Source
from batchimg_worker.recipe import recipe_from_ops


def plan_of(images: int, size: int = 10_000, cut: Cut = AS_USUAL):
    dataset = Dataset(
        "x", "x", None, None, [f"{index:07d}.png" for index in range(images)], array("Q", [size] * images)
    )
    return make_plan(dataset, Instructions(recipe_from_ops(["flip=horizontal"], None)), Limits(), cut)


def settings(**values) -> Settings:
    return Settings.model_construct(**values)


@pytest.mark.parametrize(("total", "wanted"), [(10, 4), (4, 4), (3, 8), (1_000_000, 100), (0, 5)])
def test_a_few_stand_evenly_for_all(total, wanted):
    found = spread(total, wanted)
    assert len(found) == len(set(found)) == min(total, wanted)
    assert found == sorted(found)
    assert all(0 <= index < total for index in found)
    if total > 10 * wanted:
        assert found[0] < total / wanted < total - found[-1] + total / wanted


def test_only_a_large_run_has_a_canary_unless_one_is_asked_for():
    assert canary.images_for(settings(), plan_of(4_999)) == 0
    assert canary.images_for(settings(), plan_of(5_000)) == canary.MOST_IMAGES
    assert canary.images_for(settings(canary="never"), plan_of(50_000)) == 0
    assert canary.images_for(settings(canary=7), plan_of(100)) == 7
    assert canary.images_for(settings(canary=100), plan_of(100)) == 0
    assert canary.images_for(settings(canary_from=50), plan_of(300)) == 30
    assert canary.images_for(settings(canary_from=2), plan_of(4)) == 2


def test_few_but_large_images_have_one_too_and_it_is_smaller():
    large = plan_of(200, 300_000_000)
    assert len(large.chunks) >= canary.LARGE_TASKS
    assert canary.images_for(settings(), large) == canary.FEWEST_IMAGES
    assert canary.images_for(settings(chunk_images=1), plan_of(200, 300_000_000, Cut(1))) == 0


def test_a_canary_is_a_part_of_its_plan_in_a_few_chunks_and_the_same_each_time():
    plan = plan_of(1_000)
    first = canary.canary_plan(plan, 10)
    assert first == canary.canary_plan(plan, 10)
    assert [index for chunk in first.chunks for index in chunk] == list(range(10))
    assert len(first.chunks) == canary.CHUNKS
    assert set(first.dataset.paths) < set(plan.dataset.paths)
    assert len(canary.canary_plan(plan, 2).chunks) == 2


def test_blobs_without_a_checksum_are_known_again_by_size_and_etag():
    plan = plan_of(100)
    digests = b"".join((b"x" * 16 if index % 4 == 0 else bytes(16)) for index in range(100))
    tags = [f"tag-{index}" for index in range(100)]
    blobs = replace(plan, dataset=replace(plan.dataset, tags=tags, digests=digests))
    assert canary.images_for(settings(canary=50), blobs) == 50
    known, summed = blobs.dataset.is_same, (b"x" * 16).hex()
    assert known(1, 10_000, None, "tag-1")
    assert not known(1, 10_000, None, "tag-2")
    assert not known(1, 9_999, None, "tag-1")
    assert not known(1, 10_000, summed, None)
    assert not known(1, 10_000, None, None)
    assert known(4, 10_000, summed, None)
    assert not known(4, 10_000, None, "tag-4")
    assert [entry.etag for entry in blobs.entries(0)][:5] == [None, "tag-1", "tag-2", "tag-3", None]


def test_a_split_blob_without_a_checksum_that_was_written_anew_makes_another_run():
    plan = plan_of(2)
    before, after = (
        replace(plan.dataset, tags=["a", tag], bands={"0000001.png": 2}, digests=bytes(32)) for tag in "bc"
    )
    ids = {
        plan_hash(make_plan(one, plan.instructions, plan.limits), Source(container="c", prefix=""))
        for one in (before, after)
    }
    assert len(ids) == 2


def test_a_canary_is_known_by_its_name_and_no_run_can_be_named_like_one():
    run = f"{canary_name('photos')}-0123456789"
    assert is_canary(run)
    assert name_of(run) == "photos"
    assert not is_canary("photos-0123456789")
    assert len(canary_name("x" * 50)) == 50
    with pytest.raises(SettingsError):
        check_name(f"photos{CANARY}")
    assert clean_name("my canary") == "my"


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 5.0])
def test_a_measured_speed_makes_tasks_of_two_to_ten_minutes(factor):
    sizes = array("Q", [500_000] * 60_000)
    chunks = split(sizes, None, factor)
    assert [index for chunk in chunks for index in chunk] == list(range(len(sizes)))
    seconds = [factor * work_seconds(500_000 * len(chunk), len(chunk)) for chunk in chunks]
    assert all(120 <= one <= 600 or len(chunk) == MOST_MEASURED for one, chunk in zip(seconds, chunks, strict=True))


def test_tasks_of_tiny_images_are_bounded():
    assert max(len(chunk) for chunk in split(array("Q", [200] * 100_000), None, 0.01)) <= MOST_MEASURED


def test_tasks_that_do_not_fit_into_a_nodes_memory_are_told():
    fleet = Fleet(VmPrice("Standard_D4ads_v5", 4, 16.0, 0.25, 0.05), 4, 4, 1)
    speed = Speed(Span(1, 1, 1), 1.0, 1.0, "x", peak=5 << 30)
    assert "2 slots a node" in canary.memory_advice(speed, fleet, 8192)
    assert canary.memory_advice(replace(speed, peak=3 << 30), fleet, 8192) is None
    assert canary.memory_advice(speed, replace(fleet, is_local=True), 8192) is None


def test_a_share_of_failures_counts_when_it_says_something_a_number_at_once():
    share, number = FailureLimit.parse("5%"), FailureLimit.parse("10")
    assert not share.is_passed(50, 99)
    assert share.is_passed(6, 100)
    assert not share.is_passed(5, 100)
    assert share.is_passed(1, 10, final=True)
    assert not share.is_passed(0, 0, final=True)
    assert number.is_passed(11, 12)
    assert not number.is_passed(10, 10)
    assert (str(share), str(number)) == ("5 %", "10")


@pytest.mark.parametrize("text", ["", "5 percent", "-1", "101%", "0.5", "%"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="use a share"):
        FailureLimit.parse(text)
