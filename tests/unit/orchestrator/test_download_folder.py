"""A folder of a download belongs to one run."""

import pytest

from batchimg.download import Folder
from batchimg.errors import InputError


def test_a_folder_is_its_run_s_until_somebody_insists(tmp_path):
    folder = Folder(tmp_path / "results")
    folder.check("one")
    folder.path.mkdir()
    folder.check("one")
    folder.mark("one")
    folder.check("one")
    with pytest.raises(InputError, match="has the files of run one, not of two") as caught:
        folder.check("two")
    assert "--to results-2" in caught.value.hint
    Folder(folder.path, force=True).check("two")


def test_a_file_in_its_place_is_left_for_others_to_tell(tmp_path):
    (tmp_path / "file").write_text("x")
    Folder(tmp_path / "file").check("one")
