"""Operations of others: a user's file, and packages by entry point."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, load_entry_points, load_operations_file, plugins
from batchimg_worker.recipe import parse_recipe, recipe_from_ops

GOOD = '''
from typing import Annotated
import numpy as np
from annotated_types import Ge, Le
from batchimg_worker.operations import measure, operation

Part = Annotated[float, Ge(0), Le(1)]

@operation(primary="by")
def darken(image, *, by: Part = 0.5):
    """Make the image darker.

    Parameters
    ----------
    by : 0 to 1
        How much.
    """
    return (image * (1 - by)).astype(image.dtype)

@measure()
def darkest(image) -> dict[str, float]:
    """The smallest value."""
    return {"value": float(image.min())}
'''


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Leave the registries as they were."""
    before = {registry: registry.names() for registry in (OPERATIONS, MEASURES)}
    monkeypatch.setattr(plugins, "_files", {})
    monkeypatch.setattr(plugins, "_packages", {})
    load_entry_points.cache_clear()
    yield
    load_entry_points.cache_clear()
    for registry, names in before.items():
        for name in set(registry.names()) - set(names):
            registry.remove(name)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_ops.py"
    path.write_text(GOOD)
    return path


def test_a_file_registers_what_a_recipe_can_use_and_says_its_hash(file):
    loaded = load_operations_file(file)
    assert loaded.operations == ("darken",)
    assert loaded.measures == ("darkest",)
    assert loaded.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert loaded.source == str(file)
    recipe = parse_recipe("variants: {a: [{darken: 0.25}]}\nmeasures: [darkest]", "x")
    step = recipe.variants[0].steps[0]
    image = np.full((2, 2), 100, np.uint8)
    assert OPERATIONS.get("darken").run(image, step.parameters)[0, 0] == 75
    assert recipe_from_ops(["darken=0.25"]).variants[0].steps == recipe.variants[0].steps
    with pytest.raises(RecipeError, match="by cannot be 2"):
        parse_recipe("variants: {a: [{darken: 2}]}", "x")


def test_the_same_content_can_be_loaded_again_and_from_elsewhere(file, tmp_path):
    first = load_operations_file(file)
    assert load_operations_file(str(file)) is first
    copy = tmp_path / "copy.py"
    copy.write_text(GOOD)
    assert load_operations_file(copy) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (", "line 1: not Python"),
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("import nowhere_to_be_found", "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("", "registers no operation"),
        ("\0", "not Python"),
        (GOOD.replace("darken", "rotate"), "operation 'rotate' is registered twice"),
        (GOOD.replace('"""The smallest value."""', ""), "darkest has no docstring"),
        (GOOD.replace("*, by", "by"), "darken must take exactly one argument"),
        (GOOD.replace("def darken(image, *", "def darken(*"), "darken must take exactly one argument"),
        (GOOD.replace("by: Part = 0.5", "by=0.5"), "darken has no type for its parameter 'by'"),
        (GOOD.replace("by: Part", "by: np.ndarray"), "darken has parameters that cannot be checked"),
    ],
)
def test_a_broken_file_is_named_with_its_fault_and_leaves_nothing_behind(tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    before = OPERATIONS.names(), MEASURES.names(), {name for name in sys.modules if name.startswith(plugins.MODULE)}
    with pytest.raises(RecipeError) as caught:
        load_operations_file(path)
    assert caught.value.message.startswith(str(path))
    assert message in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message
    after = {name for name in sys.modules if name.startswith(plugins.MODULE)}
    assert (OPERATIONS.names(), MEASURES.names()) == before[:2]
    assert after == before[2]


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(RecipeError, match="cannot read the operations file"):
            load_operations_file(path)


def installed(folder, content):
    """A package as pip would leave it: a module and its entry point."""
    (folder / "batchimg_sample_plugin.py").write_text(content)
    place = folder / "batchimg_sample_plugin-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: batchimg-sample-plugin\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[batchimg.operations]\nsample = batchimg_sample_plugin\n")


def python(folder, code):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60, env=environment
    )
    return run.stdout.strip()


def test_a_package_s_operations_are_found_when_a_recipe_names_them(tmp_path):
    installed(tmp_path, GOOD)
    code = (
        "from batchimg_worker.recipe import recipe_from_ops; from batchimg_worker.operations import OPERATIONS as o;"
        "print('darken' in o.names(), recipe_from_ops(['darken=0.25']).hash[:4] != '', 'darken' in o.names())"
    )
    assert python(tmp_path, code) == "False True True"


def test_a_broken_package_is_named_and_does_not_disturb_recipes_without_it(tmp_path):
    installed(tmp_path, "1 / 0")
    code = """
from batchimg_worker.errors import RecipeError
from batchimg_worker.recipe import recipe_from_ops
recipe_from_ops(['rotate=30'])
try: recipe_from_ops(['darken'])
except RecipeError as error: print(error.message)
"""
    assert "sample (batchimg_sample_plugin): ZeroDivisionError: division by zero" in python(tmp_path, code)
