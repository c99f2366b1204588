"""The page docs/states.md, made from the tables of states.py."""

from __future__ import annotations

from batch_emulator.states import MACHINES, Transitions

_HEAD = """# State machines of the emulator

Made from `emulator/batch_emulator/states.py` by `python -m batch_emulator.state_diagrams > docs/states.md`; a test
holds the page against the tables. A change that is not drawn here cannot happen: the emulator would raise.
"""

_NOTES = {
    "pool allocation": "A resize that is stopped, or reaches its timeout, goes through `stopping`.",
    "node": (
        "`preempted` (Spot) and `unknown` nodes come back as another machine under the same id; `unusable` and "
        "`starttaskfailed` ones stay until somebody reboots, reimages or removes them. A node leaves its pool from "
        "any state."
    ),
}


def diagram(table: Transitions) -> str:
    """One machine as a mermaid state diagram; it starts in the first state of its table."""
    lines = ["stateDiagram-v2", f"  [*] --> {next(iter(table))}"]
    for state, targets in table.items():
        lines += [f"  {state} --> {target}" for target in table if target in targets]
        if not targets:
            lines.append(f"  {state} --> [*]")
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, table in MACHINES.items():
        note = _NOTES.get(name)
        parts.append(f"## {name.capitalize()}\n\n" + (f"{note}\n\n" if note else "") + diagram(table))
    return "\n".join(parts)


def main() -> None:
    """Write the page to standard output."""
    import sys

    sys.stdout.write(page())


if __name__ == "__main__":
    main()
