"""The command `batch-emulator`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_emulator.account import Settings
    from batch_emulator.server import Wishes

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
    start.add_argument("--auto-storage", metavar="URL", help="blob service of autoStorageContainerName")
    start.add_argument("--applications", type=Path, metavar="DIR", help="packages: <application id>/<version>.zip")
    start.add_argument("--ready-file", type=Path, metavar="FILE", help="write endpoint and key here when ready")
    start.add_argument("--node-delay", type=float, default=0.1, help="seconds of each step of a node's start")
    start.add_argument("--allocation-delay", type=float, metavar="SECONDS", help="from a resize to its first new node")
    start.add_argument(
        "--recovery-delay",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="until a node that was preempted or lost is replaced (default: %(default)s)",
    )
    start.add_argument(
        "--time-scale", type=float, default=1.0, metavar="N", help="run the service's time N times as fast"
    )
    start.add_argument("--dedicated-core-quota", type=int, metavar="N", help="cores of all dedicated nodes together")
    start.add_argument("--spot-core-quota", type=int, metavar="N", help="cores of all Spot nodes together")
    start.add_argument("--schema-casing", action="store_true", help="add-task status in lower case")
    start.add_argument(
        "--oauth",
        choices=("local", "any"),
        nargs="?",
        const="local",
        help="TLS and bearer tokens: those of `batch-emulator token`, or any unexpired one for Azure Batch",
    )
    start.add_argument("--faults", action="store_true", help="open a second port where faults can be set")
    start.add_argument("--faults-port", type=int, default=0, help="the port of --faults; 0 takes a free one")
    start.add_argument(
        "--isolate",
        choices=("auto", "on", "off"),
        default="auto",
        help="keep tasks away from the emulator's files (default: where the kernel can and no shared folder suffers)",
    )
    start.add_argument("--allow-remote", action="store_true", help="allow a --host that is not loopback")
    start.add_argument("--quiet", action="store_true", help="no line for each request")
    token = commands.add_parser("token", help="print a bearer token for an emulator that runs with --oauth")
    token.add_argument("--account", default="localbatch", help="account name (default: %(default)s)")
    token.add_argument("--data-dir", type=Path, help="the data directory of that emulator")
    token.add_argument("--seconds", type=int, default=3600, help="how long it is good (default: %(default)s)")
    commands.add_parser("coverage", help="print every operation of Azure Batch, and whether it is emulated")
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


def _token(options: argparse.Namespace) -> int:
    from batch_emulator import oauth, service

    found = service.known_key(options.data_dir or default_data_dir(), options.account)
    sys.stdout.write(oauth.issue(found, options.seconds) + "\n")
    return 0


def _coverage(_: argparse.Namespace) -> int:
    from batch_emulator import coverage

    sys.stdout.write(coverage.table())
    return 0


def _storage_url(url: str | None) -> str | None:
    from batch_emulator.resource_files import check_url

    if url is not None:
        check_url(url, "--auto-storage")
    return url


def _start(options: argparse.Namespace) -> int:
    from batch_emulator import secrecy, service
    from batch_emulator.launcher import close_inherited_files
    from batch_emulator.server import Server, open_doors, write_ready_file

    key = secrecy.take_variable(service.KEY_VARIABLE)
    secrecy.close_to_others()
    close_inherited_files()
    settings = _settings(options)
    data_dir = options.data_dir or default_data_dir()
    doors = open_doors(_wishes(options))
    if options.in_memory:
        emulator = service.in_memory(settings, adopt=True, key=key)
    else:
        emulator = service.on_disk(settings, data_dir)
    place = f"${service.KEY_VARIABLE}" if options.in_memory else str(data_dir / "account.json")
    server = Server(emulator, doors, access_log=not options.quiet)

    def ready() -> None:
        url = emulator.account.url
        lines = [f"{url} account {options.account}, key in {place}", f"window: {server.window.link}"]
        if server.certificate:
            lines.append(f"certificate: {server.certificate.path}")
        if server.faults_url:
            lines.append(f"faults: {server.faults_url}/faults token {server.faults_token}")
        sys.stdout.write("".join(f"batch-emulator: {line}\n" for line in lines))
        sys.stdout.flush()
        if options.ready_file:
            write_ready_file(options.ready_file, server)

    server.ready = ready
    server.run()
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    from batch_emulator.account import Settings

    return Settings(
        account_name=options.account,
        node_environment=_node_environment(options.node_environment),
        node_delay=options.node_delay,
        allocation_delay=options.allocation_delay,
        recovery_delay=options.recovery_delay,
        time_scale=options.time_scale,
        dedicated_core_quota=options.dedicated_core_quota,
        low_priority_core_quota=options.spot_core_quota,
        strict_casing=options.schema_casing,
        isolation=options.isolate,
        kept_away=(options.ready_file,) if options.ready_file else (),
        auto_storage=_storage_url(options.auto_storage),
        applications=options.applications,
    )


def _wishes(options: argparse.Namespace) -> Wishes:
    from batch_emulator.server import Wishes

    return Wishes(
        host=options.host,
        port=options.port,
        allow_remote=options.allow_remote,
        accept=options.oauth,
        faults_port=options.faults_port if options.faults else None,
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"start": _start, "token": _token, "coverage": _coverage}


def main() -> None:
    """Parse the command line, run, and turn errors into one line and exit code 2."""
    options = _parser().parse_args()
    from batch_emulator.errors import BatchError
    from batch_emulator.server import ListenError

    try:
        code = COMMANDS[options.command](options)
    except KeyboardInterrupt:
        code = 0
    except (ListenError, BatchError, OSError, ValueError) as error:
        sys.stderr.write(f"batch-emulator: {error}\n")
        code = USAGE_ERROR
    sys.exit(code)


if __name__ == "__main__":
    main()
