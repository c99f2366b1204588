"""Lineage: a run and those that it goes on from. What they have done together is seen as one.

A run with a parent holds only what its parents had left to do, or what has changed since: its own record of an image
is the one that counts.
"""

from collections.abc import Iterator

from batchimg.collect import records
from batchimg.connect import Services
from batchimg.run_document import read_run
from batchimg_worker.contract import ImageResult, RunSpec
from batchimg_worker.errors import StorageError

Lineage = tuple[RunSpec, ...]


def lineage(services: Services, spec: RunSpec) -> Lineage:
    """The run, its parent, its parent's parent and so on; a parent that was deleted ends it."""
    found = [spec]
    while (parent := found[-1].parent) is not None and all(one.run != parent for one in found):
        try:
            found.append(read_run(services.runs, parent))
        except StorageError as error:
            if error.code != "BlobNotFound":
                raise
            break
    return tuple(found)


def records_of_all(services: Services, family: Lineage) -> Iterator[ImageResult]:
    """One record an image: the latest run's."""
    seen: set[str] = set()
    for spec in family:
        for record in records(services, spec):
            if record.path not in seen:
                yield record
                if spec is not family[-1]:
                    seen.add(record.path)
