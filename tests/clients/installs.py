"""How each client gets onto this machine: out of its lock, into a folder outside of the tree, once."""

import hashlib
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSTALL_SECONDS = 900
JAVA_OPENS = ("java.util", "java.lang", "java.time")
"""Packages of Java 17 into which the client of 2024 reaches by reflection."""


class InstallError(Exception):
    """A client that could not be installed, and what the installer said."""


def cache() -> Path:
    """Where clients are kept: BATCH_EMULATOR_CLIENTS, else in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("BATCH_EMULATOR_CLIENTS") or Path(base) / "batch-emulator-clients")


def _run(command: Sequence[str | Path], **options: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise InstallError(f"{' '.join(words)}:\n{said}")


def _fresh(name: str, *locks: Path) -> tuple[Path, Path]:
    """The folder for what these files lock, and the mark in it that says that it is complete."""
    state = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    folder = cache() / f"{name}-{state}"
    mark = folder / "installed"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder, mark


@dataclass(frozen=True)
class Python:
    """A program that runs in a venv made from `python/<lock>.txt`."""

    lock: str
    program: str
    needs: tuple[str, ...] = ()

    def command(self) -> tuple[list[str], dict[str, str]]:
        lock = HERE / "python" / f"{self.lock}.txt"
        folder, mark = _fresh(self.lock, lock)
        python = folder / "bin" / "python"
        if not mark.exists():
            venv.create(folder, symlinks=True, with_pip=False)
            wheel = next((ROOT / "tools" / "bootstrap").glob("pip-*.whl"))
            pip = [python, wheel / "pip", "--disable-pip-version-check", "--quiet"]
            _run([*pip, "install", "--require-hashes", "--no-deps", "-r", lock])
            mark.touch()
        variables = {"AZURE_CONFIG_DIR": str(folder / "config"), "AZURE_CORE_COLLECT_TELEMETRY": "false"}
        return [str(python), str(HERE / self.program)], variables


@dataclass(frozen=True)
class JavaScript:
    """scenario.js with one of the packages of `javascript/package.json`."""

    package: str
    needs: tuple[str, ...] = ("node", "npm")

    def command(self) -> tuple[list[str], dict[str, str]]:
        files = [HERE / "javascript" / name for name in ("package.json", "package-lock.json")]
        folder, mark = _fresh("javascript", *files)
        if not mark.exists():
            for file in files:
                shutil.copy(file, folder)
            _run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)
            mark.touch()
        scenario = str(HERE / "javascript" / "scenario.js")
        return ["node", scenario, self.package], {"NODE_PATH": str(folder / "node_modules")}


@dataclass(frozen=True)
class Java:
    """Scenario.java, compiled with the jars that `java/pom.xml` names."""

    needs: tuple[str, ...] = ("java", "mvn")

    def command(self) -> tuple[list[str], dict[str, str]]:
        pom, source = HERE / "java" / "pom.xml", HERE / "java" / "src" / "main" / "java" / "Scenario.java"
        folder, mark = _fresh("java", pom, source)
        jars = folder / "classpath"
        if not mark.exists():
            goals = ["compile", "dependency:build-classpath", f"-Dmdep.outputFile={jars}"]
            _run(["mvn", "--quiet", "--batch-mode", "--file", pom, f"-Dbuild.folder={folder}", *goals])
            mark.touch()
        opens = [word for name in JAVA_OPENS for word in ("--add-opens", f"java.base/{name}=ALL-UNNAMED")]
        return ["java", *opens, "-cp", f"{folder / 'classes'}:{jars.read_text('utf-8')}", "Scenario"], {}


@dataclass(frozen=True)
class Go:
    """main.go, built with the modules that `go/go.sum` locks."""

    needs: tuple[str, ...] = ("go",)

    def command(self) -> tuple[list[str], dict[str, str]]:
        files = [HERE / "go" / name for name in ("go.mod", "go.sum", "main.go")]
        folder, mark = _fresh("go", *files)
        if not mark.exists():
            _run(["go", "build", "-o", folder / "scenario", "."], cwd=HERE / "go")
            mark.touch()
        return [str(folder / "scenario")], {}


Install = Python | JavaScript | Java | Go
