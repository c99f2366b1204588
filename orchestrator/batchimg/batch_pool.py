"""A pool as the rest of batchimg sees it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_LIMITS = {"spot": r"^maxSpot = (\d+);", "dedicated": r"^maxDedicated = (\d+);"}


@dataclass(frozen=True, slots=True)
class Image:
    """A marketplace image without its version, in small letters."""

    publisher: str
    offer: str
    sku: str

    def __str__(self) -> str:
        return f"{self.publisher} {self.offer} {self.sku}"


@dataclass(frozen=True, slots=True)
class Support:
    """Of an image by Azure Batch: when it ends, None where no end is announced."""

    ends: datetime | None


@dataclass(frozen=True, slots=True)
class Pool:
    """``problems`` are what the service says of its latest resize and autoscale run.

    ``max_spot`` and ``max_dedicated`` are nodes, None where the pool does not tell; ``worker_files`` are the addresses
    of what its start task fetches; ``metadata`` is the pool's own. ``scales``: by a formula.
    """

    id: str
    state: str
    vm_size: str
    slots: int
    image: Image | None
    max_spot: int | None
    max_dedicated: int | None
    scales: bool
    problems: tuple[str, ...]
    worker_files: tuple[str, ...]
    metadata: Mapping[str, str]


def pool_of(found: Any) -> Pool:
    """A pool out of the client's model of it."""
    machine = found.virtual_machine_configuration
    start = found.start_task
    files = (file.http_url for file in (start.resource_files if start else None) or [])
    return Pool(
        id=str(found.id),
        state=str(getattr(found.state, "value", found.state)),
        vm_size=str(found.vm_size),
        slots=int(found.task_slots_per_node or 1),
        image=image_of(machine.image_reference) if machine else None,
        max_spot=_most(found, "spot", found.target_low_priority_nodes),
        max_dedicated=_most(found, "dedicated", found.target_dedicated_nodes),
        scales=bool(found.enable_auto_scale),
        problems=tuple(_problems(found)),
        worker_files=tuple(url for url in files if url),
        metadata={item.name: item.value for item in found.metadata or []},
    )


def image_of(reference: Any) -> Image | None:
    """The image that a reference names; None for one that is no marketplace image."""
    parts = [getattr(reference, name, None) for name in ("publisher", "offer", "sku")]
    return Image(*(str(part).lower() for part in parts)) if all(parts) else None


def _most(found: Any, kind: str, fixed: int | None) -> int | None:
    """The most nodes of a kind: what the formula of `pulumi/` begins with, or a fixed pool's size."""
    if not found.enable_auto_scale:
        return fixed
    limit = re.search(_LIMITS[kind], found.auto_scale_formula or "", re.MULTILINE)
    return int(limit[1]) if limit else None


def _problems(found: Any) -> list[str]:
    told = [f"resize: {error.message or error.code}" for error in found.resize_errors or []]
    run = found.auto_scale_run
    if run is not None and run.error is not None:
        told.append(f"autoscale: {run.error.message or run.error.code}")
    return told
