"""`make rehearsal`: the whole life of a stack on this machine, with the real engine and without Azure.

preview, up, configure, doctor, submit, results, a change, a drift, destroy, and nothing is left. Resources are kept in
a file; containers and queues are in Azurite, the pool in the Batch emulator, and its nodes install the worker's bundle
with their own start task.
"""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from batchimg.errors import BatchimgError
from batchimg.local.azurite import ACCOUNT, READY_LINE, azurite_environment, install
from batchimg.local.ports import Ports, choose

from azure_twins import Twins

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tools"))

from setup import pip_wheel  # noqa: E402 - it lies in the folder above

VENV = Path(sys.executable).parent
SAMPLES = ROOT / "samples" / "images"
TIME_SCALE = 60  # of the emulator: a formula is evaluated every five seconds instead of minutes
DEADLINE = 600.0
GRACE = 20.0
SOME_FAILED = 1  # two of the samples are no images
INTERRUPTED = 130


class Failed(Exception):  # noqa: N818 - it reads as what it says
    """A step did not do what it has to."""


@dataclass
class Stage:
    """One rehearsal: its folder, its environment, what runs."""

    folder: Path
    twins: Twins
    path: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def program(self) -> Path:
        return self.folder / "pulumi"

    @property
    def cloud(self) -> Path:
        return self.folder / "azure.json"

    def run(self, *command: str, expect: int = 0, quiet: bool = False, text: str | None = None) -> str:
        """Show a command and what it says; its standard output."""
        print(f"\n$ {' '.join(command)}", flush=True)
        cwd = self.program if command[0] == "pulumi" else self.folder
        out, err, code = finished(command, cwd, self.environment, text)
        if not quiet or code != expect:
            print((out + err).rstrip(), flush=True)
        if code != expect:
            raise Failed(f"`{' '.join(command)}` ended with {code}, not {expect}")
        return out + (err if expect else "")

    def resources(self) -> dict[str, dict]:
        return json.loads(self.cloud.read_text()) if self.cloud.exists() else {}


def finished(command: Sequence[str], cwd: Path, environment: dict[str, str], text: str | None) -> tuple[str, str, int]:
    """What a command says, and its exit code. Whatever interrupts it also ends what the command has started."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C comes here alone, and is handed on once
    )
    try:
        out, err = process.communicate(text, timeout=DEADLINE)
    except BaseException:
        end_group(process)
        raise
    finally:
        end_session(process.pid)
    return out, err, process.returncode


def end_group(process: subprocess.Popen) -> None:
    """Ask as Ctrl-C does, for Pulumi then writes its state; what is still there after a while is killed."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C would leave things behind
    started = descendants(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=GRACE)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for one in started:  # Pulumi's plugins are in groups of their own, and outlive it by minutes
        with suppress(psutil.NoSuchProcess):
            one.kill()


def end_session(leader: int) -> None:
    """End what outlives a command: Pulumi's host looks for its CLI only every five minutes, should that be killed."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(one.pid) == leader:
                one.kill()
                found.append(one)
    psutil.wait_procs(found, timeout=GRACE)


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def must(condition: object, what: str) -> None:
    if not condition:
        raise Failed(what)
    print(f"  ✓ {what}", flush=True)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {DEADLINE:.0f} s")
        time.sleep(0.2)
    must(True, what)


@contextmanager
def services(folder: Path) -> Iterator[Twins]:
    """Azurite and the emulator, with random keys, ended at the end."""
    ports, key = choose(Ports(), Ports()), base64.b64encode(secrets.token_bytes(32)).decode()
    blob, queue = (f"http://127.0.0.1:{port}/{ACCOUNT}" for port in (ports.blob, ports.queue))
    azurite_log, ready = folder / "azurite.log", folder / "ready.json"
    node = folder / "node.json"
    # Nodes know this machine's Python, not this tree's: they have to install the worker.
    node.write_text(json.dumps({"PATH": node_path(), "BATCHIMG_STORAGE_ENDPOINT": blob, "BATCHIMG_STORAGE_KEY": key}))
    node.chmod(0o600)
    azurite = install().command(ports, folder / "azurite")
    emulator = (
        *(
            sys.executable,
            "-m",
            "batch_emulator",
            "start",
            "--port",
            str(ports.batch),
            "--data-dir",
            str(folder / "batch"),
        ),
        *("--node-environment", str(node), "--ready-file", str(ready), "--time-scale", str(TIME_SCALE), "--quiet"),
    )
    with azurite_log.open("w") as first, (folder / "emulator.log").open("w") as second:
        started = [
            subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            for command, env, log in ((azurite, azurite_environment(key), first), (emulator, None, second))
        ]
        try:
            until(lambda: READY_LINE in azurite_log.read_text() and ready.exists(), "Azurite and the emulator answer")
            said = json.loads(ready.read_text())
            yield Twins(blob, queue, key, said["endpoint"], said["account"], said["key"])
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(timeout=30)


def node_path() -> str:
    """This machine's programs without those of this tree."""
    return os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not part.startswith(str(ROOT)))


