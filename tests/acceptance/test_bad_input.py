"""Bad input: a clear message, the right exit code, nothing lost."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from command_line import BATCHIMG
from made_images import bomb, noise


def says(done, *words: str) -> None:
    text = done.stderr + done.stdout
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "nowhere"], ["no folder or file 'nowhere'"]),
        (["--dataset", ".", "--recipe", "augmnt"], ["augmnt", "augment"]),
        (["--dataset", ".", "--op", "rotat=30"], ["rotat", "rotate"]),
        (["--dataset", ".", "--op", "rotate=angel:30"], ["angel", "angle"]),
        (["--dataset", ".", "--op", "flip=horizontl"], ["horizontl", "horizontal"]),
        (["--dataset", ".", "--op", "rotate=far"], ["rotate", "far"]),
        (["--dataset", ".", "--op", "rotate=30", "--op", "rotate=30"], ["rotate-30"]),
        (["--dataset", ".", "--name", "my run!"], ["my run!", "--name my-run"]),
        (["--dataset", ".", "--chunk-images", "0"], ["chunk-images"]),
        (["--dataset", "."], ["no images in '.'"]),
        (["--dataset", "https://example.org/x"], ["not in Azure blob storage"]),
        ([], ["--dataset"]),
    ],
)
def test_wrong_usage_is_told_with_the_next_action(batchimg, tmp_path, arguments, words):
    says(batchimg("submit", *arguments, expect=2, cwd=tmp_path), *words)


def test_a_recipe_with_two_variants_of_one_name_is_refused(batchimg, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("variants:\n  a: [{flip: horizontal}]\n  a: [{flip: vertical}]\n")
    says(batchimg("submit", "--dataset", noise(tmp_path / "i", 1), "--recipe", recipe, expect=2), "a")


def test_files_that_are_no_images_are_quarantined_and_the_others_are_done(batchimg, tmp_path):
    folder = noise(tmp_path / "mixed", 3)
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "cut.png").write_bytes((folder / "0000.png").read_bytes()[:500])
    bomb(folder / "bomb.png", 22_400)
    status = batchimg.submit(folder, "--op", "flip=horizontal", expect=1)
    assert (status["done"], status["failed"], status["lost"], status["images"]) == (3, 4, 0, 7)
    batchimg("download", status["run"], "--to", tmp_path / "out")
    records = {r["path"]: r for r in map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())}
    assert len(records) == 7
    assert {path for path, r in records.items() if r["status"] == "failed"} == {
        "zero.png",
        "text.jpg",
        "cut.png",
        "bomb.png",
    }
    assert "megapixels" in records["bomb.png"]["message"]
    assert records["bomb.png"]["error_type"] == "ImageTooLarge"
    assert batchimg("status", status["run"], expect=1)


ODD_NAMES = [
    "with space.png", "hash#tag.png", "per%cent.png", "per%20cent.png", "a..b.png", "emoji-🌻.png", "Ä-umlaut.png",
    "q?x=1&y=2.png", "plus+.png", "CASE.png", "case.png", "quote'\".png", "semi;colon.png", "x" * 240 + ".png",
    "tilde~.png", "[brackets].png", "dots....png",
]  # fmt: skip


def test_odd_names_come_back_as_they_were(batchimg, tmp_path):
    folder = noise(tmp_path / "odd", 1)
    for name in ODD_NAMES:
        shutil.copy(folder / "0000.png", folder / name)
    deep = folder.joinpath(*["d" * 60] * 5)
    deep.mkdir(parents=True)
    shutil.copy(folder / "0000.png", deep / "deep.png")
    status = batchimg.submit(folder, "--op", "flip=horizontal")
    assert status["done"] == len(ODD_NAMES) + 2
    batchimg("download", status["run"], "--to", tmp_path / "out")
    made = tmp_path / "out" / "flip-horizontal"
    names = {file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file()}
    assert names == {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_an_image_that_cannot_be_read_stays_behind_with_a_record(batchimg, tmp_path):
    folder = noise(tmp_path / "unreadable", 2)
    (folder / "gone.png").symlink_to(tmp_path / "not-there.png")
    status = batchimg.submit(folder, "--op", "flip=horizontal", expect=1)
    assert (status["done"], status["failed"], status["images"]) == (2, 1, 3)
    batchimg("download", status["run"], "--to", tmp_path / "out")
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [(r["path"], r["error_type"]) for r in records if r["status"] == "failed"] == [("gone.png", "Unreadable")]


def test_a_run_that_is_not_there_is_told(batchimg):
    for command in (["status"], ["logs"], ["cancel"], ["download", "--to", "x"], ["gallery"], ["delete", "--yes"]):
        says(batchimg(command[0], "no-such-run", *command[1:], expect=2), "there is no run 'no-such-run'")


def test_a_download_folder_that_is_a_file_is_told(batchimg, tmp_path):
    run = batchimg.submit(noise(tmp_path / "one", 1), "--op", "flip=horizontal")["run"]
    (tmp_path / "file").write_text("x")
    says(batchimg("download", run, "--to", tmp_path / "file", expect=2), "is not a folder")


def test_a_full_disk_while_downloading_is_told_and_what_has_arrived_stays(batchimg, tmp_path):
    """A file-size limit stands in for a full disk: the kernel refuses the write in the same place."""
    import resource

    run = batchimg.submit(noise(tmp_path / "big", 3, side=256), "--op", "flip=horizontal")["run"]
    limited = subprocess.run(
        [BATCHIMG, "download", run, "--to", tmp_path / "out"],
        check=False,
        capture_output=True,
        text=True,
        env=batchimg.environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        timeout=60,
    )
    assert limited.returncode == 3
    assert "cannot write to" in limited.stderr
    assert [file.name for file in (tmp_path / "out").rglob(".batchimg*")] == [".batchimg-run"]
    assert "3 files" in batchimg("download", run, "--to", tmp_path / "out").stdout


def test_a_folder_with_another_run_s_files_is_not_written_over(batchimg, tmp_path):
    run = batchimg.submit(noise(tmp_path / "one", 1), "--op", "flip=horizontal")["run"]
    out, picture = tmp_path / "out", tmp_path / "out" / "flip-horizontal" / "0000.png"
    batchimg("download", run, "--to", out)
    batchimg("download", run, "--to", out)
    (out / ".batchimg-run").write_text("other-0123456789\n")
    picture.write_bytes(b"the other run's")
    refused = batchimg("download", run, "--to", out, expect=2)
    says(refused, f"has the files of run other-0123456789, not of {run}", "--to out-2", "--force")
    assert picture.read_bytes() == b"the other run's"
    batchimg("download", run, "--to", out, "--force")
    assert picture.read_bytes() != b"the other run's"
    batchimg("download", run, "--to", out)


def test_a_variant_that_would_be_in_the_way_of_the_records_is_refused(batchimg, tmp_path):
    (tmp_path / "r.yaml").write_text("variants: {Results.jsonl: []}")
    folder = noise(tmp_path / "i", 1)
    says(batchimg("submit", "--dataset", folder, "--recipe", tmp_path / "r.yaml", expect=2), "Results.jsonl", "Rename")


def test_a_glob_without_quotes_is_explained(batchimg):
    says(batchimg("submit", "--dataset", "a.jpg", "b.jpg", "c.jpg", expect=2), "'b.jpg' came after it", "in quotes")


def test_an_error_keeps_its_exit_code_with_debug(batchimg):
    shown = subprocess.run(
        [BATCHIMG, "--debug", "submit", "--dataset", "nowhere"],
        check=False, capture_output=True, text=True, env=batchimg.environment(), timeout=60,
    )  # fmt: skip
    assert shown.returncode == 2
    assert "Traceback" in shown.stderr
    says(shown, "no folder or file 'nowhere'")


def test_a_preview_that_fails_names_the_file(batchimg, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    says(batchimg("preview", tmp_path / "text.jpg", expect=1), f"{tmp_path / 'text.jpg'}: is not an image")


def test_an_image_that_needs_too_much_memory_is_told_in_the_words_of_the_setting(batchimg, tmp_path):
    bomb(tmp_path / "large.png", 9000)
    large = tmp_path / "large.png"
    told = batchimg("preview", large, "--tiles", "off", expect=1, BATCHIMG_MEMORY_MB="512")
    says(told, "memory_mb = 512 leaves 216 MB for it")
    told = batchimg("preview", large, "--op", "edges=canny", expect=1, BATCHIMG_MEMORY_MB="512")
    says(told, "large.png: variant", "edges cannot be tiled")


@pytest.mark.parametrize("command", [["ops"], ["ops", "--json"], ["--help"]], ids=" ".join)
def test_an_answer_that_cannot_be_written_is_told(batchimg, command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BATCHIMG, *command], check=False, stdout=full, stderr=subprocess.PIPE, text=True,
            env=batchimg.environment(), timeout=60,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == ("batchimg: the answer cannot be written: No space left on device\n  See to where it goes.\n")


@pytest.mark.parametrize("redirected", ["| head -c 1 >/dev/null", "| true", ">&-", "2>&- >&-"])
def test_a_reader_that_goes_away_is_no_failure(batchimg, redirected):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {BATCHIMG} ops --json {redirected}"],
        check=False, capture_output=True, text=True, env=batchimg.environment(), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_settings_file_with_a_typing_error_is_told(batchimg, tmp_path):
    (tmp_path / "batchimg.toml").write_text('poool = "x"\n')
    says(batchimg("runs", expect=2, cwd=tmp_path), "poool", "Did you mean pool?")


def test_an_endpoint_that_does_not_answer_is_service_trouble(batchimg):
    done = batchimg(
        "runs",
        expect=3,
        BATCHIMG_BATCH_ENDPOINT="http://127.0.0.1:9",
        BATCHIMG_STORAGE_ENDPOINT="http://127.0.0.1:9/devstoreaccount1",
        BATCHIMG_STORAGE_KEY="a2V5",
        BATCHIMG_BATCH_KEY="a2V5",
    )
    says(done, "no answer from blob storage")
