"""The documents say what is true: commands, settings, operations."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BATCHIMG = Path(sys.executable).with_name("batchimg")


def help_of(*command: str) -> str:
    done = subprocess.run(
        [BATCHIMG, *command, "--help"], check=True, capture_output=True, text=True, env={"COLUMNS": "200", "PATH": ""}
    )
    return done.stdout


def test_pages_that_come_out_of_the_code_are_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "docs.py", "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def commands_of_readme() -> set[str]:
    table = re.findall(r"^\| `batchimg ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    return set(table)


def test_the_readme_lists_exactly_the_commands_that_there_are():
    listed = set(re.findall(r"^│ ([a-z]+) ", help_of().split("Commands")[1], re.MULTILINE))
    assert commands_of_readme() == listed


@pytest.mark.parametrize("line", re.findall(r"^\| (`batchimg .*?)\|", (ROOT / "README.md").read_text(), re.MULTILINE))
def test_every_option_of_the_readmes_table_exists(line):
    command = line.split()[1].strip("`")
    known = help_of(command)
    for option in re.findall(r"--[a-z-]+", line):
        assert option in known


def test_exit_codes_are_the_same_in_readme_and_help():
    codes = re.findall(r"(\d+) [a-z]", help_of().split("Exit codes:")[1])
    readme = (ROOT / "README.md").read_text().split("Exit codes:")[1].split("\n\n")[0]
    assert codes == re.findall(r"(\d+)\s[a-z]", readme) != []


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_table_of_clients_holds_those_that_are_driven():
    driven = re.findall(r'Client\("([^"]+)", "([^"]+)"', (ROOT / "tests" / "clients" / "run.py").read_text())
    rows = re.findall(
        r"^\| (?!Client |Python azure-batch 15)([^|]+) \| (20[^|]+) \|",
        (ROOT / "docs" / "emulator.md").read_text(),
        re.MULTILINE,
    )
    assert rows == driven != []
