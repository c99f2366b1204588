"""Running `npm ci`: progress from its log, and an end in seconds where there is no network."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.errors import LocalStackError
from batchimg.local.events import InstallProgress, OnEvent
from batchimg.local.node import Node, node_environment

_ARGUMENTS = (
    *("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--global=false", "--dry-run=false", "--prefer-offline", "--progress=false", "--loglevel=http"),
    *("--fetch-retries=2", "--fetch-retry-mintimeout=300", "--fetch-retry-maxtimeout=3000"),
)
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0
_DOWNLOADED = re.compile(rb"^npm http (?:fetch GET [23]\d\d|cache) ", re.MULTILINE)
_ERROR_CODE = re.compile(r"^npm (?:error|ERR!) code (\S+)", re.MULTILINE)

_NETWORK_CODES = {
    *("ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"),
    *("ERR_SOCKET_TIMEOUT", "EPIPE", "EPROTO", "ENETDOWN", "ENOTCACHED"),
}


@dataclass(frozen=True, slots=True)
class NpmLimits:
    """How long npm may be silent before its first download and after it, and take in all."""

    first_seconds: float = 25.0
    next_seconds: float = 120.0
    total_seconds: float = 900.0


def ci(node: Node, folder: Path, log: Path, on_event: OnEvent, limits: NpmLimits) -> None:
    """Install into `folder` exactly what its lock file names, hashes checked; else LocalStackError."""
    expected = 2 * (len(json.loads((folder / "package-lock.json").read_bytes())["packages"]) - 1)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            (*node.npm, *_ARGUMENTS),
            cwd=folder,
            env=node_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with process:
        try:
            silent = _watch(process, _Downloads(log, expected, on_event), limits)
        finally:
            _end(process)
    if silent is not None:
        raise LocalStackError(f"npm got no answer from its registry in {silent:.0f} s.", hint=_network_hint(log))
    if process.returncode != 0:
        raise _failure(process.returncode, log)


class _Downloads:
    """Counts the downloads in npm's log as it grows."""

    def __init__(self, log: Path, expected: int, on_event: OnEvent) -> None:
        self._log, self._expected, self._on_event = log, expected, on_event
        self._offset = 0
        self.count = 0

    def read_on(self) -> bool:
        """Read what is new; whether there were downloads in it."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        lines = new[: new.rfind(b"\n") + 1]
        self._offset += len(lines)
        found = len(_DOWNLOADED.findall(lines))
        if found:
            self.count += found
            self._on_event(InstallProgress(min(self.count, self._expected), self._expected))
        return found > 0


def _watch(process: subprocess.Popen[bytes], downloads: _Downloads, limits: NpmLimits) -> float | None:
    """Wait for npm's end; returns the seconds of silence instead if it was silent for too long."""
    started = last = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
        now = time.monotonic()
        if downloads.read_on():
            last = now
        if process.returncode is not None:
            return None
        allowed = limits.next_seconds if downloads.count else limits.first_seconds
        if now - last > allowed or now - started > limits.total_seconds:
            return now - last


def _end(process: subprocess.Popen[bytes]) -> None:
    """End npm and what it started, also when the user pressed Ctrl-C."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal_number)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _failure(code: int, log: Path) -> LocalStackError:
    text = log.read_text(encoding="utf-8", errors="replace")
    match = _ERROR_CODE.search(text)
    reason = match.group(1) if match else f"exit code {code}"
    if reason in _NETWORK_CODES or "CERT" in reason:
        return LocalStackError(
            f"npm could not reach its registry ({reason}), so Azurite cannot be installed.",
            hint=_network_hint(log),
        )
    hints = {
        "ENOSPC": "The disk is full: make room, or set BATCHIMG_CACHE_DIR to a folder on another disk.",
        "EACCES": "npm may not write to its cache: mend that, or set npm_config_cache to another folder.",
        "EINTEGRITY": "A download is not what it should be: run `npm cache clean --force` and try again.",
    }
    hint = hints.get(reason, "Run the command again.")
    return LocalStackError(f"npm could not install Azurite ({reason}).", hint=f"{hint} npm's log: {log}")


def _network_hint(log: Path) -> str:
    return (
        "Azurite is fetched once from the npm registry: connect to the network"
        " (or set npm_config_registry to a mirror, HTTPS_PROXY to a proxy) and run the command again. "
        f"npm's log: {log}"
    )
