"""A recipe on one image: shared work, memory, times, errors that name the step."""

import json
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest

from batchimg_worker import apply
from batchimg_worker.apply import apply_recipe, measure, peak_bytes, plan_steps, process
from batchimg_worker.codec import DecodeLimits, Picture, decode, encode, inspect
from batchimg_worker.errors import DecodeError, EncodeError, ImageTooLarge, OperationFailed
from batchimg_worker.operations import OPERATIONS, Registry
from batchimg_worker.recipe import load_recipe, parse_recipe, recipe_from_ops

SAMPLES = Path(__file__).parents[3] / "samples" / "images"
CHELSEA = (SAMPLES / "animals" / "chelsea.jpg").read_bytes()


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return Picture(rng.integers(0, 256, (60, 80, 3), np.uint8), "png", 8)


@pytest.fixture
def counted(monkeypatch):
    """Operations that note how often they ran, and on what."""
    registry, runs = Registry("operation"), []
    for name in OPERATIONS.names():
        operation = OPERATIONS.get(name)

        def reference(image, *, _operation=operation, **parameters):
            runs.append(_operation.name)
            return _operation.reference(image, **parameters)

        reference.__name__ = name
        registry.register()(reference)
    monkeypatch.setattr(apply, "OPERATIONS", registry)
    return runs


def test_common_beginnings_are_computed_once(picture, counted):
    recipe = parse_recipe(
        """
        variants:
          small:      [{resize: 50%}]
          small-grey: [{resize: 50%}, grayscale]
          small-flip: [{resize: 50%}, {flip: vertical}]
          grey:       [grayscale]
          grey-again: [grayscale]
          as-it-is:   []
        """,
        "x",
    )
    results = {output.variant: output.picture.array for output in apply_recipe(picture, recipe)}
    assert set(results) == {variant.name for variant in recipe.variants}
    assert sorted(counted) == ["flip", "grayscale", "grayscale", "resize"]
    np.testing.assert_array_equal(results["small-flip"], results["small"][::-1])
    np.testing.assert_array_equal(results["grey"], results["grey-again"])
    np.testing.assert_array_equal(results["as-it-is"], picture.array)
    assert results["small-grey"].shape == (30, 40)


def test_steps_run_in_their_order(picture):
    recipe = recipe_from_ops(["crop=x:0,y:0,width:40,height:30 | flip=horizontal"])
    (output,) = apply_recipe(picture, recipe)
    np.testing.assert_array_equal(output.picture.array, picture.array[:30, :40][:, ::-1])


def test_the_original_is_never_changed(picture):
    before = picture.array.copy()
    recipe = recipe_from_ops(["flip=horizontal", "rotate=30", "blur=25%", "resize=50%", "grayscale", "crop=10x10"])
    assert len(list(apply_recipe(picture, recipe))) == 6
    np.testing.assert_array_equal(picture.array, before)


def test_an_array_is_released_when_no_variant_needs_it(picture):
    recipe = recipe_from_ops(["flip=horizontal", "resize=50% | grayscale", "rotate=30"])
    seen = []
    for output in apply_recipe(picture, recipe):
        assert all(reference() is None for reference in seen)
        seen.append(weakref.ref(output.picture.array))
        del output


def test_the_original_is_released_when_no_step_begins_with_it_any_more(picture):
    own = Picture(picture.array.copy(), "png", 8)
    original = weakref.ref(own.array)
    outputs = apply_recipe(own, recipe_from_ops(["resize=50%", "rotate=30"]))
    del own
    next(outputs)
    assert original() is not None
    next(outputs)
    assert original() is None


def test_only_the_file_asked_for_last_is_held():
    image = np.random.default_rng(0).integers(0, 256, (500, 400), np.uint8)
    data = encode(Picture(image, "png", 8), "png").data
    recipe = recipe_from_ops([f"rotate={angle}" for angle in range(0, 100, 10)])
    processed = process(data, recipe)
    next(processed.outputs)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [tracemalloc.get_traced_memory()[0] - before for _ in processed.outputs]
    finally:
        tracemalloc.stop()
    assert len(held) == 9
    assert max(held) < 3 * image.nbytes


def test_a_failing_step_is_named_with_its_variant_and_reason(picture):
    recipe = recipe_from_ops(["resize=50% | crop=50x50"])
    with pytest.raises(OperationFailed) as caught:
        list(apply_recipe(picture, recipe))
    assert caught.value.message == (
        "variant resize-50+crop-50x50: crop: a crop of 50x50 centred does not fit into the image of 40x30"
    )
    assert caught.value.hint


def test_any_exception_of_an_operation_is_told_in_one_line(picture, monkeypatch):
    registry = Registry("operation")

    def flip(image, *, direction):  # noqa: ARG001 - an operation takes an image
        """Break."""
        raise KeyError(f"{direction}\nsecond line")

    registry.register()(flip)
    monkeypatch.setattr(apply, "OPERATIONS", registry)
    with pytest.raises(OperationFailed, match="variant flip-vertical: flip: ") as caught:
        list(apply_recipe(picture, recipe_from_ops(["flip=vertical"])))
    assert "\n" not in caught.value.message


