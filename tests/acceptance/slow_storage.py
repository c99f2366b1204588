"""Blob storage as over a slow line, so that a test always gets into the midst of what is written there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from chaos.doors import Answer, Door, Exchange, Rule


@dataclass(frozen=True)
class SlowStorage:
    """``endpoint`` is what a program is to use; ``writes`` counts what it has sent."""

    endpoint: str
    writes: Rule


@contextmanager
def slow_storage(endpoint: str, prefix: str, seconds: float) -> Iterator[SlowStorage]:
    """The blob storage at ``endpoint``, where each write under ``prefix`` (container and path) takes ``seconds``."""

    def slowly(exchange: Exchange) -> Answer:
        time.sleep(seconds)
        return exchange.forward()

    address = urlsplit(endpoint)
    with Door(address.port) as door:
        writes = door.rule(Rule(slowly, method="PUT", pattern=f"/{prefix}", count=None))
        yield SlowStorage(f"http://127.0.0.1:{door.port}{address.path}", writes)
