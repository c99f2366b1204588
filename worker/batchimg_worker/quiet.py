"""Keeps what image libraries say about odd files off the user's screen."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_outer = warnings.catch_warnings()

for _library in ("tifffile", "PIL", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore Python warnings until the last thread has left.

    `warnings.catch_warnings` alone is not safe in threads: the filters are the process's, and two threads that
    leave in another order than they entered would leave the wrong ones behind.
    """
    global _inside, _outer  # noqa: PLW0603 - warning filters are one per process, and so is this count
    with _lock:
        if _inside == 0:
            _outer = warnings.catch_warnings()
            _outer.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _outer.__exit__(None, None, None)
