"""Trial: some images of a folder done on this machine, by the worker in a process of its own; nothing is sent."""

import contextlib
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from batchimg.plan import Plan, spec_of
from batchimg.speed import BLOB_SECONDS, HERE, Sample, Speed, fitted
from batchimg.spread import spread
from batchimg_worker.blob_names import attachment_path, manifest_path, run_path
from batchimg_worker.contract import ImageEntry, ImageResult, ManifestHeader, Source
from batchimg_worker.documents import dump, parse

MOST_IMAGES = 20
MOST_SECONDS = 12.0
PATIENCE_SECONDS = 6.0  # more, for the image in hand and the start
MOST_BYTES = 512_000_000  # of all images together
WHERE = Source(container="trial", prefix="")


def try_images(plan: Plan) -> Speed | None:
    """How long images of a plan's folder take here; None where none could be done in the time there is."""
    chosen = _chosen(plan)
    if not chosen or plan.dataset.root is None:
        return None
    with tempfile.TemporaryDirectory(prefix="batchimg-") as folder:
        run = _written(plan, chosen, Path(folder))
        lines = _run(Path(folder), run, plan.dataset.root)
    records = [parse(ImageResult, line, "a trial's record") for line in lines]
    done = [_sample(record) for record in records if record.status == "done"]
    failed = Counter(record.error_type or "Unknown" for record in records if record.status != "done")
    return fitted(done, HERE, f"{len(records)} images tried on this machine", failed)


def _chosen(plan: Plan) -> list[int]:
    """Indexes of images, spread over the dataset; fewer where they are large."""
    found, total = [], 0
    for index in spread(len(plan.dataset), MOST_IMAGES):
        if total + plan.dataset.sizes[index] <= MOST_BYTES:
            total += plan.dataset.sizes[index]
            found.append(index)
    return found


def _written(plan: Plan, chosen: list[int], folder: Path) -> str:
    """A run of one chunk in a folder, laid out as it would be in blob storage; gives its id."""
    dataset = plan.dataset.only(chosen)
    small = replace(plan, dataset=dataset, chunks=[range(len(dataset))], split=())
    spec = spec_of(small, "trial", WHERE, datetime.now(UTC))
    entries = [ImageEntry(path=path, size=size) for path, size in zip(dataset.paths, dataset.sizes, strict=True)]
    header = ManifestHeader(run=spec.run, chunk=0, images=len(entries), bytes=dataset.bytes)
    files = {run_path(spec.run): dump(spec)}
    files[manifest_path(spec.run, 0)] = b"\n".join(dump(one) for one in (header, *entries)) + b"\n"
    files |= {attachment_path(spec.run, one.attachment): one.content for one in plan.attachments}
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return spec.run


def _run(folder: Path, run: str, root: Path) -> list[bytes]:
    """The records that were made; a process that takes too long is ended, and what it printed counts."""
    command = [sys.executable, "-m", "batchimg_worker.trial", folder, run, root.absolute(), str(MOST_SECONDS)]
    out = folder / "records.jsonl"
    with out.open("wb") as stream, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - our own worker, without a shell
            [str(part) for part in command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.DEVNULL,
            timeout=MOST_SECONDS + PATIENCE_SECONDS,
        )
    return [line for line in out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _sample(record: ImageResult) -> Sample:
    took = record.seconds
    return Sample(
        images=1,
        size=record.size,
        seconds=took.decode + took.compute + took.encode + BLOB_SECONDS * (1 + len(record.outputs)),
        bytes_out=sum(output.size for output in record.outputs),
        pictures=len(record.outputs),
        peak=record.peak_memory_bytes or 0,
    )
