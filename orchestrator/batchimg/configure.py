"""Configure: write what Pulumi made, or an account that was there, into the settings file."""

import json
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batchimg.errors import InputError, MachineError, SettingsError
from batchimg.settings import Settings, load_settings
from batchimg_worker.storage import is_loopback

Values = Mapping[str, str]

_KEYS = ("batch_account", "batch_key", "storage_key")  # for emulators on this machine, never for Azure
_LINE = re.compile(r"""\s*(?P<name>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*=""")


@dataclass(frozen=True, slots=True)
class Configured:
    """What was written where; ``bundle`` is the worker's address in blob storage where nodes install it, or empty."""

    file: Path
    values: Values
    bundle: str


def pulumi_outputs(folder: Path, stack: str | None = None) -> Values:
    """What `pulumi stack output --json` says in a folder. Raises MachineError, InputError."""
    command = ["pulumi", "stack", "output", "--json", "--non-interactive", *(["--stack", stack] if stack else [])]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own pulumi
            command, cwd=folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        missing = str(folder) if not folder.is_dir() else "the command `pulumi`"
        raise MachineError(
            f"{missing} is not there", "Install Pulumi, or give the outputs of another machine with --outputs FILE."
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise InputError(
            f"`{' '.join(command)}` failed in {folder}: {lines[-1] if lines else done.returncode}",
            "Run `pulumi up` there first, and choose a stack with --stack.",
        )
    return read_outputs(done.stdout, str(folder))


def read_outputs(text: str, origin: str) -> Values:
    """A stack's outputs from their JSON; those that are no text are left out. Raises InputError."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{origin} is not JSON: {error}", "Give what `pulumi stack output --json` prints.") from None
    if not isinstance(found, dict):
        raise InputError(f"{origin} holds no object", "Give what `pulumi stack output --json` prints.")
    if not found:
        raise InputError(f"the stack of {origin} has no outputs", "Run `pulumi up` first.")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def configure(file: Path, values: Values) -> Configured:
    """Write settings into a file, whole or not at all; what else stands in it stays, comments too.

    Only names of settings are written; an empty value takes a setting away. Raises SettingsError.
    """
    wanted = {name: value for name, value in values.items() if name in Settings.model_fields}
    for name in ("batch_endpoint", "storage_endpoint"):
        _check_endpoint(name, wanted.get(name, ""))
    if not is_loopback(wanted["storage_endpoint"]):
        wanted |= dict.fromkeys(_KEYS, "")
    old = file.read_text() if file.is_file() else ""
    _replace(file, _merged(old, wanted, file))
    return Configured(file, {name: value for name, value in wanted.items() if value}, values.get("worker_bundle", ""))


def storage_endpoint_of(account: str) -> str:
    """The blob endpoint of an account that is given by its name, or the address itself."""
    return account if "://" in account else f"https://{account}.blob.core.windows.net"


def _check_endpoint(name: str, value: str) -> None:
    parts = urlsplit(value)
    if not parts.hostname or (parts.scheme != "https" and not is_loopback(value)):
        example = Settings.model_fields[name].description
        raise SettingsError(f"{name} is {value!r}, which is no https address", f"It looks like {example}.")


def _merged(old: str, wanted: Values, file: Path) -> str:
    """The file's text with the wanted values: in the places where they stood, new ones at the end."""
    try:
        before = tomllib.loads(old)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}", "Mend the line, or remove the file.") from None
    left = dict(wanted)
    lines = []
    for line in old.splitlines():
        match = _LINE.match(line)
        name = match["name"].strip("\"'") if match else ""
        if name not in wanted:
            lines.append(line)
        elif value := left.pop(name):
            lines.append(f"{name} = {json.dumps(value)}")
    lines += [f"{name} = {json.dumps(value)}" for name, value in left.items() if value]
    text = "\n".join(lines) + "\n"
    expected = {name: value for name, value in {**before, **wanted}.items() if value != "" or name not in wanted}
    if _parsed(text) != expected:
        raise SettingsError(f"{file} is laid out in a way that is not understood", "Move it away and configure again.")
    return text


def _parsed(text: str) -> dict[str, object] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _replace(file: Path, text: str) -> None:
    """Put a new text in a file's place, once it has been read as settings."""
    mode = file.stat().st_mode & 0o777 if file.is_file() else 0o644
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.resolve().parent)
    except OSError as error:
        raise MachineError(f"cannot write {file}: {error.strerror}", "Choose another file with --config.") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(mode)
        load_settings(part)
        part.replace(file.resolve())
    finally:
        part.unlink(missing_ok=True)
