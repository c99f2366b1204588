import os
import signal
import subprocess
import sys
from dataclasses import replace

from batchimg.local.processes import ProcessId, descendants, end, identify, is_alive


def sleeper(code="import time; print(flush=True); time.sleep(60)"):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_a_process_is_known_by_its_pid_and_its_start():
    myself = identify(os.getpid())

    assert is_alive(myself)
    assert not is_alive(replace(myself, started="another boot:1"))


def test_nobody_has_a_pid_that_does_not_exist():
    assert identify(2**22 + 1) is None


def test_a_zombie_is_not_alive():
    with sleeper() as process:
        found = identify(process.pid)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert not is_alive(found)


def test_end_leaves_a_recycled_pid_alone():
    with sleeper() as process:
        assert end([ProcessId(process.pid, "an earlier process")], 1) is False

        assert process.poll() is None
        process.kill()


def test_end_kills_what_does_not_end_by_itself():
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with sleeper() as willing, sleeper(deaf) as unwilling:
        assert end([identify(willing.pid), identify(unwilling.pid)], 0.3) is True

        assert willing.wait(5) == -signal.SIGTERM
        assert unwilling.wait(5) == -signal.SIGKILL


def test_descendants_are_found_through_their_parents():
    nested = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
        "print(p.pid, flush=True); p.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", nested], stdout=subprocess.PIPE, text=True)
    with process:
        child = int(process.stdout.readline())

        assert descendants(process.pid) == (identify(child),)
        process.kill()
    assert descendants(process.pid) == ()
