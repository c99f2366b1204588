"""What a run brings along: fetched, checked and loaded on the node, because the run says so, before its recipe."""

import hashlib
import logging

from batchimg_worker.blob_names import attachment_path
from batchimg_worker.contract import Attachment, RunSpec
from batchimg_worker.errors import ContractError, RecipeError
from batchimg_worker.operations import attach, load_operations
from batchimg_worker.recipe import Recipe
from batchimg_worker.storage import Container

log = logging.getLogger(__name__)


def recipe_of(spec: RunSpec, runs: Container) -> Recipe:
    """The run's recipe, checked against this node's operations and the run's own, which are loaded first.

    Raises ContractError where a file is not the one that was submitted, cannot be loaded here, or where the recipe
    needs an operation that this node lacks; StorageError where a file cannot be fetched.
    """
    for attachment in spec.attachments or ():
        content = _fetched(runs, attachment_path(spec.run, attachment), attachment)
        if attachment.kind == "operations":
            _load(content, attachment)
        else:
            attach(attachment.name, content)
    try:
        return spec.recipe.bound()
    except RecipeError as error:
        hint = "Install the package with it on the nodes, as on the laptop, or submit with --operations FILE."
        raise ContractError(f"this node cannot run the recipe: {error.message}. {error.hint}", hint) from None


def operations_of(spec: RunSpec) -> tuple[str, ...] | None:
    """The SHA-256 of each file of operations, None where there is none."""
    return tuple(one.sha256 for one in spec.attachments or () if one.kind == "operations") or None


def _fetched(runs: Container, path: str, attachment: Attachment) -> bytes:
    content = runs.read(path)
    if hashlib.sha256(content).hexdigest() != attachment.sha256:
        raise ContractError(
            f"{path} is not the {attachment.name} that was submitted: its SHA-256 is another one",
            "Somebody has changed it. Delete the run and submit again.",
        )
    return content


def _load(content: bytes, attachment: Attachment) -> None:
    try:
        loaded = load_operations(content, attachment.name)
    except RecipeError as error:
        raise ContractError(f"this node cannot load {error.message}", error.hint) from None
    names = ", ".join((*loaded.operations, *loaded.measures))
    log.info("loaded %s (SHA-256 %s): %s", attachment.name, attachment.sha256, names)
