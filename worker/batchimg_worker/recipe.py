"""Where recipes come from: built-in ones, files, texts, and the short texts of `--op`.

Nothing here imports numpy: the command line checks a recipe before anything is uploaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import nearest
from batchimg_worker.recipe_model import AS_WRITTEN, FORMATS, Measurement, Output, Recipe, Step, Variant
from batchimg_worker.recipe_text import parse, parse_op

__all__ = [
    "AS_WRITTEN",
    "DEFAULT_RECIPE",
    "FORMATS",
    "Measurement",
    "Output",
    "Recipe",
    "Step",
    "Variant",
    "builtin_recipes",
    "load_recipe",
    "parse_recipe",
    "recipe_from_ops",
]

DEFAULT_RECIPE = "augment"


def builtin_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with batchimg, the default first."""
    folder = resources.files("batchimg_worker") / "recipes"
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_RECIPE))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a built-in recipe by name, or a YAML file. Raises RecipeError."""
    text = str(name_or_path)
    if text in builtin_recipes():
        return parse_recipe(
            (resources.files("batchimg_worker") / "recipes" / f"{text}.yaml").read_text(encoding="utf-8"), text
        )
    path = Path(text).expanduser()
    if not path.is_file():
        hint = nearest(text, builtin_recipes())
        raise RecipeError(f"no recipe {text!r}: neither a built-in one nor a file", hint)
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), text)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {text}: {error}", "Recipes are YAML files in UTF-8.") from None


def parse_recipe(text: str, source: str) -> Recipe:
    """Read a recipe from YAML (or JSON). ``source`` names it in errors and, without its folder, in the recipe.

    Raises RecipeError that says where in the text the mistake is.
    """
    return parse(text, source)


def recipe_from_ops(ops: Sequence[str], base: Recipe | None = None) -> Recipe:
    """A recipe from short texts, each one variant (`rotate=30`, `resize=50% | grayscale`) or a measure's name.

    With ``base`` they are added to its variants and its output stays. Raises RecipeError that quotes the text.
    """
    variants: list[Variant] = list(base.variants) if base else []
    measures: list[Measurement] = list(base.measures) if base else []
    for op in ops:
        entry = parse_op(op)
        if isinstance(entry, Variant):
            variants.append(entry)
        else:
            measures.append(entry)
    name = f"{base.name}+ops" if base else "ops"
    added = {"name": name, "variants": tuple(variants), "measures": tuple(measures)}
    if base:
        return Recipe.model_validate(base.model_dump() | added)
    return Recipe.model_validate(added)
