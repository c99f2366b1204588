"""How results are written: several formats, per variant, depth, subsampling, names."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin, features

from batchimg_worker import naming
from batchimg_worker.apply import process
from batchimg_worker.codec import Picture, decode, encode, inspect, written_format
from batchimg_worker.errors import EncodeError, RecipeError
from batchimg_worker.recipe import Recipe, load_recipe, parse_recipe, recipe_from_ops

SAMPLES = Path(__file__).parents[3] / "samples" / "images"
CHELSEA = (SAMPLES / "animals" / "chelsea.jpg").read_bytes()
SEVERAL = """
variants:
  small: [{thumbnail: 100}]
  deep: {steps: [grayscale], output: {format: png, bits: 16}}
  both: {steps: [{flip: vertical}], outputs: [{format: tiff}, {format: avif, quality: 50}]}
outputs:
  - {format: jpeg, quality: 85, subsampling: 4:4:4}
  - {format: webp}
measures: [exif, brightness]
"""


def recipe(outputs, steps="[]"):
    return parse_recipe(f"variants: {{a: {steps}}}\n{outputs}", "x")


def shades(dtype=np.uint8, shape=(24, 36, 3)):
    values = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    return values.astype(dtype) if dtype is np.float32 else (values * np.iinfo(dtype).max).astype(dtype)


# Recipes


def test_every_variant_is_written_in_every_format_and_variants_can_have_their_own():
    outputs = [(one.variant, one.encoded.format) for one in process(CHELSEA, parse_recipe(SEVERAL, "x")).outputs]
    assert sorted(outputs) == [
        ("both", "avif"),
        ("both", "tiff"),
        ("deep", "png"),
        ("small", "jpeg"),
        ("small", "webp"),
    ]


def test_files_are_what_the_outputs_say():
    files = {(o.variant, o.encoded.format): o for o in process(CHELSEA, parse_recipe(SEVERAL, "x")).outputs}
    assert {inspect(one.encoded.data).format for one in files.values()} == {"jpeg", "webp", "png", "tiff", "avif"}
    assert decode(files["deep", "png"].encoded.data).array.dtype == np.uint16
    assert files["deep", "png"].encoded.notes == ("8 bits converted to 16",)
    assert files["small", "jpeg"].output.quality == 85
    with Image.open(io.BytesIO(files["small", "jpeg"].encoded.data)) as image:
        assert JpegImagePlugin.get_sampling(image) == 0
    assert (files["small", "webp"].width, files["small", "webp"].height) == (100, 67)


def test_a_recipe_with_outputs_survives_its_json():
    made = parse_recipe(SEVERAL, "several")
    assert parse_recipe(made.canonical_json(), "several") == made
    assert Recipe.model_validate_json(made.model_dump_json(exclude_none=True)) == made
    assert made.hash == parse_recipe(SEVERAL, "other").hash


def test_one_output_reads_writes_and_hashes_as_it_always_did():
    made = load_recipe("augment")
    document = json.loads(made.canonical_json())
    assert list(document) == ["measures", "output", "variants"]
    assert document["output"] == {"format": "same", "quality": 90}
    assert made.hash == "b113c700d9280022a4cd112b8e9c6ae8aa9178f924161d64248805e27193c323"
    assert set(made.model_dump(exclude_none=True)) == {"name", "variants", "output", "measures"}


@pytest.mark.parametrize(
    "other",
    [
        "outputs: [{format: jpeg}, {format: webp}]",
        "outputs: [{format: webp}, {format: jpeg}]",
        "output: {format: jpeg, subsampling: 4:2:2}",
        "output: {format: jpeg, bits: 8}",
        "output: {format: jpeg, name: '{stem}{ext}'}",
        "output: {format: jpeg}\ncolors: srgb",
    ],
)
def test_whatever_changes_a_file_changes_the_hash(other):
    assert recipe(other).hash != recipe("output: {format: jpeg}").hash


def test_the_default_written_out_changes_nothing():
    assert recipe("output: {bits: keep}\ncolors: keep").hash == recipe("").hash


@pytest.mark.parametrize(
    "text", ["4:2:2", "'4:2:2'", "422", "'422'"], ids=["yaml's number to the base of 60", "text", "number", "digits"]
)
def test_subsampling_may_be_written_as_people_do(text):
    assert recipe(f"output: {{format: jpeg, subsampling: {text}}}").output.subsampling == "4:2:2"


@pytest.mark.parametrize(
    ("outputs", "message", "hint"),
    [
        ("outputs: []", "outputs is empty", "at least one"),
        ("outputs: {format: png}", "outputs must be a list", "one line for each"),
        ("outputs: [png]", "outputs: 1: an output must be names with values", "samples"),
        ("outputs: [{format: png}, {format: pgn}]", "outputs: 2: unknown format 'pgn'", "'png'"),
        ("outputs: [{format: png}, {format: png}]", "two outputs of format png can get the same name", "name"),
        ("outputs: [{format: png}, {format: same}]", "png and same can get the same name", "name"),
        ("outputs: [{format: png, name: '{stem}{ext}'}, {format: webp}]", "some outputs have a name", "all of them"),
        ("output: {format: png}\noutputs: [{format: png}]", "output and outputs are both given", "Move"),
        ("output: {format: png, subsampling: 4:2:0}", "png has no subsampling", "JPEG"),
        ("output: {format: jpeg, subsampling: 4:1:1}", "subsampling cannot be", "4:2:2"),
        ("output: {format: jpeg, subsampling: true}", "subsampling cannot be True", "4:2:2"),
        ("output: {format: jpeg, subsampling: [4]}", "subsampling cannot be [4]", "4:2:2"),
        ("output: {format: jpeg, bits: 16}", "jpeg has no 16 bits", "png"),
        ("output: {format: gif}", "gif cannot be written", "webp"),
        ("output: {format: avif, bits: 16}", "avif has no 16 bits", "png"),
        ("output: {bits: 12}", "bits cannot be 12", "8, 16"),
        ("output: {bits: true}", "bits cannot be True", "8, 16"),
        ("output: {subsamplin: 4:2:0}", "unknown key 'subsamplin'", "'subsampling'"),
        ("output: {name: 3}", "name cannot be 3", "stem"),
        ("output: {name: '{stme}{ext}'}", "unknown field 'stme'", "'stem'"),
        ("output: {name: '{stem}'}", "not safe", "{ext}"),
        ("output: {name: '{variant}{ext}'}", "leaves the original's name out", "{stem}"),
        ("output: {name: 'a/{stem}{ext}'}", "not safe", "no slash"),
        ("output: {name: '../{stem}{ext}'}", "not safe", "no slash"),
        ("output: {name: '.{stem}{ext}'}", "not safe", "begin"),
        ("output: {name: '-{stem}{ext}'}", "not safe", "begin"),
        ("output: {name: '{stem:>9}{ext}'}", "unknown field 'stem:>9'", "stem"),
        ("output: {name: '{stem.__class__}{ext}'}", "unknown field", "stem"),
        ("output: {name: '{{stem}}{ext}'}", "not safe", "letters"),
        ('output: {name: "{stem}\\n{ext}"}', "not safe", "letters"),
        ("colors: sRGB", "colors cannot be 'sRGB'", "'srgb'"),
    ],
)
def test_a_wrong_output_is_named_with_the_next_action(outputs, message, hint):
    with pytest.raises(RecipeError) as caught:
        recipe(outputs)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("{steps: [grayscale], outptu: {}}", "variant a: unknown key 'outptu'"),
        ("{steps: [grayscale], output: {format: pgn}}", "variant a: output: unknown format 'pgn'"),
        ("{steps: [], output: {format: png}, outputs: []}", "variant a: output and outputs are both given"),
        ("{steps: grayscale}", "variant a: a variant must be a list"),
    ],
)
def test_a_wrong_output_of_a_variant_is_named_with_it(variant, message):
    with pytest.raises(RecipeError) as caught:
        recipe("", variant)
    assert message in caught.value.message


def test_a_name_that_is_operation_and_measure_is_told_apart_by_its_value():
    made = recipe_from_ops(["brightness", "brightness=120%", "brightness=0.5 | grayscale"])
    assert [entry.measure for entry in made.measures] == ["brightness"]
    assert [v.name for v in made.variants] == ["brightness-120", "brightness-0.5+grayscale"]


# Writing


@pytest.mark.parametrize(
    ("dtype", "kind", "bits", "expected"),
    [
        (np.uint8, "png", 16, np.uint16),
        (np.uint16, "png", 8, np.uint8),
        (np.uint16, "tiff", 8, np.uint8),
        (np.uint8, "tiff", 16, np.uint16),
        (np.float32, "tiff", 16, np.uint16),
        (np.float32, "tiff", None, np.float32),
        (np.uint16, "png", None, np.uint16),
        (np.uint8, "jpeg", 16, np.uint8),
    ],
)
def test_bits_are_converted_or_kept(dtype, kind, bits, expected):
    image = shades(dtype)
    encoded = encode(Picture(image, "png", 8), kind, bits=bits, quality=100, subsampling="4:4:4")
    array = decode(encoded.data).array
    assert array.dtype == expected
    white, was = (
        1 if kind is np.float32 else np.iinfo(kind).max if kind is not np.float32 else 1 for kind in (expected, dtype)
    )
    np.testing.assert_allclose(array / white, image / was, atol=0.03 if kind == "jpeg" else 1 / 255)
    assert bool(encoded.notes) == (expected != dtype)


def test_floats_without_a_white_cannot_get_whole_bits():
    with pytest.raises(EncodeError, match="no agreed white"):
        encode(Picture(shades(np.float32) * 9, "tiff", 32), "tiff", bits=8)


@pytest.mark.parametrize(("word", "factor"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_jpeg_is_written_with_the_wanted_subsampling(word, factor):
    encoded = encode(Picture(shades(), "png", 8), "jpeg", subsampling=word)
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert JpegImagePlugin.get_sampling(image) == factor


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_keeps_colours_and_alpha(channels):
    image = shades(shape=(24, 36, channels) if channels > 1 else (24, 36))
    encoded = encode(Picture(image, "png", 8), "avif", quality=100, subsampling="4:4:4")
    array = decode(encoded.data).array
    expected = (
        image
        if channels > 2
        else np.dstack([image.reshape(24, 36, -1)[..., :1]] * 3 + [image[..., 1:]] * (channels == 2))
    )
    assert np.abs(array[..., : expected.shape[2]].astype(int) - expected).max() <= 8
    assert encoded == encode(Picture(image, "png", 8), "avif", quality=100, subsampling="4:4:4")
    smaller = encode(Picture(image, "png", 8), "avif", quality=20)
    assert len(smaller.data) <= len(encoded.data)
    assert written_format("avif", "same") == "avif"


def test_avif_ends_at_its_largest_side():
    with pytest.raises(EncodeError, match="16385x1 is too large for avif"):
        encode(Picture(np.zeros((1, 16_385), np.uint8), "png", 8), "avif")


def test_strip_metadata_drops_the_profile_of_its_variant_only():
    srgb = (SAMPLES / "animals" / "chelsea.jpg").read_bytes()
    profile = encode(Picture(decode(srgb).array, "jpeg", 8, b"\0" * 16 + b"RGB " + b"\0" * 200), "jpeg").data
    made = parse_recipe("variants: {a: [strip_metadata, {flip: vertical}], b: [{flip: vertical}]}", "x")
    files = {one.variant: decode(one.encoded.data) for one in process(profile, made).outputs}
    assert files["a"].icc_profile is None
    assert files["b"].icc_profile is not None
    np.testing.assert_array_equal(files["a"].array, files["b"].array)


# Names


def name_of(template, path, variant="rotate-30", written="jpeg"):
    (output,) = parse_recipe(f"variants: {{a: []}}\noutputs: [{{format: jpeg, name: '{template}'}}]", "x").outputs
    return naming.result_name(path, variant, written, output)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("{stem}-{variant}{ext}", "a/b.png", "a/b-rotate-30.jpg"),
        ("{stem}{ext}", "b.JPEG", "b.jpg"),
        ("{name}{ext}", "a/b c/ü.v2.png", "a/b c/ü.v2.png.jpg"),
        ("{format}_{stem}{ext}", "photo", "jpeg_photo.jpg"),
        ("{stem}-{variant}{ext}", "x/.hidden", "x/.hidden-rotate-30.jpg"),
    ],
)
def test_a_template_names_the_result_in_the_original_s_folder(template, path, expected):
    assert name_of(template, path) == expected


def test_a_name_that_is_too_long_for_a_file_system_is_refused():
    with pytest.raises(EncodeError, match="over 255 bytes"):
        name_of("{stem}-{variant}{ext}", "ü" * 121 + ".jpg")


def test_without_a_template_names_are_as_before():
    (output,) = recipe("outputs: [{format: jpeg}]").outputs
    assert naming.result_name("a/b.png", "a", "jpeg", output) == "a/b.png.jpg"


@pytest.mark.parametrize(
    ("outputs", "paths", "message"),
    [
        ("output: {format: jpeg, name: '{stem}{ext}'}", ["a.png", "a.jpg"], "'a.png' and 'a.jpg' would both become"),
        ("output: {format: jpeg, name: '{stem}{ext}'}", ["A.png", "a.png"], "'A.png' and 'a.png'"),
        ("output: {name: '{stem}{ext}'}", ["a.png", "a.jpg"], "'a.png' and 'a.jpg'"),
        (
            "outputs: [{format: jpeg, name: '{stem}-a{ext}'}, {format: jpeg, name: '{stem}-{variant}{ext}'}]",
            ["b.png"],
            "two outputs of 'z.png'",
        ),
        ("output: {format: jpeg, name: '{stem}-{variant}{ext}'}", ["ü" * 130], "255 bytes"),
    ],
)
def test_two_results_of_one_name_are_refused_before_anything_runs(outputs, paths, message):
    with pytest.raises(RecipeError) as caught:
        naming.check_paths(recipe(outputs), iter(["z.png", *paths]))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("outputs", "paths"),
    [
        ("output: {format: jpeg, name: '{stem}{ext}'}", ["a/b.png", "c/b.png", "b.png"]),
        ("output: {format: jpeg, name: '{name}-{variant}{ext}'}", ["a.png", "a.jpg"]),
        ("outputs: [{format: jpeg, name: '{stem}{ext}'}, {format: png, name: '{stem}{ext}'}]", ["a.png", "b.png"]),
        ("", ["a.png", "a.png"]),
    ],
)
def test_results_of_different_names_pass(outputs, paths):
    naming.check_paths(recipe(outputs), iter(paths))
