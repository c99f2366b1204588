"""What goes along with a run: operations of the user's own, and files that steps read."""

from array import array
from pathlib import Path

import pytest

from batchimg.dataset import Dataset
from batchimg.errors import InputError
from batchimg.plan import make_plan, plan_hash
from batchimg.recipes import load_all, read_instructions
from batchimg_worker.contract import Limits, Source
from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, plugins

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
LOGO = SAMPLES / "images" / "odd" / "rocket-palette.gif"
OWN = '''
from batchimg_worker.operations import operation

@operation(primary="by")
def own_darken(image, *, by: float = 0.5):
    """Make the image darker."""
    return (image * (1 - by)).astype(image.dtype)
'''


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    before = {registry: registry.names() for registry in (OPERATIONS, MEASURES)}
    monkeypatch.setattr(plugins, "_files", {})
    yield
    for registry, names in before.items():
        for name in set(registry.names()) - set(names):
            registry.remove(name)


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def hash_of(instructions, limits=None):
    dataset = Dataset("x", "x", Path(), None, ["a.png"], array("Q", [1]))
    return plan_hash(make_plan(dataset, instructions, limits or Limits()), Source(container="c", prefix="p/"))


def test_operations_are_loaded_before_the_recipe_is_read_and_go_along(own):
    instructions = read_instructions(None, ["own_darken=0.25"], [own])
    assert instructions.recipe.variants[0].steps[0].parameters == {"by": 0.25}
    (one,) = instructions.attachments
    assert (one.attachment.kind, one.attachment.name, one.content) == ("operations", str(own), OWN.encode())


def test_a_changed_file_is_another_run_and_the_same_from_elsewhere_is_not(own, tmp_path, monkeypatch):
    first = hash_of(read_instructions(None, ["rotate=30"], [own]))
    copy = tmp_path / "copy.py"
    copy.write_text(OWN)
    assert hash_of(read_instructions(None, ["rotate=30"], [copy, own])) == first
    assert hash_of(read_instructions(None, ["rotate=30"], [])) != first
    OPERATIONS.remove("own_darken")
    monkeypatch.setattr(plugins, "_files", {})
    own.write_text(OWN.replace("1 - by", "1 - by / 2"))
    assert hash_of(read_instructions(None, ["rotate=30"], [own])) != first


def test_what_is_allowed_of_truncated_files_is_part_of_the_run():
    instructions = read_instructions(None, ["rotate=30"], [])
    assert hash_of(instructions) != hash_of(instructions, Limits(allow_truncated=True))


def test_the_same_file_twice_counts_once(own):
    assert len(load_all([own, own])) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (", "line 1: not Python"),
        (OWN.replace("own_darken", "rotate"), "operation 'rotate' is registered twice"),
        (OWN.replace("*, by", "by"), "must take exactly one argument"),
        ("import nothing_like_it", "No module named 'nothing_like_it'"),
    ],
)
def test_a_broken_file_is_told(tmp_path, text, message):
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_instructions(None, ["rotate=30"], [tmp_path / "broken.py"])


def test_a_logo_lies_beside_the_recipe_or_in_this_folder(tmp_path, monkeypatch):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "r.yaml").write_text("variants: {a: [{watermark: {image: logo.gif}}]}")
    (folder / "logo.gif").write_bytes(LOGO.read_bytes())
    (one,) = read_instructions(str(folder / "r.yaml"), [], []).attachments
    assert (one.attachment.kind, one.attachment.name, one.content) == ("file", "logo.gif", LOGO.read_bytes())
    monkeypatch.chdir(folder)
    assert read_instructions(None, ["watermark=image:logo.gif"], []).attachments == (one,)


@pytest.mark.parametrize(
    ("name", "message"), [("none.png", "there is no file 'none.png'"), ("text.png", "'text.png' is not an image")]
)
def test_a_logo_that_cannot_be_used_is_told(tmp_path, monkeypatch, name, message):
    (tmp_path / "text.png").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_instructions(None, [f"watermark=image:{name}"], [])
    assert caught.value.hint


def test_ops_are_added_to_all_that_a_recipe_says(tmp_path):
    (tmp_path / "r.yaml").write_text("frames: all\ncolors: srgb\nvariants: {a: []}\noutputs: [{format: webp}]")
    recipe = read_instructions(str(tmp_path / "r.yaml"), ["rotate=30"], []).recipe
    assert [variant.name for variant in recipe.variants] == ["a", "rotate-30"]
    assert (recipe.frames, recipe.colors, recipe.outputs[0].format) == ("all", "srgb", "webp")


def test_an_image_beside_its_rival_is_set_apart():
    paths = ["a.png", "a.png.jpg", "b.png.jpg"]
    dataset = Dataset("x", "x", Path(), None, paths, array("Q", [1, 1, 1]))
    assert [dataset.has_rival(path) for path in paths] == [False, True, False]
