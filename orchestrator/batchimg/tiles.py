"""Tiles: what can be known of huge images before anything is sent."""

from pathlib import Path

from batchimg.dataset import Dataset
from batchimg_worker.contract import Limits
from batchimg_worker.errors import EncodeError, ImageError, RecipeError, TilingRefused
from batchimg_worker.operations.tiling import refusal
from batchimg_worker.recipe import Recipe

LOOKED_AT = 8 << 20
"""Bytes of a file from which its header is read; a smaller one that is huge in pixels is left for the node to tell."""


def check_tiles(recipe: Recipe, limits: Limits, dataset: Dataset) -> None:
    """Raise RecipeError where an image has to be done in tiles and the recipe cannot be.

    Where tiles are forced the recipe alone tells; else the headers of a folder's large files are read.
    """
    tiles = limits.tiles or "auto"
    if tiles == "off":
        return
    if tiles != "auto":
        _check_recipe(recipe)
    if dataset.root is None:
        return
    for path, size in zip(dataset.paths, dataset.sizes, strict=True):
        if size >= LOOKED_AT:
            _check_image(path, dataset.root / path, recipe, limits)


def _check_recipe(recipe: Recipe) -> None:
    for variant in recipe.variants:
        for number, step in enumerate(variant.steps, start=1):
            reason = refusal(step.operation, step.parameters)
            if reason:
                raise RecipeError(
                    f"variant {variant.name}, step {number}: {step.operation} cannot be tiled: {reason}",
                    "Change the step, or use --tiles auto: then only images that do not fit into memory are tiled.",
                )


def _check_image(path: str, file: Path, recipe: Recipe, limits: Limits) -> None:
    """What is wrong with the image and not with the recipe becomes a record of the run, as for any other image."""
    from batchimg_worker.memory import image_limits
    from batchimg_worker.tiles.original import look
    from batchimg_worker.tiles.plan import make_plan, wants_tiles

    tiles, room = limits.tiles or "auto", image_limits(limits)
    try:
        seen = look(file)
        if wants_tiles(seen.header, recipe, room, tiles):
            make_plan(seen, recipe, room, tiles)
    except (TilingRefused, EncodeError) as error:
        hint = "Or let it fit: raise memory_mb, or leave it to fail alone with --tiles off."
        raise RecipeError(f"{path} does not fit into memory, and {error.message}", f"{error.hint} {hint}") from None
    except (ImageError, OSError):
        return
