"""The formula that the pool scales by, evaluated by the emulator's evaluator over load curves."""

import pytest

from batch_emulator.autoscale.evaluator import read

from autoscale_curves import LOADS, MAX_DEDICATED, MAX_SPOT, ROOT, Load, picture, simulate
from programs import graph_of

EVALUATION_MINUTES, START_MINUTES = 5, 3


def test_the_picture_shows_the_formula_of_today():
    assert (ROOT / "docs" / "pictures" / "autoscale.svg").read_text() == picture(), "run `make graphs`"


def test_azure_would_take_the_formula():
    scale = graph_of("dev").one("batch:Pool").inputs["scaleSettings"]["autoScale"]
    assert len(scale["formula"].encode()) < 8192
    assert len(read(scale["formula"])) < 100
    assert scale["evaluationInterval"] == "PT5M"


@pytest.mark.parametrize("name", LOADS)
def test_all_is_done_and_no_node_stays(name):
    *_, last = simulate(LOADS[name])
    assert (last.pending, last.spot, last.dedicated) == (0, 0, 0)


def test_idle_costs_nothing():
    assert max(moment.spot + moment.dedicated for moment in simulate(LOADS["idle"])) == 0


def test_a_burst_gets_all_spot_nodes_within_two_evaluations_and_no_dedicated_one():
    moments = list(simulate(LOADS["burst"]))
    full = next(moment.minute for moment in moments if moment.spot == MAX_SPOT)
    assert full <= 20 + EVALUATION_MINUTES + START_MINUTES + 1
    assert max(moment.dedicated for moment in moments) == 0


def test_a_trickle_gets_one_spot_node():
    moments = list(simulate(LOADS["trickle"]))
    assert max(moment.spot for moment in moments) == 1
    assert max(moment.dedicated for moment in moments) == 0


def test_nodes_go_within_ten_minutes_of_the_last_task():
    moments = list(simulate(LOADS["burst"]))
    done = max(moment.minute for moment in moments if moment.pending)
    assert max(moment.minute for moment in moments if moment.spot) <= done + 10


def test_where_spot_never_comes_dedicated_nodes_do_the_work():
    moments = list(simulate(LOADS["Spot drought"]))
    assert max(moment.dedicated for moment in moments) == MAX_DEDICATED
    first = next(moment.minute for moment in moments if moment.dedicated)
    assert 20 + 15 <= first <= 20 + 15 + 2 * EVALUATION_MINUTES + START_MINUTES


def test_where_spot_is_taken_away_dedicated_nodes_step_in_and_go_again():
    moments = list(simulate(LOADS["Spot taken away"]))
    assert max(moment.dedicated for moment in moments if moment.minute < 40) == 0
    assert max(moment.dedicated for moment in moments if moment.minute >= 45) == MAX_DEDICATED


def test_dedicated_nodes_go_when_spot_is_back():
    back = Load(lambda minute: 600 if minute == 20 else 0, available=lambda minute: 0 if minute < 60 else 1000)
    moments = list(simulate(back))
    assert max(moment.dedicated for moment in moments if moment.minute < 60) == MAX_DEDICATED
    assert max(moment.dedicated for moment in moments if moment.minute > 90) == 0


def test_never_more_nodes_than_the_stack_allows():
    for load in LOADS.values():
        assert all(m.targets.low_priority <= MAX_SPOT and m.targets.dedicated <= MAX_DEDICATED for m in simulate(load))


def test_without_spot_dedicated_nodes_follow_the_load():
    moments = list(simulate(LOADS["burst"], max_spot=0, max_dedicated=3))
    assert next(moment.minute for moment in moments if moment.dedicated) <= 20 + EVALUATION_MINUTES + START_MINUTES + 1
    assert (moments[-1].dedicated, moments[-1].pending) == (0, 0)
