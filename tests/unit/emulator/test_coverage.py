from pathlib import Path

from batch_emulator import coverage
from batch_emulator.routes import ROUTES

PAGE = Path(__file__).parents[3] / "docs" / "emulator.md"


def test_every_operation_is_in_the_table_once():
    table = coverage.table()
    for route in ROUTES:
        assert table.count(f"| {route.method} | `{route.template}` |") == 1


def test_the_page_holds_the_table_as_it_is_now():
    page = PAGE.read_text("utf-8")
    assert coverage.with_table(page) == page, "docs/emulator.md is not up to date: run `make docs`"


def test_an_operation_that_means_nothing_here_says_why():
    assert "| `/pools/{poolId}/nodes/{nodeId}/remoteloginsettings` | refused: there is no machine" in coverage.table()
