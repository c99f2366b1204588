import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchimg.errors import InputError
from batchimg.localpath import LocalNames


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return LocalNames(tmp_path_factory.mktemp("download"))


@pytest.mark.parametrize(
    "path", ["../evil.png", "a/../../evil.png", "/etc/passwd", "a//b.png", "a/./b.png", "", "a/\0.png"]
)
def test_a_path_that_would_leave_the_folder_is_refused(names, path):
    with pytest.raises(InputError, match="has no place"):
        names.place(path)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=400),
        min_size=1,
        max_size=4,
    )
)
def test_every_other_path_stays_below_the_folder_in_parts_that_a_file_system_takes(names, parts):
    if any(part in {".", ".."} for part in parts):
        return
    place = names.place("/".join(parts))
    assert place.relative_to(names.folder).parts
    assert ".." not in place.relative_to(names.folder).parts
    assert all(len(part.encode()) <= 255 for part in place.relative_to(names.folder).parts)


def test_long_names_that_differ_only_at_the_end_stay_apart_and_keep_their_suffix(names):
    one, two = names.place("x" * 300 + "1.png"), names.place("x" * 300 + "2.png")
    assert one != two
    assert one.suffix == two.suffix == ".png"


def test_names_that_differ_only_in_case_stay_apart_where_the_file_system_folds_case(tmp_path):
    names = LocalNames(tmp_path)
    names._folds_case = True
    assert names.place("A.png") == tmp_path / "A.png"
    assert names.place("a.png") not in {tmp_path / "a.png", tmp_path / "A.png"}
    assert names.place("A.png") == tmp_path / "A.png"
