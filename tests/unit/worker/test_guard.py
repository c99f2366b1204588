"""The guard over workers that are written by hand: what dies, what hangs, and who is to blame for it."""

import json
import subprocess
import sys
from pathlib import Path

WORKERS = """
import json, os, signal, sys
from pathlib import Path
from batchimg_worker.guard import NO_ROOM, STORAGE, UNFINISHED, Guard

images = json.loads(sys.argv[1])
journal = Path(sys.argv[2])

def work(turn):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM})
    turn.hand.limit(0.5, 0)
    done = set(journal.read_text().split()) if journal.exists() else set()
    for name, kind in images.items():
        if name in done or name in turn.leave_out or turn.only not in (None, name):
            continue
        if name in turn.condemned:
            with journal.open("a") as out:
                out.write(name + "\\n")
            print(name, turn.condemned[name].error_type, flush=True)
            done.add(name)
            continue
        turn.hand.take(name)
        if kind == "crash" or (kind == "crash-beside-others" and turn.only is None):
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "leave":
            os._exit(0)
        if kind == "full":
            os._exit(NO_ROOM)
        if kind == "hang":
            signal.pause()
        turn.hand.lay_down()
        if kind == "no-storage":
            os._exit(STORAGE)
        if kind == "die-after":
            os.kill(os.getpid(), signal.SIGKILL)
        with journal.open("a") as out:
            out.write(name + "\\n")
        done.add(name)
    return 0 if len(done) == len(images) else UNFINISHED

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
guard = Guard(work, journal)
code = guard.run()
if guard.left_journal:
    print("journal", "left")
sys.exit(code)
"""


def guard(tmp_path: Path, **images: str) -> tuple[int, dict[str, str], set[str]]:
    """Exit code, the quarantined with their kind of error, and the done; ``journal: left`` where it is to be sent."""
    journal = tmp_path / "journal"
    arguments = [json.dumps(images), str(journal)]
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    quarantined = dict(line.split() for line in done.stdout.splitlines())
    written = journal.read_text().split() if journal.exists() else []
    assert len(written) == len(set(written)), "an image was done twice"
    return done.returncode, quarantined, set(written) - set(quarantined)


def test_neighbours_of_an_image_that_crashes_its_worker_are_done(tmp_path):
    assert guard(tmp_path, a="good", b="crash", c="good") == (0, {"b": "WorkerCrashed"}, {"a", "c"})


def test_an_image_that_crashes_beside_others_alone_is_done_when_it_is_alone(tmp_path):
    assert guard(tmp_path, a="good", b="crash-beside-others", c="good") == (0, {}, {"a", "b", "c"})


def test_an_image_that_hangs_is_given_up_after_its_time(tmp_path):
    assert guard(tmp_path, a="hang", b="good") == (0, {"a": "TimeLimitExceeded"}, {"b"})


def test_a_worker_that_leaves_with_success_in_the_middle_of_an_image_is_not_believed(tmp_path):
    assert guard(tmp_path, a="good", b="leave", c="good") == (0, {"b": "WorkerCrashed"}, {"a", "c"})


def test_many_bad_images_among_good_ones_are_all_found(tmp_path):
    images = {f"i{number:02d}": "crash" if number % 2 else "good" for number in range(20)}
    code, quarantined, done = guard(tmp_path, **images)
    assert code == 0
    assert set(quarantined) == {name for name, kind in images.items() if kind == "crash"}
    assert set(quarantined) | done == set(images)


def test_where_every_image_crashes_the_node_is_at_fault_and_the_task_fails(tmp_path):
    code, quarantined, done = guard(tmp_path, **{f"i{number:02d}": "crash" for number in range(20)})
    assert code == 70
    assert quarantined == {"journal": "left"}
    assert done == set()


def test_workers_that_die_between_images_are_replaced_a_few_times_only(tmp_path):
    assert guard(tmp_path, a="good", b="die-after", c="good") == (70, {"journal": "left"}, {"a"})


def test_a_full_disk_is_no_fault_of_the_image_in_hand_and_the_journal_is_sent(tmp_path):
    code, said, done = guard(tmp_path, a="good", b="full", c="good")
    assert (code, said, done) == (73, {"journal": "left"}, {"a"})


def test_the_journal_is_sent_where_storage_did_not_answer_so_that_the_next_attempt_suspects_no_image(tmp_path):
    assert guard(tmp_path, a="good", b="no-storage")[:2] == (69, {"journal": "left"})
