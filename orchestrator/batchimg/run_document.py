"""A run's own description, read from blob storage."""

from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import RunSpec
from batchimg_worker.documents import parse
from batchimg_worker.errors import ContractError, ContractVersionError
from batchimg_worker.storage import Container


def read_run(runs: Container, run: str) -> RunSpec:
    """The description of a run that is there.

    Raises StorageError where it is not, ContractVersionError where it is of another version, ContractError where it is
    damaged.
    """
    try:
        return parse(RunSpec, runs.read(run_path(run)), run_path(run))
    except ContractVersionError:
        raise
    except ContractError as error:
        hint = f"The same `batchimg submit` writes it anew; to be rid of the run: batchimg delete {run}"
        raise ContractError(error.message, hint) from None
