"""A user's own operations and logo, from the command to the nodes and back."""

import hashlib
import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from batchimg_worker.storage import BlobStore

from made_images import noise

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
FILM = SAMPLES / "operations" / "film.py"


@pytest.fixture
def film(tmp_path):
    return Path(shutil.copy(FILM, tmp_path / "film.py"))


def test_the_sample_runs_on_the_nodes_as_in_a_preview_and_its_hash_is_in_every_record(batchimg, tmp_path, film):
    folder = noise(tmp_path / "images", 5)
    what = ["--operations", film, "--op", "vignette=0.8", "--op", "clipped"]
    status = batchimg.submit(folder, "--chunk-images", 2, *what)
    assert (status["done"], status["chunks"]["total"]) == (5, 3)
    batchimg("download", status["run"], "--to", tmp_path / "out")
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    digest = hashlib.sha256(film.read_bytes()).hexdigest()
    assert [record["operations"] for record in records] == [[digest]] * 5
    assert set(records[0]["measures"]["clipped"]) == {"black", "white"}
    batchimg("preview", folder / "0003.png", *what, "--to", tmp_path / "preview")
    mine = (tmp_path / "preview" / "vignette-0.8" / "0003.png").read_bytes()
    assert mine == (tmp_path / "out" / "vignette-0.8" / "0003.png").read_bytes()
    made, original = iio.imread(mine), iio.imread(folder / "0003.png")
    assert made[0, 0].astype(int).sum() < 0.3 * original[0, 0].astype(int).sum()

    again = batchimg("submit", "--dataset", folder, "--chunk-images", 2, *what)
    assert f"Run {status['run']} of these images, this recipe and this name is done already." in again.stdout
    film.write_text(film.read_text().replace("/ 2)", "/ 3)"))
    changed = json.loads(batchimg("submit", "--dataset", folder, "--chunk-images", 2, "--json", *what).stdout)
    assert (changed["run"] != status["run"], changed["resumed"]) == (True, False)
    for command in (["runs"], ["status", status["run"]], ["gallery", status["run"], "--to", tmp_path / "g.html"]):
        batchimg(*command)
    assert "vignette" in (tmp_path / "g.html").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def (", "line 1: not Python"),
        ("1 / 0", "line 1: ZeroDivisionError: division by zero"),
        (FILM.read_text().replace("def vignette", "def rotate"), "operation 'rotate' is registered twice"),
        (FILM.read_text().replace("*, strength", "strength"), "vignette must take exactly one argument"),
    ],
    ids=["syntax", "failure", "name", "signature"],
)
def test_a_broken_file_is_told_before_anything_is_uploaded(batchimg, tmp_path, film, text, words):
    film.write_text(text)
    images = noise(tmp_path / "never-sent", 1)
    for command in (["submit", "--dataset", images], ["preview", images / "0000.png"], ["ops"]):
        told = batchimg(*command, "--operations", film, expect=2)
        assert words in told.stderr
        assert "docs/own-operations.md" in told.stderr
    stack = batchimg.stack()["stack"]
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    assert not [name for name in store.container("inputs").folders() if name.startswith("never-sent")]
    store.close()


def test_a_recipe_without_its_operations_is_told_with_the_nearest_name(batchimg, tmp_path):
    told = batchimg("submit", "--dataset", noise(tmp_path / "i", 1), "--op", "vignette", expect=2)
    assert "unknown operation 'vignette'" in told.stderr


def test_ops_lists_them(batchimg):
    assert "Darken the corners" in batchimg("ops", "vignette", "--operations", FILM).stdout
    assert "Darken the corners" in batchimg("ops", "--operations", FILM).stdout


def test_a_logo_goes_along_and_truncated_images_are_kept_and_counted(batchimg, tmp_path):
    folder = noise(tmp_path / "logos", 2)
    shutil.copy(SAMPLES / "images" / "odd" / "truncated.jpg", folder)
    iio.imwrite(tmp_path / "logo.png", np.full((10, 10, 3), (255, 0, 0), np.uint8))
    (tmp_path / "r.yaml").write_text("variants: {a: [{watermark: {image: logo.png, size: 100%, opacity: 1.0}}]}")
    status = batchimg.submit(folder, "--recipe", tmp_path / "r.yaml", "--allow-truncated")
    assert (status["done"], status["failed"], status["truncated"]) == (3, 0, 1)
    assert "(1 of them truncated)" in batchimg("status", status["run"]).stdout
    batchimg("download", status["run"], "--to", tmp_path / "out")
    assert iio.imread(tmp_path / "out" / "a" / "0000.png")[32, 32].tolist() == [255, 0, 0]
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    kept = [record["path"] for record in records if any("truncated" in note for note in record["notes"])]
    assert kept == ["truncated.jpg"]
    batchimg("gallery", status["run"], "--to", tmp_path / "g.html")
    assert "<b>1</b> of them truncated, and kept" in (tmp_path / "g.html").read_text()


def test_every_frame_of_an_animation_comes_back(batchimg, tmp_path):
    folder = tmp_path / "moving"
    folder.mkdir()
    frames = [np.full((8, 8, 3), 40 * number, np.uint8) for number in range(3)]
    iio.imwrite(folder / "a.gif", frames, duration=80, loop=0)
    (tmp_path / "r.yaml").write_text(
        "frames: all\nvariants: {one: [], each: {steps: [], output: {format: jpeg, name: '{stem}-{frame}{ext}'}}}\n"
    )
    batchimg("preview", folder / "a.gif", "--recipe", tmp_path / "r.yaml", "--to", tmp_path / "preview")
    run = batchimg.submit(folder, "--recipe", tmp_path / "r.yaml")["run"]
    batchimg("download", run, "--to", tmp_path / "out")
    for place in ("preview", "out"):
        files = sorted(file.relative_to(tmp_path / place).as_posix() for file in (tmp_path / place).rglob("*.*g"))
        assert files == ["each/a-0001.jpg", "each/a-0002.jpg", "each/a-0003.jpg", "one/a.gif.png"]
    assert iio.improps(tmp_path / "out" / "one" / "a.gif.png", index=...).n_images == 3
