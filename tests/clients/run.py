"""`make clients`: other people's clients against the emulator, each in a realistic scenario.

Every client is installed from its lock, gets an emulator of its own and runs its scenario. At the end stands a table.
Arguments choose clients by a part of their name. The exit code is 1 when a step failed or a client could not be
installed; a client whose language is not on this machine is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from installs import Go, Install, InstallError, Java, JavaScript, Python, cache
from steps import until

SCENARIO_SECONDS = 600
FEWEST_STEPS = 16
"""Every scenario has at least these; a program that ends early with exit code 0 has not passed."""


@dataclass(frozen=True)
class Client:
    """One published client, the api-version it sends, and how it comes here. `tls`: it brings a bearer token."""

    name: str
    api_version: str
    install: Install
    tls: bool = False


CLIENTS = (
    Client("Python azure-batch 14.2.0", "2024-02-01.19.0", Python("azure-batch-14.2.0", "track1.py")),
    Client("Python azure-batch 12.0.0", "2022-01-01.15.0", Python("azure-batch-12.0.0", "track1.py")),
    Client("Python azure-batch 10.0.0", "2020-09-01.12.0", Python("azure-batch-10.0.0", "track1.py")),
    Client("azure-cli 2.91.0", "2024-02-01.19.0", Python("azure-cli-2.91.0", "azure_cli.py")),
    Client("JavaScript @azure/batch 10.2.0", "2022-10-01.16.0", JavaScript("azure-batch-10")),
    Client("JavaScript @azure/batch 8.0.0", "2020-09-01.12.0", JavaScript("azure-batch-8")),
    Client("Java com.microsoft.azure:azure-batch 11.2.0", "2024-02-01.19.0", Java()),
    Client("Go jackofallops/kermit 0.20241010.1180132", "2022-01-01.15.0", Go(), tls=True),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a client: how many steps were right, which were not, and, where none ran, why."""

    passed: int = 0
    failed: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def text(self) -> str:
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.failed:
            return f"FAILED: {'; '.join(self.failed)}"
        return f"ok, {self.passed} steps"


@contextmanager
def emulator(folder: Path, *, tls: bool) -> Iterator[dict[str, str]]:
    """An emulator of its own, and the variables that lead a client to it."""
    ready, log = folder / "ready.json", folder / "log"
    options = ["--data-dir", str(folder / "data"), "--ready-file", str(ready), "--node-delay", "0.05"]
    command = [sys.executable, "-m", "batch_emulator", "start", *options, *(["--oauth"] if tls else [])]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            until(lambda: ready.exists() or process.poll() is not None, "the start of the emulator")
            found = json.loads(ready.read_text("utf-8"))
            variables = {
                "AZURE_BATCH_ENDPOINT": found["endpoint"],
                "AZURE_BATCH_ACCOUNT": found["account"],
                "AZURE_BATCH_ACCESS_KEY": found["key"],
            }
            if tls:
                variables["AZURE_BATCH_CERTIFICATE"] = found["certificate"]
                token = [sys.executable, "-m", "batch_emulator", "token", "--data-dir", str(folder / "data")]
                variables["AZURE_BATCH_TOKEN"] = subprocess.check_output(token, text=True).strip()
            yield variables
        finally:
            process.terminate()
            process.wait(timeout=30)


def drive(client: Client) -> Outcome:
    """Install a client if need be, and run its scenario."""
    missing = [tool for tool in client.install.needs if shutil.which(tool) is None]
    if missing:
        return Outcome(skipped=f"{' and '.join(missing)} is not on this machine")
    try:
        command, variables = client.install.command()
    except (InstallError, subprocess.TimeoutExpired) as error:
        sys.stdout.write(f"{error}\n")
        return Outcome(failed=("it could not be installed",))
    log = cache() / "logs" / f"{''.join(c if c.isalnum() else '-' for c in client.name)}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder), tls=client.tls) as account:
        environment = os.environ | account | variables
        with log.open("w", encoding="utf-8") as errors:
            try:
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False, env=environment,
                    timeout=SCENARIO_SECONDS,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                told = (error.stdout or b"").decode().splitlines()
                return Outcome(failed=(f"it hung after {told[-1] if told else 'nothing'}",))
    return judge(done.stdout, done.returncode, log)


def judge(output: str, code: int, log: Path) -> Outcome:
    """The outcome that a scenario's lines tell."""
    sys.stdout.write("".join(f"  {line}\n" for line in output.splitlines()))
    lines = output.splitlines()
    passed = sum(line.startswith("ok ") for line in lines)
    failed = tuple(line.removeprefix("not ok ").partition(":")[0] for line in lines if line.startswith("not ok "))
    if not failed and (code or passed < FEWEST_STEPS):
        failed = (f"it ended with exit code {code} after {passed} steps",)
    if failed:
        sys.stdout.write(f"  what it said besides: {log}\n")
    return Outcome(passed, failed)


def main(words: list[str]) -> int:
    """Drive all clients, or those whose name has one of the words in it, and print the table."""
    wanted = [client for client in CLIENTS if not words or any(word.lower() in client.name.lower() for word in words)]
    outcomes = []
    for client in wanted:
        sys.stdout.write(f"{client.name}\n")
        sys.stdout.flush()
        outcomes.append(drive(client))
    width = max((len(client.name) for client in wanted), default=0)
    sys.stdout.write("\n")
    for client, outcome in zip(wanted, outcomes, strict=True):
        sys.stdout.write(f"{client.name:{width}}  {client.api_version:15}  {outcome.text}\n")
    return 1 if not wanted or any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
