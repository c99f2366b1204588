"""Operations and measures of others that break the rules: a record of the image, and no end of the task."""

import hashlib
import io
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image as PillowImage

from batchimg_worker.apply import process
from batchimg_worker.blob_names import attachment_path, manifest_path, run_path
from batchimg_worker.codec import DecodeLimits, decode
from batchimg_worker.contract import Attachment, ImageEntry, ImageResult, Limits, ManifestHeader, RunSpec, Source
from batchimg_worker.documents import dump, parse
from batchimg_worker.errors import OperationFailed
from batchimg_worker.operations import MEASURES, OPERATIONS, Operation, Tiling
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.process import Room, process_any

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)


def png():
    target = io.BytesIO()
    PillowImage.fromarray(PIXELS).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def register():
    """Add an operation, or a measure, that does what a function does; it is gone after the test."""
    added = []

    def add(function, name="strange", registry=OPERATIONS):
        registry.add(Operation(name, function))
        added.append((registry, name))
        return name

    yield add
    for registry, name in added:
        registry.remove(name)


def result(name):
    (output,) = process(png(), recipe_from_ops([name])).outputs
    return decode(output.encoded.data).array


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda _: None, "it returned NoneType; an operation returns an array of"),
        (lambda _: [[1, 2], [3, 4]], "it returned list"),
        (lambda image: image.ravel(), "it returned an array of 2232;"),
        (lambda image: image.max(), "it returned an array of one value"),
        (lambda image: image[:0], "it returned an array of 0 x 31 x 3"),
        (lambda image: np.dstack([image, image]), "it returned an array of 24 x 31 x 6"),
        (lambda image: image.astype(np.int64), "it returned int64 values; return uint8, or another of"),
        (lambda image: image.astype(np.complex64), "it returned complex64 values"),
        (lambda _: sys.exit("enough"), "it called sys.exit"),
    ],
)
def test_what_is_no_image_is_told_of_the_operation_that_returned_it(register, returned, message):
    recipe = parse_recipe(f"variants: {{odd: [{register(returned)}, {{flip: horizontal}}]}}", "r")
    with pytest.raises(OperationFailed) as caught:
        list(process(png(), recipe).outputs)
    assert caught.value.message.startswith(f"variant odd: strange: {message}")


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (lambda image: image, PIXELS),
        (lambda image: image[::2, ::-1], PIXELS[::2, ::-1]),
        (lambda image: np.asfortranarray(image), PIXELS),
        (lambda image: image[..., :1], PIXELS[..., 0]),
        (lambda image: image.astype(">u2") * 257, PIXELS.astype(np.uint16) * 257),
        (lambda image: image / 255, PIXELS.astype(np.uint16) * 257),
        (lambda image: image[..., 0] > 99, (PIXELS[..., 0] > 99) * np.uint8(255)),
    ],
    ids=["same", "view", "fortran", "one channel", "big-endian", "float64", "bool"],
)
def test_any_array_that_is_an_image_is_taken(register, returned, expected):
    found = result(register(returned))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_an_operation_cannot_change_what_other_variants_see(register):
    def blacken(image):
        image[...] = 0
        return image

    with pytest.raises(OperationFailed, match=r"it must not change its input, begin with image.copy\(\)"):
        result(register(blacken))
    assert OPERATIONS.get("flip").is_foreign is False


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "it returned NoneType; a measure returns a dict"),
        ([1.0], "it returned list"),
        ({"a": {"b": 1}}, "it returned dict for 'a'"),
        ({1: 2.0}, "it returned 1 as a name"),
        ({"a": 10**400}, "it returned a number for 'a' that is too large"),
    ],
)
def test_what_is_no_measurement_is_told_of_the_measure_that_returned_it(register, found, message):
    name = register(lambda _: found, registry=MEASURES)
    with pytest.raises(OperationFailed) as caught:
        process(png(), recipe_from_ops([name]))
    assert caught.value.message.startswith(f"measure strange: {message}")


def test_numbers_of_numpy_become_plain_ones(register):
    numbers = {"a": np.float32(1.5), "b": np.int64(3), "c": None, "d": "text"}
    name = register(lambda _: numbers, registry=MEASURES)
    assert process(png(), recipe_from_ops([name])).measures == {name: {"a": 1.5, "b": 3.0, "c": None, "d": "text"}}


def test_in_tiles_an_operation_has_to_keep_the_size_of_a_region(register, tmp_path):
    name = register(lambda image: image[:5])
    OPERATIONS.tile(name, Tiling("local", lambda wanted, *_: wanted))
    with pytest.raises(OperationFailed, match="in tiles it has to keep the size of a region"):
        list(process_any(png(), recipe_from_ops([name]), Room(DecodeLimits(), 16, tmp_path)).outputs)


NOISY = b'''
from batchimg_worker.operations import operation

@operation()
def strange(image):
    """Print something, and no whole line."""
    print("noise", end="", flush=True)
    return image
'''


def test_what_an_operation_prints_is_not_among_the_records_of_a_trial(register, tmp_path):
    recipe = recipe_from_ops([register(lambda image: image)])
    digest = hashlib.sha256(NOISY).hexdigest()
    attachment = Attachment(kind="operations", name="noisy.py", size=len(NOISY), sha256=digest)
    entry = ImageEntry(path="a.png", size=len(png()))
    counts = {"images": 1, "bytes": entry.size}
    spec = RunSpec(
        run="noisy-1",
        plan_hash="0" * 64,
        dataset="noisy",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        client_version="0",
        source=Source(container="inputs", prefix=""),
        recipe=recipe,
        limits=Limits(),
        chunks=1,
        rejected=0,
        attachments=(attachment,),
        **counts,
    )
    header = ManifestHeader(run=spec.run, chunk=0, **counts)
    files = {
        run_path(spec.run): dump(spec),
        manifest_path(spec.run, 0): dump(header) + b"\n" + dump(entry) + b"\n",
        attachment_path(spec.run, attachment): NOISY,
        entry.path: png(),
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    command = [sys.executable, "-m", "batchimg_worker.trial", tmp_path, spec.run, tmp_path, "60"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.stderr.startswith(b"noise")
    (line,) = done.stdout.splitlines()
    assert parse(ImageResult, line, "a record").status == "done"
