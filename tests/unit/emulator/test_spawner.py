"""Starting programs from threads."""

import os
import queue
import threading

import pytest

from batch_emulator.posix_spawn import Program
from batch_emulator.spawner import NotSpawnedError, Spawned, Spawner

GLIBC_OWN = 1 << 31 | 1 << 32
"""Signals 32 and 33, which glibc uses for its threads, and lets no program that it spawns have."""


@pytest.fixture
def run(tmp_path):
    told = queue.SimpleQueue()

    def program(*arguments, **environment):
        out = str(tmp_path / "t" / "out")
        environment = {"PATH": "/usr/bin:/bin"} | environment
        return Program(arguments[0], arguments, environment, str(tmp_path / "t" / "wd"), out, out + ".err")

    def run(spawner, *arguments, lane="", **environment):
        spawner.start(lane, program(*arguments, **environment), told.put)
        outcome = told.get(timeout=10)
        if isinstance(outcome, Spawned):
            code = os.waitstatus_to_exitcode(os.waitpid(outcome.pid, 0)[1])
            os.close(outcome.pidfd)
            return code, (tmp_path / "t" / "out").read_text()
        return outcome

    return run


def test_a_program_gets_its_arguments_environment_directory_and_a_session(run, tmp_path):
    line = 'echo "$1 $GREETING"; pwd; [ "$(cut -d" " -f6 /proc/self/stat)" = $$ ] && echo leads'
    code, text = run(Spawner(), "sh", "-c", line, "name", "ä b", GREETING="hé")
    assert (code, text.split("\n")[:3]) == (0, ["ä b hé", str(tmp_path / "t" / "wd"), "leads"])


def _is_inheritable(number):
    """Whether a file was given to this test process to be passed on, by whoever started it."""
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def test_it_inherits_no_files_and_no_ignored_signals(run):
    _, text = run(Spawner(), "sh", "-c", "ls /proc/$$/fd; grep SigIgn /proc/$$/status")
    files, ignored = text.split("SigIgn:")
    inherited = {number for number in files.split() if number not in "012" and not _is_inheritable(int(number))}
    assert inherited == set()
    assert int(ignored, 16) & ~GLIBC_OWN == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-such-program"], "CommandProgramNotFound"),
        (["./not-here"], "CommandProgramNotFound"),
        (["/etc/passwd"], "CommandLaunchFailed"),
        (["true", "x" * 300_000], "CommandLaunchFailed"),
        (["true", "a\0b"], "CommandLaunchFailed"),
    ],
)
def test_what_cannot_be_started_is_told_with_azures_word(run, arguments, code):
    outcome = run(Spawner(), *arguments)
    assert isinstance(outcome, NotSpawnedError)
    assert outcome.code == code


def test_a_directory_that_cannot_be_made_is_told(run, tmp_path):
    (tmp_path / "t").write_text("in the way")
    assert run(Spawner(), "true").code == "ResourceDirectoryCreateFailed"


def test_each_lane_is_confined_in_threads_of_its_own_and_anew_when_it_is_stale(run):
    confined, stale = [], threading.Event()

    def confine(lane):
        confined.append((lane, threading.current_thread()))
        mark = stale.is_set()
        return lambda: mark == stale.is_set()

    spawner = Spawner(confine)
    assert run(spawner, "true", lane="a")[0] == 0
    assert run(spawner, "true", lane="b")[0] == 0
    assert [lane for lane, _ in confined] == ["a", "b"]
    stale.set()
    assert run(spawner, "true", lane="a")[0] == 0
    assert [lane for lane, _ in confined] == ["a", "b", "a"]
    assert len({thread for _, thread in confined}) == 3


def test_a_lane_that_cannot_be_confined_starts_nothing(run):
    def confine(_):
        raise OSError(1, "no")

    assert run(Spawner(confine), "true").code == "CommandLaunchFailed"
