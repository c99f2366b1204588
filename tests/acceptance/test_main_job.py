"""The main job, end to end, as a user types it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import skimage.filters
import skimage.transform

from made_images import noise

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "images"
NO_IMAGES = {"odd/truncated.jpg", "odd/not-a-picture.jpg"}


@pytest.fixture(scope="module")
def sample_run(batchimg):
    """The samples through the default recipe, written as PNG so that pixels can be compared."""
    recipe = batchimg.home / "lossless.yaml"
    recipe.write_text(
        "variants:\n  flip-horizontal: [{flip: horizontal}]\n  flip-vertical: [{flip: vertical}]\n"
        "  rotate-30: [{rotate: 30}]\n  blur-25: [{blur: 25%}]\n  blur-50: [{blur: 50%}]\n"
        "output: {format: png}\nmeasures: [mean_pixel, size]\n"
    )
    return batchimg.submit(SAMPLES, "--name", "samples", "--recipe", recipe, expect=1)


@pytest.fixture(scope="module")
def pictures(batchimg, sample_run):
    folder = batchimg.home / "samples-out"
    batchimg("download", sample_run["run"], "--to", folder)
    return folder


@pytest.fixture(scope="module")
def records(pictures):
    return {record["path"]: record for record in map(json.loads, (pictures / "results.jsonl").read_text().splitlines())}


def test_every_sample_has_one_record_and_only_those_that_are_no_images_failed(sample_run, records):
    files = {file.relative_to(SAMPLES).as_posix() for file in SAMPLES.rglob("*") if file.is_file()}
    assert set(records) == files
    failed = {path for path, record in records.items() if record["status"] == "failed"}
    assert failed == NO_IMAGES
    assert (sample_run["done"], sample_run["failed"]) == (len(files) - len(failed), len(failed))
    assert all(records[path]["error_type"] == "DecodeError" and records[path]["message"] for path in failed)


def upright(path: str) -> np.ndarray:
    """A sample as scikit-image would see it, EXIF orientation applied, all bits kept."""
    from PIL import Image, ImageOps

    if path.endswith("16bit.png"):
        return read_exact(SAMPLES / path)

    with Image.open(SAMPLES / path) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode in {"CMYK", "P"}:
            turned = turned.convert("RGBA" if "transparency" in turned.info else "RGB")
        return np.asarray(turned)


def ideal(variant: str, image: np.ndarray) -> np.ndarray:
    """What scikit-image makes of an image in float64, in grey levels of the image's own depth."""
    top = np.iinfo(image.dtype).max
    exact = image.astype(np.float64) / top
    channels = -1 if image.ndim == 3 else None
    sigma = 0.02 * min(image.shape[:2])
    made = {
        "flip-horizontal": lambda: exact[:, ::-1],
        "flip-vertical": lambda: exact[::-1],
        "rotate-30": lambda: skimage.transform.rotate(exact, 30),
        "blur-25": lambda: skimage.filters.gaussian(exact, 0.25 * sigma, channel_axis=channels),
        "blur-50": lambda: skimage.filters.gaussian(exact, 0.50 * sigma, channel_axis=channels),
    }[variant]()
    return np.rint(np.clip(made, 0, 1) * top)


@pytest.mark.parametrize("variant", ["flip-horizontal", "flip-vertical", "rotate-30", "blur-25", "blur-50"])
def test_outputs_equal_scikit_image_on_every_sample(pictures, records, variant):
    compared = 0
    for path, record in records.items():
        if record["status"] != "done":
            continue
        name = next(output["path"] for output in record["outputs"] if output["variant"] == variant)
        written = read_exact(pictures / variant / name)
        original = upright(path)
        assert written.dtype == original.dtype, path
        if original.ndim == 3 and original.shape[2] in {2, 4} and variant not in {"flip-horizontal", "flip-vertical"}:
            continue  # how alpha mixes is the operation's own decision, tested beside it
        levels = np.abs(written.astype(np.float64) - ideal(variant, original)) / (
            257 if original.dtype == np.uint16 else 1
        )
        assert levels.shape == original.shape, path
        assert levels.max() <= 2, path
        assert np.mean(levels <= 1) >= 0.999, path
        compared += 1
    assert compared >= 12


def read_exact(file: Path) -> np.ndarray:
    """A PNG with all of its bits (Pillow makes 8 of 16 for colours)."""
    import imagecodecs

    return imagecodecs.png_decode(file.read_bytes())


def test_measures_are_in_the_records(records):
    done = [record for record in records.values() if record["status"] == "done"]
    for record in done:
        size = record["measures"]["size"]
        assert (size["width"], size["height"]) == (record["width"], record["height"])
        assert record["measures"]["mean_pixel"]


def test_the_gallery_shows_originals_variants_and_failures_and_needs_nothing_else(batchimg, sample_run, records):
    page = batchimg.home / "gallery.html"
    batchimg("gallery", sample_run["run"], "--to", page)
    text = page.read_text()
    done = [record for record in records.values() if record["status"] == "done"]
    assert text.count("<img ") == len(done) * 6
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert "not-a-picture.jpg" in text
    assert "DecodeError" in text


