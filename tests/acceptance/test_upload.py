"""Upload against real blob storage."""

import pytest

from batchimg.events import Progressed
from batchimg.scan import scan
from batchimg.upload import IN_MEMORY, upload
from batchimg_worker.storage import BlobStore

from made_images import noise


@pytest.fixture(scope="module")
def store(batchimg):
    stack = batchimg.stack()["stack"]
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield store
    store.close()


def skipped(store, folder) -> tuple[int, int]:
    """How many images an upload found there already, of how many."""
    events: list[Progressed] = []
    upload(scan(str(folder)), store, 4, events.append)
    return events[-1].skipped, events[-1].done


def test_only_what_is_new_or_changed_is_sent(store, tmp_path):
    folder = noise(tmp_path / "grown", 5)
    assert skipped(store, folder) == (0, 5)
    (folder / "0000.png").write_bytes(b"other content")
    noise(folder, 1, name="new-{}.png")
    assert skipped(store, folder) == (4, 6)
    assert skipped(store, folder) == (6, 6)


def test_a_change_that_keeps_the_size_is_seen(store, tmp_path):
    folder = noise(tmp_path / "same-size", 1)
    skipped(store, folder)
    file = folder / "0000.png"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert skipped(store, folder) == (0, 1)


@pytest.mark.parametrize("size", [IN_MEMORY, IN_MEMORY + 1, 9_000_000])
def test_a_file_of_any_size_arrives_as_it_is_with_its_checksum(store, tmp_path, size):
    folder = tmp_path / f"size-{size}"
    folder.mkdir()
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (folder / "large.tif").write_bytes(content)
    dataset, source = upload(scan(str(folder)), store, 4)
    container = store.container(source.container)
    assert container.read(f"{source.prefix}large.tif") == content
    assert container.stat(f"{source.prefix}large.tif").md5 == dataset.md5(0)
    assert skipped(store, folder) == (1, 1)


def test_a_file_that_vanishes_after_the_scan_is_rejected_and_the_others_arrive(store, tmp_path):
    folder = noise(tmp_path / "vanishing", 3)
    found = scan(str(folder))
    (folder / "0001.png").unlink()
    dataset, _ = upload(found, store, 4)
    assert dataset.paths == ["0000.png", "0002.png"]
    assert [(one.path, one.error_type) for one in dataset.rejected] == [("0001.png", "Unreadable")]
    assert all(dataset.md5(index) for index in range(2))
