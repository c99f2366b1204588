"""Putting an emulator together: account, journal, scheduler, key; and bringing back what was journaled."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import secrets
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batch_emulator import cover, job_life, landlock, log, node_life, schedule_life
from batch_emulator.account import Account, Settings
from batch_emulator.clock import Clock, RealClock
from batch_emulator.commands import Launcher
from batch_emulator.directories import NodeFolders, remove
from batch_emulator.ids import check_id
from batch_emulator.journal import Journal
from batch_emulator.launcher import ProcessLauncher
from batch_emulator.restore import restore
from batch_emulator.scheduler import Scheduler
from batch_emulator.spawner import Spawner
from batch_emulator.sqlite_journal import SqliteJournal

FLUSH_SECONDS = 0.02
IDLE_SECONDS = 0.25
ALIVE_TURNS = 3000
"""Every minute with running tasks has a line in the log, so that nobody takes the emulator for idle."""

KEY_BYTES = 64
KEY_VARIABLE = "BATCH_EMULATOR_KEY"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The account's name and key."""

    account: str
    key: str


def build_account(
    settings: Settings, root: Path, clock: Clock, launcher: Launcher, journal: Journal | None = None
) -> Account:
    """An account whose parts know each other. `root` is the data directory."""
    account = Account(settings, clock, launcher, journal or Journal(), NodeFolders(root))
    scheduler = Scheduler(account)
    account.schedule = scheduler.request
    account.slots_freed = lambda node: node_life.slots_freed(account, node)
    account.job_progress = lambda job: job_life.progress(account, job)
    account.job_ended = lambda job: schedule_life.job_ended(account, job)
    account.task_requeued = lambda task: job_life.task_requeued(account, task)
    account.task_completed = lambda task: job_life.task_completed(account, task)
    return account


def random_key() -> str:
    """A new account key."""
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def stored_credentials(root: Path, account: str) -> Credentials:
    """The key in <root>/account.json, made at the first start; ValueError if it is for another account."""
    check_id(account, "account")
    path = root / "account.json"
    if path.exists():
        stored = json.loads(path.read_text("utf-8"))
        if stored["account"] != account:
            raise ValueError(
                f"{path} belongs to the account {stored['account']!r}, not {account!r}: "
                "use its name or another --data-dir"
            )
        return Credentials(account, stored["key"])
    credentials = Credentials(account, random_key())
    write_private(path, json.dumps({"account": account, "key": credentials.key}))
    return credentials


def known_key(root: Path, account: str) -> str:
    """The key of an emulator that was started before with that data directory; ValueError if there is none."""
    if not (root / "account.json").exists():
        raise ValueError(f"{root} holds no account: start the emulator first, or name its --data-dir")
    return stored_credentials(root, account).key


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


@dataclass
class Emulator:
    """An emulator's account and what must be started and stopped with its event loop."""

    account: Account
    credentials: Credentials
    temporary: Path | None = None
    restore: Callable[[], None] = lambda: None
    lock: int | None = None
    _flusher: asyncio.Task[None] | None = field(default=None, init=False)

    def begin(self) -> None:
        """Bring back what was journaled; call it on the event loop before the first request."""
        self.restore()
        self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        more = False
        for turn in itertools.count(1):
            busy = self.account.runs or more
            await asyncio.sleep(FLUSH_SECONDS if busy else IDLE_SECONDS)
            self.account.journal.flush()
            more = self.account.journal.tidy()
            if self.account.runs and turn % ALIVE_TURNS == 0:
                log.line(f"{len(self.account.runs)} tasks running")

    @staticmethod
    def _remove_temporary(path: Path) -> None:
        if threading.current_thread() is threading.main_thread():
            # This can take long and nobody waits for it.
            os.posix_spawn("/bin/rm", ["rm", "-rf", str(path)], {}, setsid=True)
        else:
            remove(path)

    def end(self) -> None:
        """Kill all tasks and close the journal."""
        if self._flusher is not None:
            self._flusher.cancel()
        self.account.journal.flush()
        self.account.launcher.close()
        self.account.journal.close()
        if self.temporary is not None:
            self._remove_temporary(self.temporary)
        if self.lock is not None:
            os.close(self.lock)


def _spawner(settings: Settings, root: Path) -> Spawner:
    """What starts the tasks: confined to their nodes, unless that is not wanted or, with `auto`, not possible.

    Where tasks would miss a folder that is open to all, the emulator's files are covered instead, if that can be done.
    """
    possible = landlock.version() > 0
    if settings.isolation == "on" and not possible:
        raise ValueError("--isolation on needs Landlock, which this kernel does not have: use auto or off")
    others = tuple(path.resolve() for path in settings.kept_away)
    if settings.isolation == "off":
        return Spawner()
    if possible and (settings.isolation == "on" or not landlock.is_shared(root)):
        return Spawner(landlock.Confinement((root, *others)).enter)
    return Spawner(cover.Cover((root, root / "tls"), others).enter) if cover.is_possible() else Spawner()


def in_memory(
    settings: Settings, clock: Clock | None = None, *, adopt: bool = False, key: str | None = None
) -> Emulator:
    """An emulator that forgets everything when it ends; its files are in a temporary directory."""
    temporary = Path(tempfile.mkdtemp(prefix="batch-emulator-"))
    clock = clock or RealClock(settings.time_scale)
    spawner = _spawner(settings, temporary)
    account = build_account(settings, temporary, clock, ProcessLauncher(RealClock(), adopt=adopt, spawner=spawner))
    return Emulator(account, Credentials(settings.account_name, key or random_key()), temporary)


def on_disk(settings: Settings, root: Path) -> Emulator:
    """An emulator whose state survives in `root`."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    root = root.resolve()
    lock = _lock(root)
    credentials = stored_credentials(root, settings.account_name)
    clock = RealClock(settings.time_scale)
    spawner = _spawner(settings, root)
    account = build_account(settings, root, clock, ProcessLauncher(RealClock(), adopt=True, spawner=spawner))
    journal = SqliteJournal(root / "journal.sqlite", account.mark)
    account.journal = journal
    return Emulator(account, credentials, restore=lambda: restore(account, journal), lock=lock)


def _lock(root: Path) -> int:
    """Make this process the only one that uses a data directory, until it ends."""
    lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ValueError(f"another emulator uses {root}: stop it, or use another --data-dir") from error
    return lock
