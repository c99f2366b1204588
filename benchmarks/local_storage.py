"""Blobs a second that the local stack's Azurite takes as it fills, with what is loaded ahead of it and without.

``python benchmarks/local_storage.py [--blobs 20000]`` prints a Markdown table.
"""

import argparse
import os
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from azure.storage.blob import ContainerClient

from batchimg.local import azurite
from batchimg.local.azurite import ACCOUNT, READY_LINE, Azurite, azurite_environment
from batchimg.local.ports import HOST, Ports, choose

KEY = b64encode(bytes(32)).decode()
STEP = 5000
CALLERS = 16
CONTENT = os.urandom(800)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, default=20_000)
    blobs = parser.parse_args().blobs
    installed = azurite.install()
    ahead, alone = (list(rates(installed, blobs, without=without)) for without in (False, True))
    print("| blobs there already | blobs a second | Azurite alone | times |")
    print("|---|---|---|---|")
    for number, (fast, slow) in enumerate(zip(ahead, alone, strict=True)):
        print(f"| {number * STEP:,} | {fast:.0f} | {slow:.0f} | {fast / slow:.1f} |")


def rates(installed: Azurite, blobs: int, *, without: bool) -> Iterator[float]:
    with served(installed, without=without) as container:

        def put(number: int) -> None:
            container.upload_blob(f"{number // 1000:04d}/{number % 1000:04d}.png", CONTENT)

        with ThreadPoolExecutor(CALLERS) as callers:
            for first in range(0, blobs, STEP):
                began = time.perf_counter()
                list(callers.map(put, range(first, first + STEP)))
                yield STEP / (time.perf_counter() - began)


@contextmanager
def served(installed: Azurite, *, without: bool) -> Iterator[ContainerClient]:
    ports = choose(Ports(), Ports())
    with tempfile.TemporaryDirectory() as folder:
        command = list(installed.command(ports, Path(folder)))
        if without:
            at = command.index("--require")
            del command[at : at + 2]
        environment = azurite_environment(KEY)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            try:
                while READY_LINE not in process.stdout.readline():
                    assert process.poll() is None, "Azurite ended"
                with ThreadPoolExecutor(1) as reader:
                    reader.submit(process.stdout.read)  # its access log
                    account = f"http://{HOST}:{ports.blob}/{ACCOUNT}"
                    with ContainerClient(account, "inputs", {"account_name": ACCOUNT, "account_key": KEY}) as container:
                        container.create_container()
                        yield container
                    process.terminate()
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