@contextmanager
def stage() -> Iterator[Stage]:
    asked = [sys.executable, str(ROOT / "tools" / "pulumi-cli")]
    found = subprocess.run(asked, check=False, stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        raise Failed("it needs the Pulumi CLI")  # which has said why there is none
    cli = found.stdout.strip()
    with tempfile.TemporaryDirectory(prefix="batchimg-rehearsal-") as name, services(Path(name)) as twins:
        folder = Path(name)
        made = Stage(folder, twins, os.pathsep.join([cli, str(HERE), str(VENV), node_path()]))
        shutil.copytree(
            ROOT / "pulumi", made.program, ignore=shutil.ignore_patterns("__pycache__", "venv", ".mypy_cache")
        )
        (folder / "twins.json").write_text(json.dumps(asdict(twins)))
        (folder / "state").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHIMG_", "PULUMI_"))}
        made.environment = {
            **kept,
            "PATH": made.path,
            "PULUMI_HOME": str(folder / "pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PYTHONPATH": str(pip_wheel()),  # the host asks pip what is installed, and .venv has none
            "AZURE_TWIN_STATE": str(made.cloud),
            "AZURE_TWINS": str(folder / "twins.json"),
            "BATCHIMG_HOME": str(folder / "batchimg"),
            "BATCHIMG_BATCH_ACCOUNT": twins.batch_account,
            "BATCHIMG_BATCH_KEY": twins.batch_key,
            "BATCHIMG_STORAGE_KEY": twins.storage_key,
            "COLUMNS": "120",
        }
        yield made


def up(on: Stage) -> None:
    on.run("pulumi", "stack", "init", "dev", "--non-interactive")
    for name, value in (("vm_size", "Standard_D2ads_v5"), ("max_spot_nodes", "1"), ("max_dedicated_nodes", "0")):
        on.run("pulumi", "config", "set", name, value, "--non-interactive", quiet=True)
    refused = on.run("pulumi", "preview", "--non-interactive", "-c", "worker=zip", expect=1, quiet=True)
    must("worker is 'zip': expected one of wheel, container" in refused, "a wrong setting is refused with its name")
    on.run("pulumi", "config", "rm", "worker", "--non-interactive", quiet=True)  # -c keeps it in the stack's file
    on.run("pulumi", "preview", "--non-interactive")
    must(not on.resources(), "a preview makes nothing")
    on.run("pulumi", "up", "--yes", "--non-interactive", "--skip-preview")
    left = on.twins.left()
    must(
        {"container inputs", "container outputs", "container runs", "queue events", "pool batchimg"} <= set(left),
        "containers, queue and pool are there",
    )
    again = on.run("pulumi", "preview", "--non-interactive", "--expect-no-changes", quiet=True)
    must("unchanged" in again, "a second preview changes nothing")


def use(on: Stage) -> None:
    bundle = ROOT / "dist" / "rehearsal" / "batchimg-worker.tar"
    version = subprocess.run(
        ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True, capture_output=True, text=True, env={"PATH": node_path()},
    ).stdout.strip()  # fmt: skip
    on.run(str(VENV / "python"), str(ROOT / "tools" / "bundle.py"), "--python", version, "--to", str(bundle))
    outputs = on.run("pulumi", "stack", "output", "--json", quiet=True)
    # The emulator speaks http on loopback; everything else is what the stack says.
    on.run("batchimg", "configure", "--outputs", "-", "--batch-endpoint", on.twins.batch, text=outputs)
    findings = json.loads(on.run("batchimg", "doctor", "--json", expect=1, quiet=True))
    missing = [one["message"] for one in findings if one["level"] == "problem"]
    must(len(missing) == 1 and "no node can start" in missing[0], "the doctor misses the worker's bundle")
    on.run(
        "batchimg",
        "configure",
        "--outputs",
        "-",
        "--batch-endpoint",
        on.twins.batch,
        "--worker",
        str(bundle),
        text=outputs,
        quiet=True,
    )
    on.run("batchimg", "doctor")
    said = on.run(
        "batchimg",
        "submit",
        "--dataset",
        str(SAMPLES),
        "--name",
        "rehearsal",
        "--wait",
        "--json",
        expect=SOME_FAILED,
        quiet=True,
    )
    status = json.loads(next(line for line in reversed(said.splitlines()) if line.startswith("{")))
    must(
        status["done"] > 10 and status["lost"] == 0,
        f"{status['done']} images are done, {status['failed']} failed, none lost",
    )
    on.run("batchimg", "download", status["run"], "--to", "results", quiet=True)
    records = [json.loads(line) for line in (on.folder / "results" / "results.jsonl").read_text().splitlines()]
    pictures = [file for file in (on.folder / "results").rglob("*") if file.is_file() and file.name != "results.jsonl"]
    must(len(records) == status["images"], f"{len(records)} images have a record")
    must(len(pictures) >= status["done"], f"{len(pictures)} pictures are here")
    until(lambda: not nodes(on), "the pool is back at zero nodes")


def nodes(on: Stage) -> int:
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    with BatchClient(on.twins.batch, AzureNamedKeyCredential(on.twins.batch_account, on.twins.batch_key)) as client:
        pool = client.get_pool("batchimg")
        return int(pool.current_dedicated_nodes) + int(pool.current_low_priority_nodes)


def change(on: Stage) -> None:
    on.run("pulumi", "config", "set", "max_spot_nodes", "3", "--non-interactive", quiet=True)
    said = on.run("pulumi", "up", "--yes", "--non-interactive", "--skip-preview")
    must("1 updated" in said, "a new maximum changes the pool and nothing else")
    queue = next(name for name in on.resources() if name.endswith("/queues/events"))
    on.twins.delete("storage:Queue", {"queueName": "events"})
    on.cloud.write_text(json.dumps({name: one for name, one in on.resources().items() if name != queue}))
    said = on.run("pulumi", "refresh", "--yes", "--non-interactive", "--skip-preview")
    must("1 deleted" in said, "a refresh sees that somebody took the queue away")
    on.run("pulumi", "up", "--yes", "--non-interactive", "--skip-preview", quiet=True)
    must("queue events" in on.twins.left(), "the next up makes it again")


def down(on: Stage) -> None:
    said = json.loads(on.run("pulumi", "stack", "export", quiet=True))
    known = {
        one["id"] for one in said["deployment"]["resources"] if one.get("custom") and "azure-native" in one["type"]
    }
    must(known >= set(on.resources()), "Pulumi knows of everything that there is")
    on.run("pulumi", "destroy", "--yes", "--non-interactive", "--skip-preview")
    must(on.resources() == {}, "no resource is left")
    must(on.twins.left() == [], "no container, queue or pool is left")


def main() -> int:
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with stage() as on:
            for act in (up, use, change, down):
                act(on)
    except (Failed, BatchimgError, subprocess.SubprocessError) as error:
        print(f"\nThe rehearsal failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nThe rehearsal was interrupted; what it had started is ended, and its folder is deleted.", file=sys.stderr
        )
        return INTERRUPTED
    print(f"\nThe rehearsal went well, in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
