"""Where the local stack keeps its state and its downloads."""

import os
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.errors import LocalStackError


def state_home() -> Path:
    """Folder of this user's stack: BATCHIMG_HOME, else the platform's state folder. Not created here."""
    chosen = os.environ.get("BATCHIMG_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("batchimg", appauthor=False))


def cache_home() -> Path:
    """Folder of what can be downloaded again: BATCHIMG_CACHE_DIR, else the platform's cache folder."""
    chosen = os.environ.get("BATCHIMG_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("batchimg", appauthor=False))


def make_private(folder: Path, setting: str) -> Path:
    """Create `folder` (0700, parents too) if it is missing; the variable `setting` moves it elsewhere."""
    try:
        for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalStackError(
            f"The folder {folder} cannot be made: {reason}.",
            hint=f"Set {setting} to a folder that you may write to.",
        ) from error
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace `path` as a whole, readable by its owner only: a reader sees the old text or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class StackPaths:
    """The files of one stack, all under `home`."""

    home: Path

    @property
    def state_file(self) -> Path:
        """What runs, where, with which keys (0600)."""
        return self.home / "stack.json"

    @property
    def supervisor_file(self) -> Path:
        """Who the supervisor is: enough to end it when the state file is damaged."""
        return self.home / "supervisor.json"

    @property
    def up_lock(self) -> Path:
        """Held while one command starts or ends the stack."""
        return self.home / "up.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor for as long as it lives: two never share a data folder."""
        return self.home / "supervisor.lock"

    @property
    def last_use(self) -> Path:
        """Its mtime is the last time a command asked for the stack."""
        return self.home / "last-use"

    @property
    def ready_file(self) -> Path:
        """Written by the Batch emulator when it answers."""
        return self.home / "batch-ready.json"

    @property
    def node_environment_file(self) -> Path:
        """The environment of every task (0600: it holds the storage key)."""
        return self.home / "node-environment.json"

    @property
    def data(self) -> Path:
        """Everything that the stack stores for its user."""
        return self.home / "data"

    @property
    def storage_key_file(self) -> Path:
        """The storage account's key, made once."""
        return self.data / "storage.key"

    @property
    def azurite(self) -> Path:
        """Azurite's `--location`."""
        return self.data / "azurite"

    @property
    def batch(self) -> Path:
        """The Batch emulator's `--data-dir`."""
        return self.data / "batch"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.home / "logs"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor did and why."""
        return self.logs / "supervisor.log"

    @property
    def azurite_log(self) -> Path:
        """Azurite's output: one line a request."""
        return self.logs / "azurite.log"

    @property
    def batch_log(self) -> Path:
        """The Batch emulator's output: one line a request."""
        return self.logs / "batch.log"


def user_paths() -> StackPaths:
    """The files of this user's stack."""
    return StackPaths(state_home())
