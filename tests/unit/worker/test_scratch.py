"""Temporary folders: whatever a killed process leaves goes with the next one, and nothing else does."""

import os
import tempfile

import pytest

from batchimg_worker.scratch import PREFIX, scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_folder_goes_with_its_context(tmp_path):
    with scratch() as folder:
        (folder / "journal.jsonl").write_text("{}")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_another_one_holds_is_not(tmp_path):
    left = tmp_path / f"{PREFIX}abcd1234"
    (left / "below").mkdir(parents=True, mode=0o700)
    left.chmod(0o700)
    with scratch() as mine, scratch() as other:
        assert not left.exists()
        assert mine.exists()
        assert other.exists()


@pytest.mark.parametrize("name", ["batchimg-scratch-photos", "batchimg-photos", f"{PREFIX}ABCD1234", "scratch"])
def test_folders_of_other_names_stay(tmp_path, name):
    (tmp_path / name).mkdir(mode=0o700)
    with scratch():
        assert (tmp_path / name).exists()


def test_a_folder_that_others_may_read_is_none_of_ours_and_neither_is_a_link(tmp_path):
    open_to_all = tmp_path / f"{PREFIX}abcd1234"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (tmp_path / f"{PREFIX}abcd5678").symlink_to(target)
    with scratch():
        assert open_to_all.exists()
        assert target.exists()


def test_a_folder_is_held_as_long_as_a_child_of_its_process_lives(tmp_path):
    reader, writer = os.pipe()
    with scratch() as folder:
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # until the parent closes its end
            os._exit(0)
        os.close(reader)
        folder.rename(kept := tmp_path / f"{PREFIX}kept0000")  # its context does not find it any more
    with scratch():
        assert kept.exists()
    os.close(writer)
    os.waitpid(child, 0)
    with scratch():
        assert not kept.exists()
