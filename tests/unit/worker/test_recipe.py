"""Recipes: read, checked, normalised, named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchimg_worker.contract import RunSpec
from batchimg_worker.errors import RecipeError
from batchimg_worker.recipe import (
    DEFAULT_RECIPE,
    Recipe,
    builtin_recipes,
    load_recipe,
    parse_recipe,
    recipe_from_ops,
)

ROOT = Path(__file__).parents[3]
RECIPES = [*builtin_recipes(), *(str(path) for path in (ROOT / "samples" / "recipes").glob("*.yaml"))]


def failure(make, *given):
    with pytest.raises(RecipeError) as caught:
        make(*given)
    return caught.value


def test_the_default_recipe_makes_the_five_variants_of_the_design():
    recipe = load_recipe(DEFAULT_RECIPE)
    steps = {v.name: [(s.operation, dict(s.parameters)) for s in v.steps] for v in recipe.variants}
    assert list(steps) == ["flip-horizontal", "flip-vertical", "rotate-30", "blur-25", "blur-50"]
    assert steps["blur-25"] == [("blur", {"percent": 25.0})]
    assert steps["rotate-30"][0][1]["angle"] == 30.0
    assert (recipe.output.format, recipe.output.quality) == ("same", 90)
    assert builtin_recipes()[0] == DEFAULT_RECIPE


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_its_canonical_json_and_the_run_s_document(name):
    recipe = load_recipe(name)
    again = parse_recipe(recipe.canonical_json(), recipe.name)
    assert again == recipe
    assert again.hash == recipe.hash
    assert Recipe.model_validate_json(recipe.model_dump_json(exclude_none=True)) == recipe
    assert RunSpec.model_fields["recipe"].annotation is Recipe


def test_equal_recipes_hash_equally_however_they_are_written():
    short = parse_recipe("variants: {a: [{blur: 25%}, grayscale], b: [{rotate: 30}]}", "short")
    long = parse_recipe(
        "measures: []\noutput: {quality: 90}\nvariants:\n  a:\n  - blur: {percent: 25}\n  - grayscale: {}\n"
        "  b: [{rotate: {resize: false, angle: 30.0, mode: constant}}]",
        "long",
    )
    assert short.hash == long.hash
    assert short.canonical_json() == long.canonical_json()


@pytest.mark.parametrize(
    "other",
    [
        "variants: {a: [{rotate: 31}]}",
        "variants: {b: [{rotate: 30}]}",
        "variants: {a: [{rotate: 30}, grayscale]}",
        "variants: {a: [{rotate: 30}]}\noutput: {quality: 89}",
        "variants: {a: [{rotate: 30}]}\nmeasures: [size]",
    ],
)
def test_different_recipes_hash_differently(other):
    assert parse_recipe("variants: {a: [{rotate: 30}]}", "x").hash != parse_recipe(other, "x").hash


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("variants: {a: [{rotat: 30}]}", "my.yaml: variant a: step 1: unknown operation 'rotat'", "'rotate'"),
        (
            "variants: {a: [grayscale, {flip: up}]}",
            "my.yaml: variant a: step 2: flip: direction cannot be 'up'",
            "vertical",
        ),
        ("variants: {a: [{rotate: {angel: 3}}]}", "rotate: unknown parameter 'angel'", "'angle'"),
        ("variants: {a: [{rotate: thirty}]}", "rotate: angle cannot be 'thirty'", "angle"),
        ("variants: {a: [{rotate: true}]}", "rotate: angle cannot be True", "angle"),
        ("variants: {a: [{rotate: .inf}]}", "rotate: angle cannot be inf", "angle"),
        ("variants: {a: [{rotate: [1]}]}", "rotate cannot be [1]", "number"),
        ("variants: {a: [{blur: 25}]}", "blur: cannot read 25; write 25%", "percent"),
        ("variants: {a: [{blur: {sigma: 3, percent: 3}}]}", "give either percent or sigma", "percent"),
        ("variants: {a: [{resize: {width: 0}}]}", "width cannot be 0", "width"),
        ("variants: {a: [{resize: {scale: 1e308}}]}", "scale cannot be 1e+308", "scale"),
        ("variants: {a: [{pad: 99999999999}]}", "top cannot be 99999999999", "top"),
        (
            "variants: {a: [{resize: {order: 0, scale: 50%, anti_aliasing: true}}]}",
            "anti_aliasing needs order",
            "order",
        ),
        ("variants: {a: [{crop: {x: 1, width: 2, height: 3}}]}", "both x and y", "width"),
        ("variants: {a: [size]}", "'size' is a measure", "measures"),
        ("variants: {a: [{rotate: 30, flip: vertical}]}", "cannot read", "one pair"),
        ("variants: {a: {rotate: 30}}", "a variant must be a list", "brackets"),
        ("variants: {a/b: []}", "'a/b' cannot be the name", "letters"),
        ("variants: {a..b: []}", "'a..b' cannot be the name", "letters"),
        ("variants: {'': []}", "'' cannot be the name", "letters"),
        (f"variants: {{{'x' * 65}: []}}", "cannot be the name", "at most 64"),
        ("variants: {a: [], A: []}", "two variants, 'a' and 'A', differ only in case", "Rename"),
        ("variants:\n  a: []\n  a: []", "line 3: 'a' is given twice", "remove"),
        ("variants: {a: [{rotate: {angle: 1, angle: 2}}]}", "line 1: 'angle' is given twice", "remove"),
        ("? [a]\n: 3", "line 1: a list cannot be a name", "word"),
        ("variant: {a: []}", "unknown key 'variant'", "'variants'"),
        ("variants: {a: []}\noutput: {format: jpge}", "output: unknown format 'jpge'", "'jpeg'"),
        ("variants: {a: []}\noutput: {quality: 0}", "output: quality cannot be 0", "1 to 100"),
        ("variants: {a: []}\noutput: {quality: 90.5}", "output: quality cannot be 90.5", "1 to 100"),
        ("variants: {a: []}\noutput: {qality: 90}", "output: unknown key 'qality'", "'quality'"),
        ("measures: [mean]", "measures: unknown measure 'mean'", "'mean_pixel'"),
        ("measures: [size, size]", "two measures are named 'size'", "Rename"),
        ("variants: {}", "neither variants nor measures", "at least one"),
        ("", "is empty", "samples/recipes"),
        ("- a", "must be names with values", "samples/recipes"),
        ("a: [", "line 1: not YAML", "brackets"),
        ("\x00", "not YAML", "YAML"),
        ("!!python/object:os.system {}", "not YAML", "brackets"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_next_action(text, message, hint):
    error = failure(parse_recipe, text, "my.yaml")
    assert error.message.startswith("my.yaml: ")
    assert message in error.message
    assert hint in error.hint


def test_formats_may_be_written_as_suffixes():
    assert parse_recipe("variants: {a: []}\noutput: {format: jpg}", "x").output.format == "jpeg"
    assert parse_recipe("variants: {a: []}\noutput: {format: tif}", "x").output.format == "tiff"


@pytest.mark.parametrize(
    ("op", "name", "steps"),
    [
        ("rotate=30", "rotate-30", [("rotate", {"angle": 30.0})]),
        ("rotate=-7.5", "rotate--7.5", [("rotate", {"angle": -7.5})]),
        ("flip=horizontal", "flip-horizontal", [("flip", {"direction": "horizontal"})]),
        ("blur=25%", "blur-25", [("blur", {"percent": 25.0})]),
        ("blur=sigma:3", "blur-sigma-3", [("blur", {"sigma": 3.0})]),
        ("resize=width:100,height:50", "resize-width-100-height-50", [("resize", {"width": 100, "height": 50})]),
        ("resize=800x600", "resize-800x600", [("resize", {"width": 800, "height": 600})]),
        ("grayscale", "grayscale", [("grayscale", {})]),
        ("resize=50% | grayscale", "resize-50+grayscale", [("resize", {"scale": 0.5}), ("grayscale", {})]),
    ],
)
def test_an_op_becomes_one_variant_with_a_readable_name(op, name, steps):
    (variant,) = recipe_from_ops([op]).variants
    assert variant.name == name
    assert [step.operation for step in variant.steps] == [operation for operation, _ in steps]
    for step, (_, parameters) in zip(variant.steps, steps, strict=True):
        assert parameters.items() <= step.parameters.items()


def test_ops_add_variants_and_measures_to_a_base():
    base = parse_recipe("variants: {a: []}\noutput: {format: png}", "base")
    recipe = recipe_from_ops(["rotate=30", "mean_pixel"], base)
    assert [variant.name for variant in recipe.variants] == ["a", "rotate-30"]
    assert [entry.measure for entry in recipe.measures] == ["mean_pixel"]
    assert recipe.output.format == "png"


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (["rotat=30"], "--op 'rotat=30': unknown operation 'rotat'"),
        (["rotate="], "rotate= has no value"),
        (["rotate"], "'angle' is missing"),
        (["|"], "an operation is missing"),
        (["rotate=angle:1,angle:2"], "'angle' is given twice"),
        (["rotate=angle:30,resize"], "rotate: 'resize' has no value"),
        (["resize=width:10,height:"], "resize: 'height' has no value"),
        (["rotate=30|size"], "'size' is a measure"),
        (["rotate=30", "rotate=30"], "two variants are named 'rotate-30'"),
        ([], "neither variants nor measures"),
    ],
)
def test_a_wrong_op_is_quoted(ops, message):
    assert message in failure(recipe_from_ops, ops).message


def test_a_long_chain_gets_a_name_that_is_short_and_its_own():
    chains = ["|".join(["rotate=30"] * 12 + [last]) for last in ("rotate=1", "rotate=2")]
    names = [variant.name for variant in recipe_from_ops(chains).variants]
    assert len(set(names)) == 2
    assert all(len(name) <= 64 for name in names)


def test_a_recipe_that_is_nowhere_offers_the_nearest_builtin():
    error = failure(load_recipe, "augmnt")
    assert error.message == "no recipe 'augmnt': neither a built-in one nor a file"
    assert error.hint == "Did you mean 'augment'?"


def test_a_file_is_read_and_its_mistakes_carry_its_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("variants: {a: []}")
    assert load_recipe(path).name == "mine"
    path.write_bytes(b"\xff\xfe\x00")
    assert str(path) in failure(load_recipe, path).message


def test_a_recipe_in_a_run_is_checked_again():
    text = load_recipe("grayscale").model_dump_json().replace('"operation":"grayscale"', '"operation":"greyscale"')
    assert "unknown operation 'greyscale'" in failure(Recipe.model_validate_json, text).message


@given(st.text(max_size=60))
def test_no_text_ends_in_anything_but_a_recipe_or_a_recipe_error(text):
    for read in (lambda: parse_recipe(text, "x"), lambda: recipe_from_ops([text])):
        hint = None
        try:
            read()
        except RecipeError as error:
            hint = error.hint
        assert hint != ""


@pytest.mark.parametrize("number", ["1e-3", "1E-3", ".1e-2", "1.0e-3", "+1e-3", "10e-4"])
def test_numbers_may_have_an_exponent_as_everywhere_else(number):
    from_text = parse_recipe(f"variants: {{a: [{{blur: {{sigma: {number}}}}}]}}", "test")
    assert from_text.variants[0].steps[0].parameters == {"sigma": 0.001}
    assert recipe_from_ops([f"blur=sigma:{number}"]).variants[0].steps[0].parameters == {"sigma": 0.001}


def test_a_number_that_is_too_large_is_refused():
    with pytest.raises(RecipeError, match="factor cannot be inf: it should be a finite number"):
        recipe_from_ops(["contrast=1e400"])


def test_names_that_yaml_takes_for_truth_or_numbers_are_names():
    recipe = parse_recipe("variants: {yes: [{rotate: 1}], on: [{rotate: 2}], 1: [{rotate: 3}]}", "test")
    assert [variant.name for variant in recipe.variants] == ["yes", "on", "1"]
