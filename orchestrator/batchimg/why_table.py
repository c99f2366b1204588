"""How the answer of `batchimg why` is shown: as a panel for people, as plain values for machines."""

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from batchimg.why import Finding, Reason

STYLES = {
    "WELL": "green",
    "INCOMPLETE": "red",
    "NO_ANSWER": "red",
    "WAITING": "cyan",
    "BLOCKED": "red",
    "LIMPING": "yellow",
}


def why_values(reason: "Reason") -> dict[str, Any]:
    """For machines."""
    return {
        "run": reason.run,
        **_finding(reason.finding),
        "exit_code": reason.finding.verdict.value,
        "also": [_finding(one) for one in reason.also],
        "evidence": list(reason.evidence),
    }


def why_panel(reason: "Reason") -> RenderableType:
    """For people: the sentence, what to type, what else is wrong, the evidence."""
    finding = reason.finding
    parts = [Text.assemble((reason.run, "bold"), " ", (finding.sentence, STYLES[finding.verdict.name]))]
    if finding.todo:
        parts.append(Text(f"  {finding.todo}", "bold"))
    for one in reason.also:
        parts.append(Text(f"also: {one.sentence}", STYLES[one.verdict.name]))
        parts += [Text(f"  {one.todo}")] if one.todo else []
    parts += [Text(line, "dim") for line in reason.evidence]
    return Group(*parts)


def _finding(finding: "Finding") -> dict[str, Any]:
    return {
        "reason": finding.name,
        "verdict": finding.verdict.name.lower().replace("_", "-"),
        "sentence": finding.sentence,
        "todo": finding.todo,
    }
