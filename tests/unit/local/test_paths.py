from pathlib import Path

import pytest

from batchimg.local.errors import LocalStackError
from batchimg.local.paths import cache_home, make_private, state_home, write_private


def test_folders_follow_their_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("BATCHIMG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BATCHIMG_CACHE_DIR", "~/cache")

    assert state_home() == tmp_path / "home"
    assert cache_home() == Path.home() / "cache"


def test_folders_are_the_platforms_own_without_them(monkeypatch, tmp_path):
    for name in ("BATCHIMG_HOME", "BATCHIMG_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert {state_home(), cache_home()} == {tmp_path / "state" / "batchimg", tmp_path / "cache" / "batchimg"}


def test_new_folders_are_their_owners_only(tmp_path):
    folder = make_private(tmp_path / "a" / "b", "BATCHIMG_HOME")

    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [0o700, 0o700]


def test_a_folder_that_exists_is_not_changed(tmp_path):
    tmp_path.chmod(0o755)
    make_private(tmp_path, "BATCHIMG_HOME")

    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_reported_with_its_setting(tmp_path, name):
    (tmp_path / "file").touch()

    with pytest.raises(LocalStackError, match="file") as error:
        make_private(tmp_path / name, "BATCHIMG_HOME")

    assert "BATCHIMG_HOME" in error.value.hint


def test_a_private_file_replaces_the_old_one(tmp_path):
    file = tmp_path / "key"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")

    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
