"""The world of a run: Azurite and the Batch emulator as processes of our own, doors in front of them, a node's disk."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError

from batchimg.batch import Batch
from batchimg.connect import Services
from batchimg.containers import create_containers
from batchimg.local.azurite import ACCOUNT, azurite_environment, install
from batchimg.local.ports import Ports
from batchimg.settings import Settings
from batchimg_worker.storage import BlobStore
from chaos.doors import Door
from chaos.small_disk import small_disk

PROGRAMS = Path(sys.executable).parent
BATCHIMG = PROGRAMS / "batchimg"
NODES = 2
NODE_DISK_KIB = 64
COMMAND_SECONDS = 100


def until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for a real process to get somewhere."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.03)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    arguments: tuple[str, ...]
    code: int
    out: str
    errors: str
    killed: bool = False


@dataclass
class World:
    """Everything that a run talks to. ``node_temp`` and ``client_temp`` are the temporary folders of both sides."""

    folder: Path
    key: str = field(default_factory=lambda: b64encode(secrets.token_bytes(64)).decode())
    ports: Ports = field(default_factory=lambda: Ports(free_port(), free_port(), free_port()))
    faults: dict = field(default_factory=dict)
    batch_key: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    node_disk: Path | None = None
    strikes: int = 0  # how often faults have struck; `calm` counts them
    closings: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.node_temp, self.client_temp = self.folder / "node-temp", self.folder / "client-temp"
        self.home = self.folder / "home"
        for made in (self.node_temp, self.client_temp, self.home):
            made.mkdir(parents=True, exist_ok=True)

    def open(self) -> None:
        """Start everything."""
        self.start_azurite()
        self.storage_door = Door(self.ports.blob)
        self.closings.append(self.storage_door.close)
        self.start_emulator()
        self.batch_door = Door(self.ports.batch)
        self.closings.append(self.batch_door.close)
        self.direct = f"http://127.0.0.1:{self.ports.blob}/{ACCOUNT}"
        settings = Settings(**self.addresses())
        self.services = Services(
            Batch(f"http://127.0.0.1:{self.ports.batch}", "chaos", self.batch_key),
            BlobStore(self.direct, self.key),
            settings,
            is_local=False,
        )
        self.closings += [self.services.batch.close, self.services.store.close]
        create_containers(self.services.store)
        self.client = BatchClient(
            f"http://127.0.0.1:{self.ports.batch}", AzureNamedKeyCredential("chaos", self.batch_key)
        )
        self.closings.append(self.client.close)
        self.services.batch.create_local_pool("batchimg", NODES, 1)
        self._make_spot_pool()
        self.calm()

    def start_azurite(self) -> None:
        log = (self.folder / "azurite.log").open("ab")
        said = log.tell()
        command = install().command(self.ports, self.folder / "azurite")
        self.processes["azurite"] = subprocess.Popen(
            command, env=azurite_environment(self.key), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()

        def ready() -> bool:
            with (self.folder / "azurite.log").open("rb") as text:
                text.seek(said)
                return b"Table service is successfully listening" in text.read()

        until(ready, "Azurite's start")

    def stop_azurite(self) -> None:
        """As a service is stopped: killed, Azurite forgets what it has not written down in the last seconds."""
        process = self.processes["azurite"]
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    def start_emulator(self) -> None:
        environment, ready = self.folder / "node.json", self.folder / "ready.json"
        door = self.storage_door.port
        environment.write_text(
            json.dumps(
                {
                    "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
                    "LANG": "C.UTF-8",
                    "TMPDIR": str(self.node_temp),
                    "BATCHIMG_STORAGE_ENDPOINT": f"http://127.0.0.1:{door}/{ACCOUNT}",
                    "BATCHIMG_STORAGE_KEY": self.key,
                }
            )
        )
        environment.chmod(0o600)
        ready.unlink(missing_ok=True)
        command = [
            *(PROGRAMS / "batch-emulator", "start", "--port", str(self.ports.batch), "--account", "chaos"),
            *("--data-dir", self.folder / "batch", "--node-environment", environment, "--ready-file", ready),
            *("--faults", "--node-delay", "0.01", "--recovery-delay", "0.3", "--quiet"),
        ]
        with (self.folder / "emulator.log").open("ab") as log:
            self.processes["emulator"] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until(ready.exists, "the emulator's start")
        said = json.loads(ready.read_text())
        self.faults, self.batch_key = said["faults"], said["key"]

    def kill_emulator(self) -> None:
        process = self.processes["emulator"]
        process.kill()
        process.wait(30)

    def addresses(self) -> dict[str, str]:
        return {
            "batch_endpoint": f"http://127.0.0.1:{self.batch_door.port}",
            "batch_account": "chaos",
            "batch_key": self.batch_key,
            "storage_endpoint": f"http://127.0.0.1:{self.storage_door.port}/{ACCOUNT}",
            "storage_key": self.key,
        }

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHIMG_")}
        named = {f"BATCHIMG_{name.upper()}": value for name, value in self.addresses().items()}
        return {
            **kept,
            **named,
            "BATCHIMG_HOME": str(self.home),
            "TMPDIR": str(self.client_temp),
            "COLUMNS": "120",
            **more,
        }

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """A command in the background."""
        return subprocess.Popen(
            [BATCHIMG, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self.environment(**environment),
        )

    def command(self, *arguments: object, **environment: str) -> Said:
        """A command from its beginning to its end."""
        return ended(self.start(*arguments, **environment), arguments)

    def fault(self, method: str, path: str, body: dict | None = None) -> dict:
        """Talk to the emulator's door for faults."""
        content = json.dumps(body).encode() if body else None
        headers = {"authorization": f"Bearer {self.faults['token']}"}
        request = Request(self.faults["endpoint"] + path, content, headers, method=method)
        with urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def workers(self) -> list[psutil.Process]:
        """All processes that the emulator has started."""
        if "emulator" not in self.processes:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.processes["emulator"].pid).children(recursive=True)
            return [one for one in below if _is_alive(one)]
        return []

    def calm(self) -> None:
        """Take all faults away, and wait until the nodes are well again."""
        rules = (*self.storage_door.rules, *self.batch_door.rules)
        faults = self.fault("GET", "/faults")["value"]
        self.strikes += sum(rule.fired for rule in rules) + sum(fault["fired"] for fault in faults)
        self.storage_door.calm()
        self.batch_door.calm()
        self.fault("DELETE", "/faults")
        until(self._nodes_are_well, "the nodes' recovery")

    def _nodes_are_well(self) -> bool:
        well = 0
        for pool in ("batchimg", "spot"):
            for node in self.client.list_nodes(pool):
                if node.state == "unusable":
                    self._reboot(pool, node.id)
                well += node.state in {"idle", "running"}
        return well == 2 * NODES

    def _reboot(self, pool: str, node: str) -> None:
        options: Any = {"nodeRebootOption": "requeue"}  # azure-batch 15.1 fails without, and does not export the model
        with contextlib.suppress(HttpResponseError):
            self.client.begin_reboot_node(pool, node, options)

    def _make_spot_pool(self) -> None:
        image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
        machine = models.VirtualMachineConfiguration(image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04")
        self.client.create_pool(
            models.BatchPoolCreateOptions(
                id="spot",
                vm_size="standard_d2s_v5",
                virtual_machine_configuration=machine,
                target_low_priority_nodes=NODES,
            )
        )

    def close(self) -> None:
        """End what was started, by its id."""
        for closing in self.closings:
            closing()
        workers = self.workers()
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
        for one in workers:
            if _is_alive(one):
                one.kill()


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def ended(process: subprocess.Popen[str], arguments: tuple[object, ...]) -> Said:
    """Wait for a command; one that takes too long is killed, and its code is 124."""
    words = tuple(map(str, arguments))
    try:
        out, errors = process.communicate(timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        return Said(words, 124, out, errors)
    return Said(words, process.returncode, out, errors)


@contextmanager
def a_world(folder: Path) -> Iterator[World]:
    """A world that ends with the context, and its folder with it."""
    world = World(folder)
    try:
        # Before the emulator starts: its tasks have mounts of their own, and may not see later ones.
        with small_disk(folder / "node-disk", NODE_DISK_KIB) as world.node_disk:
            try:
                world.open()
                yield world
            finally:
                world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
