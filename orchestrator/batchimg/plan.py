"""Plan: a dataset and a recipe, cut into chunks; values in, values out, nothing is sent."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from batchimg.chunk import AS_USUAL, Cut
from batchimg.dataset import Dataset
from batchimg.errors import SettingsError
from batchimg.recipes import Attached, Instructions
from batchimg.split import SplitImage, cut_apart
from batchimg_worker.contract import SCHEMA_VERSION, ImageEntry, Limits, RunSpec, Source
from batchimg_worker.recipe import Recipe
from batchimg_worker.version import __version__

LONGEST_NAME = 50  # a job's id has 64 characters; ours ends in a dash and the hash
CANARY = "-canary"  # how the name of a canary ends
NAME = re.compile(rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}$")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a submit would do. ``chunks`` are ranges of the dataset's images; those of ``split`` have others.

    With a ``parent`` the dataset is what that run left to do; ``known`` images are not in it, ``failed_before`` of them
    because they failed there.
    """

    dataset: Dataset
    recipe: Recipe
    limits: Limits
    chunks: list[range]
    parent: str | None = None
    known: int = 0
    attachments: tuple[Attached, ...] = ()
    split: tuple[SplitImage, ...] = ()
    failed_before: int = 0

    @property
    def tasks(self) -> int:
        """How many chunks there are in all, those of split images among them: each is a task."""
        return len(self.chunks) + sum(one.bands + 1 for one in self.split)

    @property
    def largest(self) -> int:
        """The images of the largest chunk."""
        return max((len(chunk) for chunk in self.chunks), default=min(1, self.tasks))

    def entries(self, number: int) -> Iterator[ImageEntry]:
        """What the manifest of a chunk tells its task."""
        if number >= len(self.chunks):
            image = self.split[bisect_left(self.split, number, key=lambda one: one.join)]
            yield image.entry(self._entry(image.index), number)
            return
        apart = {one.index for one in self.split}
        for index in self.chunks[number]:
            if index not in apart:
                yield self._entry(index)

    def _entry(self, index: int) -> ImageEntry:
        path, size, md5 = self.dataset.paths[index], self.dataset.sizes[index], self.dataset.md5(index)
        apart = True if self.dataset.has_rival(path) else None
        return ImageEntry(path=path, size=size, md5=md5, etag=self.dataset.etag(index), apart=apart)

    @property
    def instructions(self) -> Instructions:
        """What is to be done."""
        return Instructions(self.recipe, self.attachments)

    @property
    def outputs(self) -> int:
        """How many pictures the run writes, if every image can be done."""
        return len(self.dataset) * len(self.recipe.variants)


def make_plan(dataset: Dataset, instructions: Instructions, limits: Limits, cut: Cut = AS_USUAL) -> Plan:
    """Cut the dataset into chunks."""
    chunks, apart = cut_apart(dataset, cut)
    return Plan(dataset, instructions.recipe, limits, chunks, attachments=instructions.attachments, split=apart)


def plan_hash(plan: Plan, source: Source) -> str:
    """What makes a run another run: images with their checksums, chunks, recipe and its files, limits and version."""
    digest = hashlib.sha256()
    header = (
        SCHEMA_VERSION,
        __version__,
        source.model_dump_json(),
        plan.recipe.hash,
        plan.limits.model_dump_json(exclude_none=True),
        *sorted({(one.attachment.kind, one.attachment.sha256) for one in plan.attachments}),
    )
    digest.update(repr(header).encode())
    if plan.parent is not None:
        digest.update(f"\0parent\0{plan.parent}".encode())
    for chunk in plan.chunks:
        digest.update(b"\0chunk\0")
        for index in chunk:
            digest.update(f"{_content(plan.dataset, index)}\0{plan.dataset.etag(index) or ''}\n".encode())
    for one in plan.split:
        tag = plan.dataset.etag(one.index)
        content = _content(plan.dataset, one.index) + (f"\0{tag}" if tag else "")
        digest.update(f"\0split\0{content}\0{one.bands}\n".encode())
    for rejected in plan.dataset.rejected:
        digest.update(f"\0rejected\0{rejected.path}\n".encode())
    return digest.hexdigest()


def _content(dataset: Dataset, index: int) -> str:
    return f"{dataset.paths[index]}\0{dataset.sizes[index]}\0{dataset.md5(index)}"


def run_id(name: str, plan_digest: str) -> str:
    """The run's id, which is the Batch job's id: it ends in the plan's hash."""
    return f"{name}-{plan_digest[:10]}"


def name_of(run: str) -> str:
    """The name that a run was given: its id without the hash, and without what retries and canaries add."""
    return re.sub(rf"(-r\d+|{CANARY})?-[0-9a-f]{{10}}$", "", run)


def is_canary(run: str) -> bool:
    """Whether a run, by its id, is one that goes before a large one."""
    return re.search(rf"{CANARY}-[0-9a-f]{{10}}$", run) is not None


def canary_name(name: str) -> str:
    """The name of a run's canary."""
    return name[: LONGEST_NAME - len(CANARY)] + CANARY


def is_named(run: str, name: str) -> bool:
    """Whether a run, by its id, is one of this name, its retries and its canary among them."""
    return run.startswith(f"{canary_name(name)}-") if is_canary(run) else name_of(run) == name or is_retry(run, name)


def retry_name(name: str, number: int) -> str:
    """The name of a retry of a run of this name."""
    suffix = f"-r{number}"
    return name[: LONGEST_NAME - len(suffix)] + suffix


def is_retry(run: str, name: str) -> bool:
    """Whether a run, by its id, is a retry of one of this name."""
    found = re.search(r"-r(\d+)-[0-9a-f]{10}$", run)
    return found is not None and run.startswith(f"{retry_name(name, int(found[1]))}-")


def check_name(name: str) -> str:
    """A name that a job's id may start with. Raises SettingsError with one that would do."""
    if NAME.match(name) and not name.endswith(CANARY):
        return name
    raise SettingsError(f"{name!r} cannot be a run's name", f"Letters, digits, - and _ can: --name {clean_name(name)}")


def clean_name(text: str) -> str:
    """The nearest name that a run may have."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:LONGEST_NAME].rstrip("-_")
    return name.removesuffix(CANARY) or "run"


def spec_of(plan: Plan, name: str, source: Source, created: datetime) -> RunSpec:
    """What is written down of a run before its first task exists."""
    digest = plan_hash(plan, source)
    return RunSpec(
        run=run_id(name, digest),
        plan_hash=digest,
        dataset=plan.dataset.label,
        created=created,
        client_version=__version__,
        source=source,
        recipe=plan.recipe,
        limits=plan.limits,
        images=len(plan.dataset) + len(plan.dataset.rejected),
        bytes=plan.dataset.bytes,
        chunks=plan.tasks,
        rejected=len(plan.dataset.rejected),
        parent=plan.parent,
        attachments=tuple(one.attachment for one in plan.attachments) or None,
    )
