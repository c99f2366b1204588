"""Tiles: what can be known of huge images before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from typing import TYPE_CHECKING

from batchimg.dataset import Dataset
from batchimg.errors import SettingsError
from batchimg.parallel import in_parallel
from batchimg.split import LOOKED_AT, LOOKS_AT_ONCE, header_reader
from batchimg_worker.contract import Limits, Source
from batchimg_worker.errors import EncodeError, ImageError, RecipeError, TilingRefused
from batchimg_worker.operations.tiling import refusal
from batchimg_worker.recipe import Recipe
from batchimg_worker.storage import Container

if TYPE_CHECKING:
    from batchimg_worker.tiles.original import Look

Blobs = tuple[Container, Source] | None
"""Where the images lie if not in a folder."""

BLOBS_LOOKED_AT = 200
"""Of blobs, only the headers of so many are read, of the largest: each is a request or two."""


def check_tiles(recipe: Recipe, limits: Limits, dataset: Dataset, blobs: Blobs = None) -> None:
    """Raise RecipeError where an image has to be done in tiles and the recipe cannot be.

    Raise SettingsError where truncated images are to be kept, and all go in tiles.
    Where tiles are forced the recipe alone tells; else the headers of large images are read: of all files of a folder,
    and of the largest of ``blobs``. What is not looked at is left for the node to tell.
    """
    tiles = limits.tiles or "auto"
    if tiles == "off":
        return
    if tiles != "auto":
        _check_settings(limits)
        _check_recipe(recipe)
    if dataset.root is None and blobs is None:
        return
    look, sizes = header_reader(dataset, blobs), dataset.sizes
    large = [index for index, size in enumerate(sizes) if size >= LOOKED_AT]
    if blobs is not None:
        large = nlargest(BLOBS_LOOKED_AT, large, key=sizes.__getitem__)

    def check(index: int) -> None:
        _check_image(dataset.paths[index], lambda: look(index), recipe, limits)

    for _ in in_parallel(check, large, LOOKS_AT_ONCE):
        """Each is checked."""


def _check_settings(limits: Limits) -> None:
    if limits.allow_truncated:
        raise SettingsError(
            f"truncated images cannot be kept in tiles, and tiles = {limits.tiles} puts all of them there",
            "Leave --allow-truncated out, or use --tiles auto: then what fits into memory is kept.",
        )


def _check_recipe(recipe: Recipe) -> None:
    for variant in recipe.variants:
        for number, step in enumerate(variant.steps, start=1):
            reason = refusal(step.operation, step.parameters)
            if reason:
                raise RecipeError(
                    f"variant {variant.name}, step {number}: {step.operation} cannot be tiled: {reason}",
                    "Change the step, or use --tiles auto: then only images that do not fit into memory are tiled.",
                )


def _check_image(path: str, look: Callable[[], Look], recipe: Recipe, limits: Limits) -> None:
    """What is wrong with the image and not with the recipe becomes a record of the run, as for any other image."""
    from batchimg_worker.memory import image_limits
    from batchimg_worker.tiles.plan import make_plan, wants_tiles

    tiles, room = limits.tiles or "auto", image_limits(limits)
    try:
        seen = look()
        if wants_tiles(seen.header, recipe, room, tiles):
            make_plan(seen, recipe, room, tiles)
    except (TilingRefused, EncodeError) as error:
        hint = "Or let it fit: raise memory_mb, or leave it to fail alone with --tiles off."
        raise RecipeError(f"{path} does not fit into memory, and {error.message}", f"{error.hint} {hint}") from None
    except (ImageError, OSError):
        return
