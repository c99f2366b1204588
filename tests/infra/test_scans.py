"""Scans: what they say is held against what is known, and that nobody could be asked is never taken for good news."""

import os
import subprocess
import sys

import pytest

from recording import PROGRAM

ROOT = PROGRAM.parent
sys.path.append(str(ROOT / "tools"))

import audit  # noqa: E402 - it lies in a folder that is no package
import policies  # noqa: E402

WEAK = {
    "name": "pillow",
    "version": "9.0.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.0.1"], "aliases": ["CVE-1"], "description": "..."}],
}
GOOD = {"name": "rich", "version": "15.0.0", "vulns": []}
UNKNOWN = {"name": "numpy", "version": "2.4.6", "skip_reason": "Dependency not found on PyPI"}


def test_a_known_vulnerability_is_named_with_the_version_that_mends_it():
    outcome = audit.judged([[GOOD, WEAK], [WEAK]], {})
    assert outcome.vulnerable == ("pillow 9.0.0: PYSEC-1 CVE-1; mended in 9.0.1: `make lock`",)
    assert outcome.asked == 2


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_what_is_ignored_by_any_of_its_names_is_not_told(name):
    outcome = audit.judged([[WEAK]], {name: "not used here"})
    assert (outcome.vulnerable, outcome.needless) == ((), ())


def test_what_is_ignored_and_no_longer_found_is_told():
    assert audit.judged([[GOOD]], {"CVE-2": "not used here"}).needless == ("CVE-2",)


def test_an_index_that_knows_no_package_was_not_asked():
    with pytest.raises(audit.NotAsked):
        audit.judged([[UNKNOWN], [UNKNOWN]], {})


def test_packages_that_the_index_does_not_know_are_named():
    assert audit.judged([[GOOD, UNKNOWN]], {}).unknown == ("numpy",)


def test_everything_that_is_locked_is_asked_for():
    locked = [file.relative_to(ROOT).as_posix() for file in (ROOT / "requirements").glob("*.txt")]
    assert set(audit.LOCKS) == {*locked, "pulumi/requirements.txt"} - {
        "requirements/runtime.txt",
        "requirements/worker.txt",
    }
    pins = {lock: set((ROOT / "requirements" / lock).read_text().splitlines()) for lock in ("runtime.txt", "dev.txt")}
    assert {line for line in pins["runtime.txt"] if "==" in line} <= pins["dev.txt"]


def found(skips):
    """What checkov finds if each skip is needed wherever it may be."""
    places = {check: skip.stacks or {"dev"} for check, skip in skips.items()}
    return {(check, stack): {"resource": "r", "check_name": "n"} for check in places for stack in places[check]}


def test_policies_that_are_skipped_with_a_reason_are_not_told():
    assert all(skip.reason for skip in policies.SKIPPED.values())
    assert list(policies.problems(found(policies.SKIPPED))) == []


def test_a_policy_that_is_not_followed_where_it_should_be_is_told():
    more = {
        ("CKV_NEW", "dev"): {"resource": "r", "check_name": "n"},
        ("CKV_AZURE_35", "prod"): {"resource": "r", "check_name": "n"},
    }
    lines = list(policies.problems(found(policies.SKIPPED) | more))
    assert lines == ["prod: r: n (CKV_AZURE_35)", "dev: r: n (CKV_NEW)"]


def test_a_skip_that_is_not_needed_is_told():
    needed = found({check: skip for check, skip in policies.SKIPPED.items() if check != "CKV_AZURE_76"})
    assert list(policies.problems(needed)) == ["CKV_AZURE_76 is followed in every stack: take it out of SKIPPED"]


def check_for_pulumi(path):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "pulumi-cli"), "--check"],
        env={**os.environ, "PATH": str(path)}, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def program(folder, name, text="#!/bin/sh\n"):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_a_machine_with_neither_go_nor_pulumi_is_told_so_in_one_line(tmp_path):
    said = check_for_pulumi(tmp_path)
    assert (said.returncode, said.stderr.count("\n")) == (3, 1)
    assert "Install Pulumi's CLI, or Go 1." in said.stderr


def test_a_go_that_is_too_old_is_told_so_in_one_line(tmp_path):
    program(tmp_path, "go", "#!/bin/sh\necho go1.19.2\n")
    said = check_for_pulumi(tmp_path)
    assert (said.returncode, said.stderr.count("\n")) == (3, 1)
    assert "go1.19.2 is too old" in said.stderr


def test_a_pulumi_with_its_host_needs_no_go(tmp_path):
    for name in ("pulumi", "pulumi-language-python"):
        program(tmp_path, name)
    assert check_for_pulumi(tmp_path).returncode == 0
