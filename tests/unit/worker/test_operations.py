"""The registry: names, help, schemas, validation, and faster kernels."""

import json
import subprocess
import sys
from typing import Annotated, Literal

import jsonschema
import numpy as np
import pytest
from annotated_types import Ge

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, Kernel, Registry


def brighten(image, *, by: Annotated[int, Ge(0)], where: Literal["all", "top"] = "all"):
    """Make it brighter.

    Parameters
    ----------
    by : grey levels
        How much.
    """
    return image + np.uint8(by) if where == "all" else image


@pytest.fixture
def registry():
    registry = Registry("operation")
    registry.register(primary="by")(brighten)
    return registry


def test_the_issue_s_operations_and_measures_are_there():
    assert set(OPERATIONS.names()) >= {"flip", "rotate", "blur", "resize", "crop", "grayscale"}
    assert set(MEASURES.names()) >= {"mean_pixel", "size"}


@pytest.mark.parametrize("module", ["batchimg_worker.recipe", "batchimg_worker.operations", "batchimg_worker.errors"])
def test_importing_names_and_recipes_loads_no_image_library(module):
    listing = "from batchimg_worker.operations import OPERATIONS as o; [o.get(n).schema() for n in o.names()]"
    code = f"import sys, json, {module}; {listing}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    )
    assert not {"numpy", "scipy", "skimage", "PIL", "imageio", "tifffile", "imagecodecs"} & set(loaded)


def test_listing_operations_does_not_even_load_pydantic():
    code = (
        "import sys; from batchimg_worker.operations import OPERATIONS as o; "
        "[(o.get(n).help, o.get(n).parameters) for n in o.names()]; print('pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60, text=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_every_operation_and_parameter_has_help_and_a_schema_that_takes_what_bind_takes(name):
    operation = OPERATIONS.get(name)
    assert operation.help.endswith(".")
    assert all(parameter.help for parameter in operation.parameters)
    schema = operation.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema.get("properties", {})) == {parameter.name for parameter in operation.parameters}
    assert schema["additionalProperties"] is False


def test_the_schema_takes_the_texts_that_a_recipe_takes():
    schema = OPERATIONS.get("resize").schema()
    jsonschema.validate({"scale": "50%"}, schema)
    jsonschema.validate({"scale": 0.5}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"scale": "half"}, schema)


def test_bind_fills_in_defaults_and_a_bare_value_sets_the_primary_parameter(registry):
    assert registry.get("brighten").bind(3) == registry.get("brighten").bind({"by": 3}) == {"by": 3, "where": "all"}


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"by": -1}, "by cannot be -1", "by"),
        ({"by": True}, "by cannot be True", "by"),
        ({"by": "3"}, "by cannot be '3'", "by"),
        ({}, "'by' is missing", "brighten takes by"),
        ({"by": 1, "were": "top"}, "unknown parameter 'were'", "'where'"),
        ({"by": 1, "where": "tap"}, "where cannot be 'tap'", "'top'"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_nearest_right_one(registry, given, message, hint):
    with pytest.raises(RecipeError) as caught:
        registry.get("brighten").bind(given)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(RecipeError, match="unknown operation 'grayscal'") as caught:
        OPERATIONS.get("grayscal")
    assert caught.value.hint == "Did you mean 'grayscale'?"


def test_a_name_can_be_taken_only_once(registry):
    with pytest.raises(ValueError, match="registered twice"):
        registry.register()(brighten)


def test_a_faster_kernel_is_used_where_it_suits_and_the_reference_elsewhere(registry):
    registry.accelerate(
        "brighten",
        Kernel(lambda image, *, by, where: image * 0 + 99, suits=lambda image, parameters: image.ndim == 2),  # noqa: ARG005
    )
    operation = registry.get("brighten")
    assert operation.run(np.zeros((1, 1), np.uint8), {"by": 1, "where": "all"}).item() == 99
    assert operation.run(np.zeros((1, 1, 1), np.uint8), {"by": 1, "where": "all"}).item() == 1
    assert operation.help == "Make it brighter."


def test_measures_say_what_the_image_is():
    image = np.zeros((2, 3, 4), np.uint8)
    image[..., 1] = 10
    image[0, :, 3] = 255
    assert MEASURES.get("size").run(image, {}) == {"width": 3, "height": 2, "channels": 4}
    assert MEASURES.get("mean_pixel").run(image, {}) == {"red": 0.0, "green": 10.0, "blue": 0.0, "alpha": 127.5}
    assert MEASURES.get("mean_pixel").run(image[..., 1].astype(np.float32), {}) == {"grey": 10.0}
    assert MEASURES.get("size").run(image[..., 1], {}) == {"width": 3, "height": 2, "channels": 1}
