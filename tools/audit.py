"""Ask whether anything that is locked is known to be vulnerable: `make audit`, and part of `make check`.

pip-audit asks the package index, which a mirror often cannot answer: then one line says that nothing was asked, and
why. With --strict that is a failure, and so is a package that the index does not know.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cached import NotInstalled, programs
from setup import ROOT, environment

# What runtime.txt and worker.txt lock is in dev.txt too. One by one: they may lock the same package in two versions.
LOCKS = ("requirements/dev.txt", "pulumi/requirements.txt", "requirements/audit.txt", "requirements/policies.txt")
SECONDS = 180
ANSWER_SECONDS = 10  # for one package
# Id of an advisory -> why it does not matter here.
IGNORED: Mapping[str, str] = {}


class NotAsked(Exception):  # noqa: N818 - it reads as what it says
    """Nobody could be asked; the message is one line."""


@dataclass(frozen=True)
class Outcome:
    """What was found out: how many packages are known to the index, which are not, and a line for each weakness."""

    asked: int
    unknown: tuple[str, ...]
    vulnerable: tuple[str, ...]
    needless: tuple[str, ...]


def main() -> int:
    strict = "--strict" in sys.argv
    try:
        program = programs(ROOT / "requirements" / "audit.txt", SECONDS) / "pip-audit"
        with ThreadPoolExecutor(len(LOCKS)) as pool:
            outcome = judged(pool.map(partial(report, program), LOCKS), IGNORED)
    except (NotAsked, NotInstalled) as error:
        print(f"Known vulnerabilities: skipped, nothing was asked: {error}.", file=sys.stderr)
        return 1 if strict else 0
    for line in outcome.vulnerable:
        print(line, file=sys.stderr)
    for one in outcome.needless:
        print(f"{one} is not found any more: take it out of IGNORED in tools/audit.py.", file=sys.stderr)
    if outcome.unknown:
        print(f"Not known to the package index, so not asked: {', '.join(outcome.unknown)}.", file=sys.stderr)
    if outcome.vulnerable or outcome.needless or (strict and outcome.unknown):
        return 1
    print(f"Known vulnerabilities: none in {outcome.asked} locked packages.")
    return 0


def report(program: Path, lock: str) -> list[dict[str, Any]]:
    """What pip-audit says of each package of a lock; its exit code says only whether something was found."""
    options = ("--disable-pip", "--require-hashes", "--timeout", str(ANSWER_SECONDS), "--progress-spinner", "off")
    command = [str(program), *options, "-f", "json", "-r", str(ROOT / lock)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS, env=environment())
    except subprocess.TimeoutExpired:
        raise NotAsked(f"the package index did not answer within {SECONDS} s") from None
    if not done.stdout.startswith("{"):
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise NotAsked(f"pip-audit could not ask of {lock}: {lines[-1][:200]}")
    return json.loads(done.stdout)["dependencies"]


def judged(reports: Iterable[list[dict[str, Any]]], ignored: Mapping[str, str]) -> Outcome:
    """What pip-audit's reports mean. Raises NotAsked where the index knew none of the packages."""
    packages = {(one["name"], one.get("version")): one for said in reports for one in said}
    unknown = sorted({name for (name, _), one in packages.items() if "skip_reason" in one})
    asked = {key: one for key, one in packages.items() if "skip_reason" not in one}
    if not asked:
        raise NotAsked("the package index here has no advisories, as a mirror without its JSON interface")
    found = {(name, version, one["id"]): one for (name, version), package in asked.items() for one in package["vulns"]}
    seen = {name for one in found.values() for name in (one["id"], *one.get("aliases", ()))}
    lines = [
        f"{name} {version}: {one['id']} {' '.join(one.get('aliases', ()))}; {_mended(one['fix_versions'])}"
        for (name, version, _), one in sorted(found.items())
        if not {one["id"], *one.get("aliases", ())} & set(ignored)
    ]
    return Outcome(len(asked), tuple(unknown), tuple(lines), tuple(sorted(set(ignored) - seen)))


def _mended(versions: list[str]) -> str:
    return f"mended in {', '.join(versions)}: `make lock`" if versions else "no version mends it yet"


if __name__ == "__main__":
    sys.exit(main())