def test_a_failing_measure_is_named(picture, monkeypatch):
    registry = Registry("measure")

    def size(image):  # noqa: ARG001 - a measure takes an image
        """Break."""
        raise MemoryError

    registry.register()(size)
    monkeypatch.setattr(apply, "MEASURES", registry)
    with pytest.raises(OperationFailed, match="measure size: not enough memory"):
        measure(picture, recipe_from_ops(["size"]))


def test_measures_are_of_the_upright_original():
    data = (SAMPLES / "animals" / "chelsea-turned.jpg").read_bytes()
    recipe = recipe_from_ops(["size", "mean_pixel", "resize=50%"])
    processed = process(data, recipe)
    assert processed.measures["size"] == {"width": 451, "height": 300, "channels": 3}
    assert processed.measures["mean_pixel"].keys() == {"red", "green", "blue"}
    assert json.loads(json.dumps(processed.measures)) == processed.measures
    assert (processed.width, processed.height) == (451, 300)
    assert processed.notes == ("orientation 6 applied",)
    assert measure(decode(data), recipe) == processed.measures


def test_a_recipe_without_variants_only_measures():
    processed = process(CHELSEA, load_recipe("measure"))
    assert list(processed.outputs) == []
    assert processed.measures["size"]["width"] == 451


def test_every_output_is_a_file_of_the_right_format_and_size():
    processed = process(CHELSEA, recipe_from_ops(["flip=horizontal", "resize=100x50"], load_recipe("convert-png")))
    outputs = {output.variant: output for output in processed.outputs}
    assert list(outputs) == ["png", "flip-horizontal", "resize-100x50"]
    assert {inspect(output.encoded.data).format for output in outputs.values()} == {"png"}
    assert (outputs["resize-100x50"].width, outputs["resize-100x50"].height) == (100, 50)
    np.testing.assert_array_equal(decode(outputs["png"].encoded.data).array, decode(CHELSEA).array)


def test_time_is_counted_by_stage_while_outputs_are_read():
    processed = process(CHELSEA, load_recipe("augment"))
    first = processed.seconds
    assert first.decode > 0
    assert first.encode == 0
    assert len(list(processed.outputs)) == 5
    assert processed.seconds.decode == first.decode
    assert processed.seconds.compute > first.compute
    assert processed.seconds.encode > 0


def test_an_encode_error_names_the_variant():
    data = encode(Picture(np.full((5, 5), 7, np.float32), "tiff", 32), "tiff").data
    recipe = parse_recipe("variants: {a: []}\noutput: {format: png}", "x")
    with pytest.raises(EncodeError, match="variant a: values from 7 to 7 cannot be written as png"):
        list(process(data, recipe).outputs)


def test_a_bad_file_fails_before_anything_runs():
    with pytest.raises(DecodeError, match="is not an image"):
        process(b"hello", load_recipe("augment"))


def test_a_recipe_that_needs_too_much_memory_is_refused_from_the_header():
    with pytest.raises(ImageTooLarge, match=r"this recipe need .* MB of memory, the limit is 500 MB") as caught:
        process(CHELSEA, recipe_from_ops(["resize=20000x20000"]), DecodeLimits(memory_bytes=500 * 1024**2))
    assert "memory_mb" in caught.value.hint


def test_the_tree_counts_shared_arrays_once():
    header = inspect(CHELSEA)
    one = peak_bytes(header, recipe_from_ops(["resize=400% | flip=vertical"]))
    many = peak_bytes(header, recipe_from_ops(["resize=400% | flip=vertical", "resize=400% | rotate=3", "resize=400%"]))
    assert many == one
    assert len(plan_steps(load_recipe("augment")).children) == 5


PEAK = """
import sys
from batchimg_worker import apply, codec
from batchimg_worker.codec import DecodeLimits, inspect
from batchimg_worker.recipe import recipe_from_ops

def high_water():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

data = open(sys.argv[1], "rb").read()
recipe = recipe_from_ops(sys.argv[2:])
small = open(sys.argv[1] + ".small", "rb").read()
for _ in apply.process(small, recipe).outputs: pass
before = high_water()
for _ in apply.process(data, recipe, DecodeLimits(1000, 10**10)).outputs: pass
print(high_water() - before, apply.peak_bytes(inspect(data), recipe))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the kernel's high-water mark")
@pytest.mark.parametrize(
    ("kind", "ops", "factor"),
    [
        ("jpeg", ["flip=horizontal", "resize=100x100"], 4),
        ("jpeg", ["flip=horizontal", "rotate=30"], 8),  # in planes, which take half of what RGB would
        ("png", ["flip=horizontal", "resize=20% | blur=50%"], 4),
        ("tiff", ["rotate=angle:45,resize:true", "grayscale"], 4),
        ("webp", ["flip=vertical", "crop=100x100"], 4),
    ],
)
def test_the_estimate_of_memory_is_honest(tmp_path, kind, ops, factor):
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (40, 60, 3), np.uint8), np.ones((60, 60, 1), np.uint8))
    for name, array in {"image": image, "image.small": image[:120, :120]}.items():
        (tmp_path / name).write_bytes(encode(Picture(np.ascontiguousarray(array), "png", 8), kind).data)
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "image"), *ops],
        capture_output=True,
        check=True,
        timeout=120,
        text=True,
    )
    measured, estimate = map(int, run.stdout.split())
    assert measured <= estimate
    assert measured >= estimate / factor
