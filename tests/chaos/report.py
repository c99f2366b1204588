"""Write the table of docs/reliability.md from the JSON of runs: `python -m chaos.report FILE...`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: written by `make chaos` -->", "<!-- end of chaos -->"


class Row(Protocol):
    """What a table needs of a run."""

    kind: str
    strikes: int
    seconds: float
    breaches: Sequence[str]


def table(runs: Sequence[Row], kinds: Sequence[str]) -> str:
    """Runs by kind, as Markdown."""
    lines = ["| What breaks | Runs | Struck | Held | Seconds a run |", "|---|---:|---:|---:|---:|"]
    for name, some in [*((kind, [one for one in runs if one.kind == kind]) for kind in kinds), ("**all**", runs)]:
        if some:
            struck, held = sum(one.strikes > 0 for one in some), sum(not one.breaches for one in some)
            mean = sum(one.seconds for one in some) / len(some)
            lines.append(f"| {name} | {len(some)} | {struck} | {held} | {mean:.1f} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, new: str) -> str:
    """The page with another table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{new}{END}{after}"


def main(files: Sequence[str]) -> int:
    """Read, write."""
    from chaos.run import Ended, kinds

    found = [one for file in files for one in json.loads(Path(file).read_text())]
    runs = [Ended(**{**one, "breaches": tuple(one["breaches"])}) for one in found]
    PAGE.write_text(with_table(PAGE.read_text(), table(runs, kinds())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