def test_the_same_command_again_finds_that_all_is_done(batchimg, sample_run):
    recipe = batchimg.home / "lossless.yaml"
    again = batchimg("submit", "--dataset", SAMPLES, "--name", "samples", "--recipe", recipe)
    assert f"Run {sample_run['run']} of these images, this recipe and this name is done already." in again.stdout


def test_logs_are_those_of_the_tasks(batchimg, sample_run):
    assert (
        "0 failed" in batchimg("logs", sample_run["run"]).stdout
        or "failed: " in batchimg("logs", sample_run["run"]).stdout
    )
    assert batchimg("logs", sample_run["run"], "--chunk", 99, expect=2).stderr.startswith("batchimg: run ")


def test_a_second_download_fetches_only_what_is_missing_or_damaged(batchimg, sample_run, pictures):
    files = sorted((pictures / "rotate-30").rglob("*.png"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"!")
    wanted = files[1].stat().st_size
    done = batchimg("download", sample_run["run"], "--to", pictures)
    total, there = map(int, re.findall(r"(\d+) files .*?(\d+) of them", done.stdout)[0])
    assert total - there == 2
    assert files[0].exists()
    assert files[1].stat().st_size == wanted
    assert [file.name for file in pictures.rglob(".batchimg*")] == [".batchimg-run"]


def test_one_variant_alone_can_be_downloaded(batchimg, sample_run, tmp_path):
    batchimg("download", sample_run["run"], "--to", tmp_path, "--variant", "blur-25")
    assert {entry.name for entry in tmp_path.iterdir()} == {"blur-25", "results.jsonl", ".batchimg-run"}
    wrong = batchimg("download", sample_run["run"], "--to", tmp_path, "--variant", "blur-26", expect=2)
    assert "blur-25" in wrong.stderr


def test_hundreds_of_small_images_run_through(batchimg, tmp_path):
    status = batchimg.submit(noise(tmp_path / "hundreds", 400), "--op", "flip=horizontal", "--op", "mean_pixel")
    assert (status["state"], status["done"], status["failed"], status["images"]) == ("completed", 400, 0, 400)


def test_a_dataset_that_lies_in_blob_storage_is_not_uploaded_again(batchimg, sample_run):
    endpoint = batchimg.stack()["stack"]["blob_endpoint"]
    listing = json.loads(batchimg("runs", "--json").stdout)
    source = next(run["source"] for run in listing if run["run"] == sample_run["run"])
    url = f"{endpoint}/{source['container']}/{source['prefix']}"
    plan = json.loads(batchimg("submit", "--dataset", url, "--plan", "--json").stdout)
    assert plan["images"] == sample_run["images"]
    status = batchimg.submit(url, "--op", "grayscale", expect=1)
    assert (status["done"], status["failed"]) == (sample_run["done"], sample_run["failed"])


def test_a_plan_tells_and_does_nothing(batchimg, tmp_path):
    before = batchimg("runs", "--json").stdout
    values = json.loads(
        batchimg("submit", "--dataset", noise(tmp_path / "p", 10), "--chunk-images", 4, "--plan", "--json").stdout
    )
    assert (values["images"], values["chunks"], values["tasks"], values["outputs"]) == (10, 3, 3, 50)
    assert batchimg("runs", "--json").stdout == before


def test_a_preview_needs_no_services_and_equals_the_run(batchimg, tmp_path, pictures, records):
    path = next(path for path, record in records.items() if record["status"] == "done")
    recipe = batchimg.home / "lossless.yaml"
    environment = {"BATCHIMG_HOME": str(tmp_path / "no-stack-here")}
    batchimg("preview", SAMPLES / path, "--recipe", recipe, "--to", tmp_path / "preview", **environment)
    name = next(output["path"] for output in records[path]["outputs"] if output["variant"] == "rotate-30")
    mine = tmp_path / "preview" / "rotate-30" / Path(name).name
    assert mine.read_bytes() == (pictures / "rotate-30" / name).read_bytes()
    assert not (tmp_path / "no-stack-here").exists()


def test_a_run_can_be_deleted_and_its_originals_stay(batchimg, tmp_path):
    folder = noise(tmp_path / "gone", 3)
    run = batchimg.submit(folder, "--op", "flip=vertical")["run"]
    batchimg("delete", run, "--yes")
    assert run not in batchimg("runs", "--json").stdout
    assert "there is no run" in batchimg("status", run, expect=2).stderr
    again = batchimg.submit(folder, "--op", "flip=vertical")
    assert (again["run"], again["done"]) == (run, 3)


def test_ops_lists_every_operation_with_its_parameters(batchimg):
    listed = batchimg("ops").stdout
    for word in ("flip", "rotate", "blur", "resize", "crop", "grayscale", "mean_pixel", "size", "angle", "sigma"):
        assert word in listed
    assert "Did you mean 'rotate'?" in batchimg("ops", "rotat", expect=2).stderr
