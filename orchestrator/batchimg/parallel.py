"""A bounded pool of threads: work streams through it, and an interruption leaves nothing half done."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # pieces of work waiting for each thread


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Results in the order in which they come, never more than a few items ahead of the threads.

    The first exception, or the caller's end of interest (Ctrl-C too), cancels what has not begun and waits for
    what has.
    """
    executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="batchimg")
    running: set[Future[R]] = set()
    try:
        for item in items:
            running.add(executor.submit(work, item))
            if len(running) >= threads * AHEAD:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
