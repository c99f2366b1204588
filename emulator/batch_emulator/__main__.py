"""The command `batch-emulator`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

USAGE_ERROR = 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batch-emulator", description="An emulator of the Azure Batch data plane, on loopback."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start the emulator and serve until SIGTERM or Ctrl-C")
    start.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    start.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    start.add_argument("--account", default="localbatch", help="account name (default: %(default)s)")
    start.add_argument("--data-dir", type=Path, help="where state, key and node directories are kept")
    start.add_argument("--in-memory", action="store_true", help="keep nothing when it ends")
    start.add_argument("--node-environment", type=Path, metavar="FILE", help="JSON object: variables of nodes")
    start.add_argument("--ready-file", type=Path, metavar="FILE", help="write endpoint and key here when ready")
    start.add_argument("--node-delay", type=float, default=0.1, help="seconds of each step of a node's start")
    start.add_argument("--schema-casing", action="store_true", help="add-task status in lower case")
    start.add_argument("--allow-remote", action="store_true", help="allow a --host that is not loopback")
    start.add_argument("--quiet", action="store_true", help="no line for each request")
    return parser


def default_data_dir() -> Path:
    """Where state is kept when nobody says: the user's data directory."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "batch-emulator"


def _node_environment(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"{path}: expected a JSON object of variable names to text values")
    return found


def _start(options: argparse.Namespace) -> int:
    from batch_emulator import service
    from batch_emulator.account import Settings
    from batch_emulator.launcher import close_inherited_files
    from batch_emulator.server import Server, listen, write_ready_file

    close_inherited_files()
    settings = Settings(
        account_name=options.account,
        node_environment=_node_environment(options.node_environment),
        node_delay=options.node_delay,
        strict_casing=options.schema_casing,
    )
    bound = listen(options.host, options.port, allow_remote=options.allow_remote)
    data_dir = options.data_dir or default_data_dir()
    emulator = service.in_memory(settings, adopt=True) if options.in_memory else service.on_disk(settings, data_dir)
    place = f"${service.KEY_VARIABLE}" if options.in_memory else str(data_dir / "account.json")

    def ready() -> None:
        url = emulator.account.url
        sys.stdout.write(f"batch-emulator: {url} account {options.account}, key in {place}\n")
        sys.stdout.flush()
        if options.ready_file:
            write_ready_file(options.ready_file, url, emulator.credentials)

    Server(emulator, bound, access_log=not options.quiet, ready=ready).run()
    return 0


def main() -> None:
    """Parse the command line, run, and turn errors into one line and exit code 2."""
    options = _parser().parse_args()
    from batch_emulator.errors import BatchError
    from batch_emulator.server import ListenError

    try:
        code = _start(options)
    except KeyboardInterrupt:
        code = 0
    except (ListenError, BatchError, OSError, ValueError) as error:
        sys.stderr.write(f"batch-emulator: {error}\n")
        code = USAGE_ERROR
    sys.exit(code)


if __name__ == "__main__":
    main()
