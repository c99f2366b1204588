import subprocess
import sys

from batchimg.local.logs import tail, trim


def test_a_log_under_the_limit_is_left_alone(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("x" * 10)

    assert trim(log, 10) is False
    assert log.read_text() == "x" * 10


def test_a_log_over_the_limit_is_emptied_and_its_writer_goes_on(tmp_path):
    log = tmp_path / "a.log"
    with log.open("ab") as output:
        command = [sys.executable, "-c", "print('first'); input(); print('second')"]
        process = subprocess.Popen([*command[:1], "-u", *command[1:]], stdin=subprocess.PIPE, stdout=output)
    with process:
        while log.stat().st_size == 0:
            assert process.poll() is None

        assert trim(log, 3) is True
        process.communicate(b"\n", timeout=10)

    assert log.read_bytes() == b"second\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"first\n"


def test_the_older_half_is_replaced_at_the_next_time(tmp_path):
    log = tmp_path / "a.log"
    for text in ("one", "two"):
        log.write_text(text)
        trim(log, 2)

    assert (tmp_path / "a.log.1").read_text() == "two"


def test_no_log_needs_no_trimming(tmp_path):
    assert trim(tmp_path / "none.log", 0) is False


def test_the_tail_is_the_last_lines_that_say_something(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("zero\none\n\ntwo\nthree\n\n")

    assert tail(log, 2) == "two | three"
    assert tail(tmp_path / "none.log") == ""
