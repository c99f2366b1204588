"""The catalogue: made from the code, with a picture of every operation."""

import re
from pathlib import Path

import numpy as np
import pytest

from batchimg_worker.codec import decode
from batchimg_worker.operations import MEASURES, OPERATIONS
from batchimg_worker.operations.catalogue import EXAMPLES, catalogue
from batchimg_worker.recipe import parse_recipe, recipe_from_ops

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operations-catalogue.md"
PICTURES = ROOT / "docs" / "pictures" / "operations"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == catalogue(), "run `make docs`"


def test_every_operation_and_measure_has_its_section():
    headings = re.findall(r"^### (\w+)$", catalogue(), re.MULTILINE)
    assert headings == [*EXAMPLES, *MEASURES.names()]
    assert set(EXAMPLES) == set(OPERATIONS.names())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_operation_has_an_example_that_works_and_a_picture(name):
    (step,) = recipe_from_ops([EXAMPLES[name]]).variants[0].steps
    assert step.operation == name
    picture = decode((PICTURES / f"{name}.jpg").read_bytes()).array
    assert picture.shape == (200, 608, 3)
    if name != "strip_metadata":
        assert np.abs(picture[:, :300].astype(int) - picture[:, 308:]).mean() > 1


def test_the_pictures_are_small_and_none_is_left_over():
    files = list(PICTURES.iterdir())
    assert {file.stem for file in files} == set(EXAMPLES)
    assert sum(file.stat().st_size for file in files) < 1_500_000


def test_the_recipe_in_the_page_is_one():
    (text,) = re.findall(r"```yaml\n(.*?)```", catalogue(), re.DOTALL)
    assert [one.format for one in parse_recipe(text, "page").outputs_of("small")] == ["jpeg", "webp"]


def test_the_file_of_operations_in_the_page_works(tmp_path):
    from batchimg_worker.operations import load_operations_file

    (text,) = re.findall(r"```python\n(.*?)```", catalogue(), re.DOTALL)
    file = tmp_path / "page.py"
    file.write_text(text)
    loaded = load_operations_file(file)
    try:
        image = np.full((2, 2), 100, np.uint8)
        darken = OPERATIONS.get("darken")
        assert darken.run(image, darken.bind(0.25))[0, 0] == 75
    finally:
        for name in loaded.operations:
            OPERATIONS.remove(name)


def test_odd_files_and_fields_of_names_are_in_the_page():
    page = catalogue()
    assert "| EXIF orientation | applied" in page
    assert "| `{stem}` | the original's name without its last suffix" in page
    assert "====" not in page
