"""Gallery: a self-contained page with originals beside their variants, and failures with their reason."""

import base64
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from batchimg.collect import chunk_records, records, rejected
from batchimg.connect import Services
from batchimg.errors import MachineError
from batchimg.events import Observer, Progressed, nobody
from batchimg.lineage import Lineage, lineage
from batchimg.parallel import in_parallel
from batchimg.thumbnail import LONGEST, thumbnail
from batchimg.watch import ChunkTally, status, tallies
from batchimg.words import size
from batchimg_worker.blob_names import output_path, result_path
from batchimg_worker.contract import ImageResult, Measure, RunSpec
from batchimg_worker.errors import ImageError, StorageError
from batchimg_worker.storage import Container

MOST_FAILURES = 500
READERS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One image of the page; pictures are data URIs, empty where there is none."""

    path: str
    facts: str
    notes: tuple[str, ...]
    measures: tuple[tuple[str, Measure], ...]
    original: str
    pictures: tuple[str, ...]


def write_gallery(services: Services, spec: RunSpec, page: Path, limit: int = 40, observer: Observer = nobody) -> Path:
    """Write the page, with at most ``limit`` images spread over the run.

    Raises MachineError where it cannot be written.
    """
    import jinja2

    family = lineage(services, spec)
    chosen = _chosen(services, family, limit)
    maker = _RowMaker(services.store_of(spec.source).container(spec.source.container), services.outputs, spec)
    rows: dict[str, Row] = {}
    for row in in_parallel(lambda one: maker.row(*one), chosen, READERS):
        rows[row.path] = row
        observer(Progressed("gallery", len(rows), len(chosen)))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(resources.files("batchimg").joinpath("pages/gallery.html").read_text("utf-8"))
    text = template.render(
        spec=spec,
        status=status(services, spec),
        variants=[variant.name for variant in spec.recipe.variants],
        rows=[rows[record.path] for _, record in chosen],
        failures=list(_failures(services, family)),
        longest=LONGEST,
    )
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        part = page.with_name(f".{page.name}.{os.getpid()}")
        try:
            part.write_text(text, "utf-8")
            part.replace(page)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write {str(page)!r}: {error.strerror}", "Give another file with --to.") from None
    return page


@dataclass(frozen=True, slots=True)
class _RowMaker:
    originals: Container
    outputs: Container
    spec: RunSpec

    def row(self, run: str, record: ImageResult) -> Row:
        by_variant = {output.variant: output for output in reversed(record.outputs)}
        pictures = []
        for variant in self.spec.recipe.variants:
            output = by_variant.get(variant.name)
            path = output_path(run, variant.name, output.path) if output else ""
            pictures.append(_shown(self.outputs, path) if output else "")
        return Row(
            path=record.path,
            facts=f"{record.width} × {record.height}, {size(record.size)}",
            notes=record.notes,
            measures=tuple(record.measures.items()),
            original=_shown(self.originals, self.spec.source.prefix + record.path),
            pictures=tuple(pictures),
        )


def _shown(container: Container, path: str) -> str:
    """A small picture of a blob as a data URI; empty where it is gone or cannot be shown."""
    try:
        content = thumbnail(container.read(path))
    except ImageError:
        return ""
    except StorageError as error:
        if error.code == "BlobNotFound":
            return ""
        raise
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _chosen(services: Services, family: Lineage, limit: int) -> list[tuple[str, ImageResult]]:
    """Done images with their runs: the latest run's first, as far as they go."""
    chosen: dict[str, tuple[str, ImageResult]] = {}
    for spec in family:
        for record in _spread(services, spec, tallies(services, spec.run), limit):
            if len(chosen) < limit:
                chosen.setdefault(record.path, (spec.run, record))
    return [chosen[path] for path in sorted(chosen)]


def _spread(services: Services, spec: RunSpec, chunks: list[ChunkTally], limit: int) -> list[ImageResult]:
    """Done images, taken from as many chunks as there are, in turn; no more results are read than needed."""
    finished = [chunk.number for chunk in chunks if chunk.done and chunk.has_result]
    step = max(1, len(finished) // limit)
    streams = [_done(services, result_path(spec.run, number)) for number in finished[::step][:limit]]
    taken: list[ImageResult] = []
    while streams and len(taken) < limit:
        for stream in list(streams):
            record = next(stream, None)
            if record is None:
                streams.remove(stream)
            elif len(taken) < limit:
                taken.append(record)
    return sorted(taken, key=lambda record: record.path)


def _done(services: Services, path: str) -> Iterator[ImageResult]:
    return (record for record in chunk_records(services, path) if record.status == "done")


def _failures(services: Services, family: Lineage) -> Iterator[ImageResult]:
    """The first failed images, and not those that a later run has tried again."""
    seen: set[str] = set()
    failed = []
    for spec in family:
        failed += [
            record for record in itertools.islice(_failed(services, spec), MOST_FAILURES) if record.path not in seen
        ]
        if spec is not family[-1] and len(failed) < MOST_FAILURES:
            seen.update(record.path for record in records(services, spec))
    return iter(failed[:MOST_FAILURES])


def _failed(services: Services, spec: RunSpec) -> Iterator[ImageResult]:
    """What failed in one run; only the results of chunks that have some are read."""
    yield from rejected(services, spec)
    for chunk in tallies(services, spec.run):
        if chunk.failed and chunk.has_result:
            for record in chunk_records(services, result_path(spec.run, chunk.number)):
                if record.status != "done":
                    yield record
