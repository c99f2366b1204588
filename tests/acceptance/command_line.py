"""The installed `batchimg` command against a local stack of its own: nothing is patched."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BATCHIMG = Path(sys.executable).with_name("batchimg")


@dataclass(frozen=True)
class Command:
    """Runs `batchimg` as a user would, in a folder, with a state folder of its own."""

    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("BATCHIMG_") or name == "BATCHIMG_CACHE_DIR"
        }
        return {**kept, "BATCHIMG_HOME": str(self.home), "COLUMNS": "120", **more}

    def __call__(self, *arguments: object, expect: int = 0, cwd: Path | None = None, **environment: str):
        done = subprocess.run(
            [BATCHIMG, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd or self.home,
            env=self.environment(**environment),
            timeout=170,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """The command in the background."""
        return subprocess.Popen(
            [BATCHIMG, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self.environment(**environment),
        )

    def status(self, run: str, expect: int = 0) -> dict:
        return json.loads(self("status", run, "--json", expect=expect).stdout)

    def stack(self) -> dict:
        return json.loads(self("local", "status", "--json", "--keys").stdout)

    def submit(self, dataset: Path, *arguments: object, expect: int = 0) -> dict:
        """Submit and wait; the run's last status."""
        done = self("submit", "--dataset", dataset, "--wait", "--json", *arguments, expect=expect)
        return json.loads(done.stdout.strip().splitlines()[-1])


def slowly(gate: Path) -> tuple[object, ...]:
    """A recipe that takes a second an image until the file ``gate`` is made: there is time for something to happen."""
    return "--operations", Path(__file__).with_name("slow_operations.py"), "--op", f"slowly={gate}"


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ctrl-C; exit code and stderr."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def until(condition, what: str, seconds: float = 60.0):
    """Wait for a real process to get somewhere."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")
