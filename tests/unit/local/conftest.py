import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from batchimg.local import stack
from batchimg.local.azurite import install
from batchimg.local.paths import StackPaths


def processes_of(home: Path) -> list[str]:
    """Command lines of all living processes that name the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(home) in command and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {command}")
        except psutil.Error:
            continue
    return found


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait for a condition; it is polled, so the wait ends with it."""

    def wait(condition: Callable[[], object], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def installed() -> None:
    """Azurite in the user's own cache, so that only the first test run of a machine fetches it."""
    install()


@pytest.fixture
def use_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], StackPaths]]:
    """Switch to a state folder of the test; whatever ran in any of them is ended, and nothing may be left."""
    homes: list[Path] = []

    def use(name: str) -> StackPaths:
        home = tmp_path / name
        homes.append(home)
        monkeypatch.setenv("BATCHIMG_HOME", str(home))
        return StackPaths(home)

    yield use
    for home in homes:
        monkeypatch.setenv("BATCHIMG_HOME", str(home))
        stack.down()
        assert processes_of(home) == []


@pytest.fixture
def home(use_home: Callable[[str], StackPaths], installed: None) -> StackPaths:  # noqa: ARG001
    """An empty state folder, and an Azurite that needs no installation."""
    return use_home("home")


@pytest.fixture(scope="module")
def shared_home(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackPaths]:  # noqa: ARG001
    """A state folder whose stack runs for all tests of a module that leave it as it is."""
    home = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHIMG_HOME", str(home))
        stack.up()
    yield StackPaths(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHIMG_HOME", str(home))
        stack.down()
    assert processes_of(home) == []


@pytest.fixture
def running(shared_home: StackPaths, monkeypatch: pytest.MonkeyPatch) -> stack.Stack:
    """The shared stack, which the test leaves as it is."""
    monkeypatch.setenv("BATCHIMG_HOME", str(shared_home.home))
    found = stack.find()
    assert found is not None
    return found
