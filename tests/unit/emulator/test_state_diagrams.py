from pathlib import Path

import pytest

from batch_emulator.state_diagrams import diagram, page
from batch_emulator.states import MACHINES

PAGE = Path(__file__).parents[3] / "docs" / "states.md"


def test_the_page_is_what_the_tables_say():
    wanted = "python -m batch_emulator.state_diagrams > docs/states.md"
    assert PAGE.read_text("utf-8") == page(), f"docs/states.md is out of date: run {wanted}"


@pytest.mark.parametrize("name", MACHINES)
def test_every_change_of_every_machine_is_drawn(name):
    table = MACHINES[name]
    lines = diagram(table).splitlines()
    arrows = {(state, target) for state, targets in table.items() for target in targets}
    drawn = {tuple(line.strip().split(" --> ")) for line in lines if "-->" in line and "[*]" not in line}
    assert drawn == arrows
    assert f"## {name.capitalize()}\n" in page()
