import os
from pathlib import Path

import pytest

from batchimg.errors import InputError
from batchimg.scan import scan, source_of


def put(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * len(name))


def test_images_of_a_folder_come_in_the_order_of_their_paths_and_other_files_are_counted(tmp_path):
    put(tmp_path, "b.JPG", "a/z.png", "a/notes.txt", ".DS_Store", "c.tiff")
    found = scan(str(tmp_path))
    assert found.paths == ["a/z.png", "b.JPG", "c.tiff"]
    assert list(found.sizes) == [7, 5, 6]
    assert (found.ignored, found.hidden) == (1, 1)


def test_a_missing_folder_is_an_input_error_that_names_it(tmp_path):
    with pytest.raises(InputError, match=r"no folder or file '.*nowhere'"):
        scan(str(tmp_path / "nowhere"))


def test_a_folder_without_images_says_how_many_other_files_it_has(tmp_path):
    put(tmp_path, "readme.md", "data.csv")
    with pytest.raises(InputError, match=r"no images in .*2 other files"):
        scan(str(tmp_path))


def test_one_file_is_a_dataset(tmp_path):
    put(tmp_path, "one.png", "two.png")
    assert scan(str(tmp_path / "one.png")).paths == ["one.png"]


def test_a_glob_keeps_the_folders_below_its_fixed_part(tmp_path):
    put(tmp_path, "x/a.png", "x/y/b.png", "x/y/c.jpg", "z/d.png")
    assert sorted(scan(str(tmp_path / "x/**/*.png")).paths) == ["a.png", "y/b.png"]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path):
    put(tmp_path, "set[1]/a.png")
    assert scan(str(tmp_path / "set[1]")).paths == ["a.png"]


def test_links_are_followed_and_loops_end(tmp_path):
    put(tmp_path, "data/a.png", "elsewhere/b.png")
    (tmp_path / "data/again").symlink_to(tmp_path / "data")
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "data/linked")
    assert scan(str(tmp_path / "data")).paths == ["a.png", "linked/b.png"]


def test_a_link_to_nothing_is_rejected_and_the_others_go_on(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "not-there.png")
    found = scan(str(tmp_path))
    assert found.paths == ["a.png"]
    assert [(one.path, one.error_type) for one in found.rejected] == [("gone.png", "Unreadable")]


ODD_NAMES = [
    "with space.png",
    "hash#tag.png",
    "per%cent.png",
    "a..b.png",
    "emoji-🌻.png",
    "Ä.png",
    "CASE.png",
    "case.png",
    "q?x=1&y.png",
]


def test_odd_names_are_kept_as_they_are(tmp_path):
    put(tmp_path, *ODD_NAMES)
    assert scan(str(tmp_path)).paths == sorted(ODD_NAMES)


def test_names_that_no_blob_can_have_are_rejected_with_the_reason(tmp_path):
    put(tmp_path, "fine.png", "line\nbreak.png", "back\\slash.png")
    (tmp_path / os.fsdecode(b"latin-\xe9.png")).write_bytes(b"x")
    reasons = {one.path: one.message for one in scan(str(tmp_path)).rejected}
    assert len(reasons) == 3
    assert any("backslash" in reason for reason in reasons.values())
    assert any("control characters" in reason for reason in reasons.values())
    assert any("UTF-8" in reason for reason in reasons.values())


def test_two_folders_of_one_name_are_two_datasets(tmp_path):
    put(tmp_path, "one/images/a.png", "two/images/a.png")
    names = {scan(str(tmp_path / which / "images")).name for which in ("one", "two")}
    assert len(names) == 2
    assert all(name.startswith("images-") for name in names)


ACCOUNT = "https://account1.blob.core.windows.net"


def test_a_blob_url_in_the_runs_own_account_needs_no_other_account():
    source = source_of(f"{ACCOUNT}/photos/2026/may", ACCOUNT + "/")
    assert (source.container, source.prefix, source.account_url) == ("photos", "2026/may/", None)


def test_a_blob_url_in_another_account_names_it():
    source = source_of("https://other.blob.core.windows.net/photos", ACCOUNT)
    assert (source.container, source.prefix, source.account_url) == (
        "photos",
        "",
        "https://other.blob.core.windows.net",
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.org/photos", "not in Azure blob storage"),
        ("http://account1.blob.core.windows.net/photos", "not in Azure blob storage"),
        ("https://account1.blob.core.windows.net.example.org/photos", "not in Azure blob storage"),
        (f"{ACCOUNT}/photos?sv=1&sig=secret", "SAS tokens are not used"),
        (f"{ACCOUNT}/", "names no container"),
    ],
)
def test_a_url_that_no_identity_should_be_sent_to_is_refused_without_repeating_a_secret(url, why):
    with pytest.raises(InputError, match=why) as refused:
        source_of(url, ACCOUNT)
    assert "secret" not in refused.value.message


def test_a_glob_ends_in_spite_of_loops_of_links_and_counts_each_image_once(tmp_path):
    put(tmp_path, "a/x.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/up2").symlink_to(tmp_path)
    assert scan(f"{tmp_path}/**/*.png").paths == ["a/x.png"]


def test_an_empty_dataset_is_not_this_folder():
    with pytest.raises(InputError, match="--dataset is empty"):
        scan("")


def test_a_url_of_another_account_on_this_machine_is_refused():
    with pytest.raises(InputError, match="is not in http"):
        source_of("http://127.0.0.1:9/other/inputs/x", "http://127.0.0.1:10000/devstoreaccount1")


def test_a_name_with_escapes_is_shown_without_them(tmp_path):
    put(tmp_path, "a.png", "red\x1b[31m.png")
    assert [one.path for one in scan(str(tmp_path)).rejected] == ["red\\x1b[31m.png"]
