"""Measured: how long images took in a run that is there, from some of its results."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from batchimg.connect import Services
from batchimg.speed import BLOB_SECONDS, HERE, ON_NODES, Sample, Speed, fitted
from batchimg.spread import spread
from batchimg_worker.contract import ImageResult, ResultHeader, RunSpec
from batchimg_worker.documents import parse, parse_lines
from batchimg_worker.errors import ContractError, ContractVersionError

MOST_RESULTS = 12
MOST_RECORDS = 1_000  # of one result
LONG_SECONDS = 30.0
FETCHERS, WRITERS = 6, 24  # threads of the worker's pipeline


def measured(services: Services, spec: RunSpec) -> Speed | None:
    """The speed of a run on its nodes, from a few results spread over it; None where it has none with images done."""
    paths = [blob.path for blob in services.runs.list(f"{spec.run}/results/")]
    tried = (_sample(services, paths[index]) for index in spread(len(paths), MOST_RESULTS))
    found = [one for one in tried if one is not None]
    failed: Counter[str] = Counter()
    for _, failures in found:
        failed.update(failures)
    images = sum(sample.images for sample, _ in found)
    doubt = HERE if services.is_local else ON_NODES
    return fitted([sample for sample, _ in found], doubt, f"{images:,} images of run {spec.run}", failed)


def _sample(services: Services, path: str) -> tuple[Sample, Counter[str]] | None:
    """Images of one result and those that failed, by type; None of a damaged one."""
    lines = services.runs.read_lines(path)
    try:
        header = parse(ResultHeader, next(lines, b""), path)
        records = list(islice(parse_lines(ImageResult, lines, path), MOST_RECORDS))
    except ContractVersionError:
        raise
    except ContractError:
        return None
    done = [record for record in records if record.status == "done"]
    sample = Sample(
        images=len(done),
        size=sum(one.size for one in done),
        seconds=_seconds(header, done),
        bytes_out=sum(output.size for one in done for output in one.outputs),
        pictures=sum(len(one.outputs) for one in done),
        peak=max(header.peak_memory_bytes, *(one.peak_memory_bytes or 0 for one in records), 0),
    )
    return sample, Counter(one.error_type or "Unknown" for one in records if one.status != "done")


def _seconds(header: ResultHeader, done: Sequence[ImageResult]) -> float:
    """What images of a chunk took: of a long task that did nothing else its time, storage included.

    Of a short one that would be mostly its start: then the slowest of work, fetching and writing, which overlap.
    """
    lasted = (header.finished - header.started).total_seconds()
    if lasted >= LONG_SECONDS and len(header.attempts or (0,)) == 1 and len(done) == header.done + header.failed:
        return lasted
    took = [one.seconds for one in done]
    operations = sum(1 + len(one.outputs) for one in done)
    work = sum(one.decode + one.compute + one.encode for one in took) + operations * BLOB_SECONDS
    fetch, put = sum(one.fetch for one in took), sum(one.put for one in took)
    return max(work, fetch / FETCHERS, put / WRITERS)
