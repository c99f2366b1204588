"""Azurite, Microsoft's storage emulator: installed once into the user's cache, and started how."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.errors import LocalStackError
from batchimg.local.events import InstallFinished, InstallStarted, OnEvent, WaitingForOther, ignore
from batchimg.local.node import Node, find_node
from batchimg.local.npm import NpmLimits, ci
from batchimg.local.paths import cache_home, make_private
from batchimg.local.ports import HOST, Ports

ACCOUNT = "devstoreaccount1"
READY_LINE = "Azurite Table service is successfully listening"

_PACKAGE = Path(__file__).parent / "azurite_npm"
_INDEX = Path(__file__).parent / "azurite_index.cjs"
_SCRIPT = Path("node_modules", "azurite", "dist", "src", "azurite.js")
_LOCK_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Azurite:
    """An installed Azurite and the Node.js that runs it."""

    node: Path
    script: Path

    def command(self, ports: Ports, location: Path) -> tuple[str, ...]:
        """Serve blobs and queues on loopback from `location`. Its tables, which nobody uses, get any port.

        The access log goes to standard output. No API version is refused, for the newest SDKs ask for
        versions that this Azurite has not heard of. What is loaded ahead of it keeps it fast with many blobs.
        """
        return (
            *(str(self.node), "--require", str(_INDEX), str(self.script), "--location", str(location)),
            *("--blobHost", HOST, "--blobPort", str(ports.blob)),
            *("--queueHost", HOST, "--queuePort", str(ports.queue)),
            *("--tableHost", HOST, "--tablePort", "0"),
            *("--skipApiVersionCheck", "--disableTelemetry"),
        )


def azurite_environment(storage_key: str) -> dict[str, str]:
    """Environment of the Azurite process: little of ours, and the account with its key (base64)."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ", "LANG") if name in os.environ}
    return {**kept, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{storage_key}"}


def pinned_version() -> str:
    """The Azurite release that is installed."""
    return str(json.loads((_PACKAGE / "package.json").read_text())["dependencies"]["azurite"])


def installed_folder() -> Path:
    """Where Azurite is, or will be, in the cache; another lock file gets another folder."""
    lock = hashlib.sha256((_PACKAGE / "package-lock.json").read_bytes()).hexdigest()
    return cache_home() / f"azurite-{pinned_version()}-{lock[:10]}"


def install(on_event: OnEvent = ignore, limits: NpmLimits = NpmLimits()) -> Azurite:  # noqa: B008 - frozen
    """Azurite from the cache, put there by npm the first time (200 MB, about 10 s); else LocalStackError.

    A folder in the cache is complete: it is made beside its final place and renamed. Two installations
    at once share one.
    """
    node = find_node()
    folder = installed_folder()
    if not (folder / _SCRIPT).is_file():
        _install_locked(node, folder, on_event, limits)
    return Azurite(node.program, folder / _SCRIPT)


def _install_locked(node: Node, folder: Path, on_event: OnEvent, limits: NpmLimits) -> None:
    from filelock import FileLock, Timeout

    cache = make_private(folder.parent, "BATCHIMG_CACHE_DIR")
    lock = FileLock(cache / "azurite-install.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_event(WaitingForOther("installing Azurite"))
            lock.acquire(timeout=_LOCK_SECONDS)
        if not (folder / _SCRIPT).is_file():
            _install_now(node, folder, on_event, limits)
    except Timeout as error:
        raise LocalStackError(
            f"Another batchimg holds {lock.lock_file} for {_LOCK_SECONDS / 60:.0f} minutes now.",
            hint="End that process and run the command again.",
        ) from error
    except OSError as error:
        raise LocalStackError(
            f"Azurite cannot be installed into {cache}: {error.strerror or error}.",
            hint="Make room there, or set BATCHIMG_CACHE_DIR to a folder that you may write to.",
        ) from error
    finally:
        lock.release()


def _install_now(node: Node, folder: Path, on_event: OnEvent, limits: NpmLimits) -> None:
    started = time.monotonic()
    for left_behind in folder.parent.glob("azurite-*.part"):  # of installations that were killed
        shutil.rmtree(left_behind, ignore_errors=True)  # its npm may still be writing
    if folder.exists():
        shutil.rmtree(folder)
    log = folder.parent / "azurite-install.log"
    on_event(InstallStarted(pinned_version(), folder, log))
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", suffix=".part", dir=folder.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_PACKAGE / name, part / name)
        ci(node, part, log, on_event, limits)
        if not (part / _SCRIPT).is_file():
            raise LocalStackError(
                f"npm ended well, but Azurite is not in {part}.",
                hint=f"Run the command again; npm's log is {log}.",
            )
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    on_event(InstallFinished(time.monotonic() - started, folder_bytes(folder)))


def folder_bytes(folder: Path) -> int:
    """Size of all files below the folder; files that vanish meanwhile do not count."""
    total, folders = 0, [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
