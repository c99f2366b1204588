"""`batchimg-worker --run RUN --chunk N`: what a task runs on a node."""

import argparse
import faulthandler
import logging
import signal
import sys
import threading
import time

from batchimg_worker.version import __version__

OK = 0
UNEXPECTED = 1
USAGE = 2
UNKNOWN_VERSION = 64  # the contract is of a version that this worker does not know
BAD_CONTRACT = 65  # the run or the manifest is missing or damaged
STORAGE = 69  # storage does not answer
STOPPED = 143  # told to stop: the node is going away


def main() -> None:
    """Parse, run, and say by the exit code what became of the chunk."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="batchimg-worker", description="Do one chunk of a run.")
    parser.add_argument("--run", required=True, help="the run's id")
    parser.add_argument("--chunk", required=True, type=int, help="the number of the chunk")
    parser.add_argument("--version", action="version", version=f"batchimg-worker {__version__}")
    chosen = parser.parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    logging.getLogger("azure").setLevel(logging.WARNING)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return _run(chosen.run, chosen.chunk, stop)


def _run(run: str, chunk: int, stop: threading.Event) -> int:
    from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
    from batchimg_worker.memory import keep_freed_memory
    from batchimg_worker.node import this_node
    from batchimg_worker.task import Stopped, run_task

    log = logging.getLogger("batchimg_worker")
    keep_freed_memory()
    try:
        run_task(this_node(), run, chunk, stop)
    except Stopped:
        log.warning("told to stop; the task will be run again")
        return STOPPED
    except ContractVersionError as error:
        log.error("%s %s", error.message, error.hint)
        return UNKNOWN_VERSION
    except ContractError as error:
        log.error("%s %s", error.message, error.hint)
        return BAD_CONTRACT
    except StorageError as error:
        log.error("%s %s", error.message, error.hint)
        return BAD_CONTRACT if error.code in {"BlobNotFound", "ContainerNotFound"} else STORAGE
    except Exception:
        log.exception("this should not happen")
        return UNEXPECTED
    return OK


if __name__ == "__main__":
    main()
