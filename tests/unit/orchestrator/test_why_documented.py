"""Every reason that `why` can give stands in docs/troubleshooting.md, and every one there can be given."""

import ast
import re
from pathlib import Path

from batchimg.why import RULES, Verdict
from batchimg.why.tasks import EXIT_REASONS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
NAME = re.compile(r"[a-z]+(-[a-z]+)+")


def given() -> set[str]:
    found = set()
    for file in (ROOT / "orchestrator" / "batchimg" / "why").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) else set()
            if isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[1], ast.Constant):
                value = node.elts[1].value
                found |= {value} if isinstance(value, str) and NAME.fullmatch(value) else set()
    return found


def test_reasons_and_their_page_agree():
    section = PAGE.split("## Reasons")[1].split("## Exit codes")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) - {"reason"} == given()
    assert len(given()) >= len(RULES)


def test_verdicts_and_their_exit_codes_agree():
    section = PAGE.split("## Reasons")[0]
    listed = {name: int(code) for code, name in re.findall(r"^\| (\d) \| ([a-z-]+) \|", section, re.MULTILINE)}
    assert listed == {verdict.name.lower().replace("_", "-"): verdict.value for verdict in Verdict}


def test_exit_codes_of_the_worker_agree():
    section = PAGE.split("## Exit codes")[1].split("##")[0]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in row.split(",")}
    assert listed == set(EXIT_REASONS)
