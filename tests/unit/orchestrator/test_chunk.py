from array import array

from hypothesis import given
from hypothesis import strategies as st

from batchimg.chunk import MOST_IMAGES, TARGET_SECONDS, split, work_seconds

sizes_of = st.lists(st.integers(0, 50_000_000), max_size=300).map(lambda sizes: array("Q", sizes))


@given(sizes_of, st.none() | st.integers(1, 50))
def test_chunks_hold_every_image_once_and_in_order(sizes, images_per_chunk):
    assert [index for chunk in split(sizes, images_per_chunk) for index in chunk] == list(range(len(sizes)))


@given(sizes_of.filter(len))
def test_no_chunk_is_empty(sizes):
    assert all(len(chunk) > 0 for chunk in split(sizes))


@given(st.integers(1, 400), st.integers(1, 50))
def test_a_wished_chunk_size_is_kept_but_for_the_last(total, wished):
    lengths = [len(chunk) for chunk in split(array("Q", [1000] * total), wished)]
    assert all(length == wished for length in lengths[:-1])
    assert 1 <= lengths[-1] <= wished


def test_chunks_of_a_large_dataset_have_about_equal_work_and_take_minutes():
    sizes = array("Q", [(index % 7 + 1) * 1_000_000 for index in range(20_000)])
    seconds = [sum(work_seconds(sizes[index]) for index in chunk) for chunk in split(sizes)]
    assert max(seconds) <= TARGET_SECONDS + work_seconds(7_000_000)
    assert min(seconds[:-1]) >= TARGET_SECONDS * 0.9


def test_a_small_dataset_is_spread_over_a_few_tasks():
    assert 2 <= len(split(array("Q", [400_000] * 20))) <= 8


def test_tiny_images_do_not_make_endless_chunks():
    assert max(len(chunk) for chunk in split(array("Q", [200] * 40_000))) <= MOST_IMAGES
