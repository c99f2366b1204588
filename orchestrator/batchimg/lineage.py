"""Lineage: a run and those that it goes on from. What they have done together is seen as one.

A run with a parent holds only what its parents had left to do, or what has changed since: its own record of an image
is the one that counts.
"""

from collections.abc import Iterator

from batchimg.collect import records
from batchimg.connect import Services
from batchimg.events import Observer, nobody
from batchimg.run_document import read_run
from batchimg_worker.contract import ImageResult, RunSpec
from batchimg_worker.errors import ContractError, StorageError, WorkerError

Lineage = tuple[RunSpec, ...]
LEFT_OUT = (
    "The same `batchimg submit` writes it anew where the run's manifests are whole; else `batchimg submit --all` does "
    "all of the dataset in a run of its own."
)


def lineage(services: Services, spec: RunSpec, *, until_damage: bool = False) -> Lineage:
    """The run, its parent, its parent's parent and so on; a parent that was deleted ends it.

    So does, with ``until_damage``, one whose description cannot be read: that is for who does again what is not known.
    """
    found = [spec]
    while (parent := found[-1].parent) is not None and all(one.run != parent for one in found):
        try:
            found.append(read_run(services.runs, parent))
        except StorageError as error:
            if error.code != "BlobNotFound":
                raise
            break
        except WorkerError as error:
            if until_damage:
                break
            if type(error) is not ContractError:
                raise
            raise ContractError(error.message, LEFT_OUT) from None
    return tuple(found)


def records_of_all(services: Services, family: Lineage, observer: Observer = nobody) -> Iterator[ImageResult]:
    """One record an image: the latest run's; the observer is told of documents that are damaged."""
    seen: set[str] = set()
    for spec in family:
        for record in records(services, spec, observer):
            if record.path not in seen:
                yield record
                if spec is not family[-1]:
                    seen.add(record.path)
