"""`batchimg-worker --run RUN --chunk N`: what a task runs on a node; `--ledger` is a run's last task."""

import argparse
import errno
import faulthandler
import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from batchimg_worker.guard import NO_ROOM, STOPPED, STORAGE, UNFINISHED, Guard, Turn
from batchimg_worker.scratch import scratch
from batchimg_worker.version import __version__

OK = 0
UNEXPECTED = 1
USAGE = 2
UNKNOWN_VERSION = 64  # the contract is of a version that this worker does not know
BAD_CONTRACT = 65  # the run or the manifest is missing or damaged
BANDS_MISSING = 66  # a task that this one waited for ended without a result
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
WATCHED = {signal.SIGCHLD, signal.SIGTERM}


def main() -> None:
    """Parse, run, and say by the exit code what became of the chunk."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="batchimg-worker", description="Do one chunk of a run.")
    parser.add_argument("--run", required=True, help="the run's id")
    parser.add_argument("--chunk", type=int, help="the number of the chunk")
    parser.add_argument("--ledger", action="store_true", help="merge the run's results instead")
    parser.add_argument("--version", action="version", version=f"batchimg-worker {__version__}")
    chosen = parser.parse_args(arguments)
    if (chosen.chunk is None) != chosen.ledger:
        parser.error("give --chunk N or --ledger")
    faulthandler.enable(all_threads=False)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    logging.getLogger("azure").setLevel(logging.WARNING)
    return _merge(chosen.run) if chosen.ledger else _guarded(chosen.run, chosen.chunk)


def _merge(run: str) -> int:
    """Merge a run's results into its ledger, in blob storage."""

    def merge_it() -> int:
        from batchimg_worker.blob_names import RUNS, run_path
        from batchimg_worker.contract import RunSpec
        from batchimg_worker.documents import parse
        from batchimg_worker.ledger import merge, publish
        from batchimg_worker.node import this_node
        from batchimg_worker.storage import LONG, BlobStore

        node = this_node()
        runs = BlobStore(node.storage_endpoint, node.storage_key, patience=LONG).container(RUNS)
        spec = parse(RunSpec, runs.read(run_path(run)), run_path(run))
        with scratch() as folder:
            file = folder / "ledger.parquet"
            merged = merge(runs, spec, file, over=True)
            publish(runs, run, file, merged)
        logging.getLogger("batchimg_worker").info("the ledger of run %s: %s", run, dict(merged.rows))
        return OK

    return _exit_code(merge_it)


def _guarded(run: str, chunk: int) -> int:
    """Do the chunk in a process of its own, and another one if that dies of an image."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    return _exit_code(lambda: _in_scratch(run, chunk))


def _in_scratch(run: str, chunk: int) -> int:
    with scratch() as folder:
        tempfile.tempdir = str(folder)  # of the children too: what a killed one leaves goes with the folder
        journal = folder / "journal.jsonl"
        guard = Guard(lambda turn: _work(run, chunk, turn), journal)
        code = guard.run()
        if guard.left_journal and journal.exists():
            _exit_code(lambda: _send(journal, run, chunk))
    return code


def _send(journal: Path, run: str, chunk: int) -> int:
    """Put what a worker has left into blob storage, for the task's next attempt."""
    from batchimg_worker.blob_names import RUNS
    from batchimg_worker.journal import leave
    from batchimg_worker.node import this_node
    from batchimg_worker.storage import BlobStore

    node = this_node()
    runs = BlobStore(node.storage_endpoint, node.storage_key).container(RUNS)
    leave(journal, runs, (run, chunk))
    return OK


def _work(run: str, chunk: int, turn: Turn) -> int:
    """What the child does."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)

    def run_it() -> int:
        from batchimg_worker.memory import keep_freed_memory
        from batchimg_worker.node import this_node
        from batchimg_worker.task import run_task

        keep_freed_memory()
        return OK if run_task(this_node(), run, chunk, stop, turn) else UNFINISHED

    return _exit_code(run_it)


def _exit_code(work: Callable[[], int]) -> int:
    """Say by the exit code what went wrong."""
    from batchimg_worker.errors import BandsMissing, ContractError, ContractVersionError, StorageError, TaskStopped

    log = logging.getLogger("batchimg_worker")
    try:
        return work()
    except TaskStopped:
        log.warning("told to stop; the task will be run again")
        return STOPPED
    except (ContractError, BandsMissing) as error:
        log.error("%s %s", error.message, error.hint)
        if isinstance(error, BandsMissing):
            return BANDS_MISSING
        return UNKNOWN_VERSION if isinstance(error, ContractVersionError) else BAD_CONTRACT
    except StorageError as error:
        log.error("%s %s", error.message, error.hint)
        return BAD_CONTRACT if error.code in {"BlobNotFound", "ContainerNotFound"} else STORAGE
    except OSError as error:
        if error.errno not in FULL:
            log.exception("this should not happen")
            return UNEXPECTED
        log.error("the disk of this node is full: %s. Use nodes with a larger disk, or set TMPDIR to one.", error)
        return NO_ROOM
    except Exception:
        log.exception("this should not happen")
        return UNEXPECTED


if __name__ == "__main__":
    main()
