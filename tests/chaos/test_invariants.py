"""Every invariant fails in a world in which it is broken, and none does in a whole one."""

from dataclasses import replace

import pytest

from chaos.invariants import INVARIANTS, Evidence, breaches
from chaos.plan import KINDS, ROUND, plan_of

ROWS = (("a.png", "done"), ("b.png", "failed"))
WHOLE = Evidence(
    expected=dict(ROWS),
    records=ROWS,
    ledger=ROWS,
    calm={"flip/a.png": "1"},
    pictures={"flip/a.png": "1"},
    done_before={"run/flip/a.png": "etag"},
    done_after={"run/flip/a.png": "etag", "run-r1/flip/c.png": "other"},
    done_by={"a.png": 1},
)
BROKEN = {
    "an image without a record": ("one_record", {"records": ROWS[:1]}),
    "an image with two records": ("one_record", {"records": (*ROWS, ROWS[0])}),
    "an image that the ledger does not have": ("one_record", {"ledger": ROWS[1:]}),
    "an image that the ledger has twice": ("one_record", {"ledger": (*ROWS, ROWS[1])}),
    "a record of nothing": ("one_record", {"ledger": (*ROWS, ("c.png", "done"))}),
    "an image that is lost": ("one_record", {"ledger": (("a.png", "lost"), ROWS[1])}),
    "a broken image that is said to be done": ("one_record", {"records": (ROWS[0], ("b.png", "done"))}),
    "a picture that is missing": ("same_pictures", {"pictures": {}}),
    "a picture that is cut off": ("same_pictures", {"pictures": {"flip/a.png": "2"}}),
    "a picture too many": ("same_pictures", {"pictures": {"flip/a.png": "1", "flip/b.png": "1"}}),
    "a picture that was made again": ("nothing_twice", {"done_after": {"run/flip/a.png": "new"}}),
    "a picture that is gone": ("nothing_twice", {"done_after": {}}),
    "an image that a retry did again": ("nothing_twice", {"done_by": {"a.png": 2}}),
    "a job that goes on": ("everything_ends", {"open_jobs": ("run",)}),
    "a worker that goes on": ("everything_ends", {"processes": ("17 batchimg-worker",)}),
    "a temporary folder": ("nothing_remains", {"files": ("node-temp/batchimg-scratch-1",)}),
    "a heartbeat": ("nothing_remains", {"blobs": ("run/heartbeats/00000",)}),
    "a traceback": ("plain_words", {"bad_words": ("submit ended with a traceback",)}),
}


def test_nothing_is_broken_in_a_whole_world():
    assert breaches(WHOLE) == []


@pytest.mark.parametrize("world", BROKEN)
def test_a_world_is_broken_by(world):
    name, changes = BROKEN[world]
    found = breaches(replace(WHOLE, **changes))
    assert len(found) == 1
    assert found[0].startswith(f"{name}: ")


def test_every_invariant_has_a_broken_world():
    assert {name for name, _ in BROKEN.values()} == {check.__name__ for check in INVARIANTS}


def test_a_seed_always_means_the_same_and_a_round_has_all_kinds():
    assert [plan_of(seed) for seed in range(60)] == [plan_of(seed) for seed in range(60)]
    assert {plan_of(seed).kind for seed in range(100, 100 + len(ROUND))} == set(KINDS)
