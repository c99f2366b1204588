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

from batchimg.endpoint import checked_endpoint, checked_pool
from batchimg.errors import InputError, MachineError, SettingsError
from batchimg.settings import Settings, load_settings
from batchimg_worker.storage import is_loopback

Values = Mapping[str, str]

_KEYS = ("batch_account", "batch_key", "storage_key")  # for emulators on this machine, never for Azure
_LINE = re.compile(r"""\s*(?P<name>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*=""")
_TEXT_AND_COMMENT = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*')(?P<comment>\s*#.*)""")


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
    except OSError as error:
        if not folder.is_dir():
            hint = "Give the folder of batchimg's Pulumi program with --pulumi, or outputs with --outputs FILE."
            raise MachineError(f"there is no folder {folder}", hint) from error
        hint = "Install Pulumi, or give the outputs of another machine with --outputs FILE."
        raise MachineError(f"the command `pulumi` does not start: {error.strerror}", hint) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        hint = "Run `pulumi up` there first, and choose a stack with --stack."
        if "PULUMI_CONFIG_PASSPHRASE" in done.stderr:
            hint = "Set PULUMI_CONFIG_PASSPHRASE to what you gave to `pulumi stack init`: it may be empty."
        raise InputError(
            f"`{' '.join(command)}` failed in {folder}: {lines[-1] if lines else done.returncode}",
            hint,
        )
    return read_outputs(done.stdout, str(folder))


def read_outputs(text: str | bytes, origin: str) -> Values:
    """A stack's outputs from their JSON; those that are no text are left out. Raises InputError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
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
        wanted[name] = checked_endpoint(name, wanted.get(name, ""))
    if wanted.get("pool"):
        checked_pool(wanted["pool"])
    if not is_loopback(wanted["storage_endpoint"]):
        wanted |= dict.fromkeys(_KEYS, "")
    _replace(file, _merged(_text(file), wanted, file))
    return Configured(file, {name: value for name, value in wanted.items() if value}, values.get("worker_bundle", ""))


def _text(file: Path) -> str:
    """What stands in the settings file, with its own ends of lines; nothing where there is none."""
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8", "Move it away and configure again.") from None
    except OSError as error:
        raise MachineError(f"cannot read {file}: {error.strerror}", "Choose another file with --config.") from error


def _merged(old: str, wanted: Values, file: Path) -> str:
    """The file's text with the wanted values: in the places where they stood, new ones at the end."""
    try:
        before = tomllib.loads(old)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}", "Mend the line, or remove the file.") from None
    left = dict(wanted)
    lines = []
    for line in re.findall(r"[^\n]*\n|[^\n]+", old):
        match = _LINE.match(line)
        name = match["name"].strip("\"'") if match else ""
        if name not in wanted or not match:
            lines.append(line)
        elif value := left.pop(name, ""):
            lines.append(_line(name, value, line[match.end() :]))
    end = "\r\n" if "\r\n" in old else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    lines += [f"{_setting(name, value)}{end}" for name, value in left.items() if value]
    text = "".join(lines)
    expected = {name: value for name, value in {**before, **wanted}.items() if value != "" or name not in wanted}
    if _parsed(text) != expected:
        raise SettingsError(f"{file} is laid out in a way that is not understood", "Move it away and configure again.")
    return text


def _line(name: str, value: str, rest: str) -> str:
    """A setting's line with another value; ``rest`` is what stood behind the `=`: its comment and its end stay."""
    commented = _TEXT_AND_COMMENT.match(rest)
    end = rest[len(rest.rstrip("\r\n")) :]
    return _setting(name, value) + (commented["comment"].rstrip("\r\n") if commented else "") + end


def _setting(name: str, value: str) -> str:
    """A setting in TOML, whose texts are JSON's but for surrogates and DEL."""
    return f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


def _parsed(text: str) -> dict[str, object] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _replace(file: Path, text: str) -> None:
    """Put a new text in a file's place, once it has been read as settings."""
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.resolve().parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            part.chmod(mode)
            _check(part, file)
            part.replace(file.resolve())
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write {file}: {error.strerror}", "Choose another file with --config.") from error


def _check(part: Path, file: Path) -> None:
    """Read the new text as settings; an error names the file that the user knows."""
    try:
        load_settings(part)
    except SettingsError as error:
        raise SettingsError(error.message.replace(str(part), str(file)), error.hint) from None
