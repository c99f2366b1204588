"""`make policies`: checkov over every stack, rendered as ARM templates. What it asks for and is not done has a reason.

The templates are made with Microsoft's schemas, which say where in a resource a setting lies.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "infra"), str(ROOT / "tools")]

from arm import SCHEMAS, TYPES, body  # noqa: E402 - they lie in folders that are no packages
from cached import NotInstalled, programs  # noqa: E402
from programs import STACKS, graph_of  # noqa: E402
from recording import Graph  # noqa: E402
from setup import environment  # noqa: E402

SECONDS = 600
TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


@dataclass(frozen=True)
class Skip:
    """Why a policy is not followed, and in which stacks; empty for all."""

    reason: str
    stacks: frozenset[str] = frozenset()


PUBLIC = frozenset({"dev", "defaults", "dedicated-only", "named-submitters"})
SKIPPED: Mapping[str, Skip] = {
    "CKV_AZURE_35": Skip("storage of a public stack is reached from where its nodes are; keys are off", PUBLIC),
    "CKV_AZURE_59": Skip(
        "no blob is public; the rule wants no public address, which a laptop needs: allowed_ips, or in a network",
        PUBLIC | {"prod"},
    ),
    "CKV_AZURE_76": Skip("Microsoft's keys encrypt; a key of one's own costs money and can be lost"),
    "CKV_AZURE_139": Skip("a registry without a public address is one of the Premium tier; it takes Entra ID only"),
    "CKV_AZURE_163": Skip("the image is scanned every week by a workflow, whatever the registry"),
    "CKV_AZURE_166": Skip("quarantine is of the Premium tier; the image is built and pushed by one workflow"),
    "CKV_AZURE_206": Skip("originals are where they were uploaded from; `redundancy: Standard_GRS` keeps a copy"),
    "CKV_AZURE_233": Skip("zones are of the Premium tier; nodes that run keep their image"),
    "CKV_AZURE_248": Skip(
        "the account takes Entra ID only, and a laptop has no address that is known before: allowed_ips",
        PUBLIC | {"wheel-in-vnet"},
    ),
}


def template(graph: Graph) -> dict[str, Any]:
    """The stack as a template; names are those of the program, for Azure's are not known before."""
    resources = [{**body(one), "name": one.name} for one in graph.made if one.kind in TYPES]
    return {"$schema": TEMPLATE, "contentVersion": "1.0.0.0", "resources": resources}


def main() -> int:
    if not SCHEMAS.is_dir():
        print("Policies: skipped, there is no ../shared/arm-schemas beside this clone.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as name:
        for stack in STACKS:
            Path(name, f"{stack}.json").write_text(json.dumps(template(graph_of(stack))))
        try:
            said = scan(Path(name))
        except (NotInstalled, subprocess.SubprocessError) as error:
            print(f"checkov did not run: {error}", file=sys.stderr)
            return 1
    found = {(one["check_id"], Path(one["file_path"]).stem): one for one in said["results"]["failed_checks"]}
    lines = list(problems(found))
    for line in lines:
        print(line, file=sys.stderr)
    if not lines:
        passed, skipped = said["summary"]["passed"], len({check for check, _ in found})
        print(f"Policies: {passed} hold in {len(STACKS)} stacks; {skipped} are not followed, each with a reason.")
    return 1 if lines else 0


def scan(folder: Path) -> dict[str, Any]:
    """checkov's report as JSON; nothing is fetched and nothing is sent."""
    checkov = programs(ROOT / "requirements" / "policies.txt", SECONDS) / "checkov"
    options = ("--framework", "arm", "--quiet", "--compact", "--skip-download", "--soft-fail", "-o", "json")
    done = subprocess.run(
        [str(checkov), "-d", str(folder), *options],
        check=True, capture_output=True, text=True, timeout=SECONDS, env=environment(),
    )  # fmt: skip
    said = json.loads(done.stdout)
    if said["summary"]["parsing_errors"] or said["summary"]["resource_count"] < len(STACKS):
        raise subprocess.SubprocessError(f"it could not read what was rendered: {said['summary']}")
    return said


def problems(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
    """What is found and not skipped, and what is skipped and not found."""
    for (check, stack), one in sorted(found.items()):
        skip = SKIPPED.get(check)
        if skip is None or (skip.stacks and stack not in skip.stacks):
            yield f"{stack}: {one['resource']}: {one['check_name']} ({check})"
    for check, skip in SKIPPED.items():
        stale = skip.stacks - {stack for one, stack in found if one == check}
        if stale or check not in {one for one, _ in found}:
            yield f"{check} is followed in {', '.join(sorted(stale)) or 'every stack'}: take it out of SKIPPED"


if __name__ == "__main__":
    sys.exit(main())
