"""Node-seconds of a run and what they are worth, from the times of its tasks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from batchimg.cost import Turn, priced, used
from batchimg.estimate import START_SECONDS, TAIL_SECONDS, Fleet
from batchimg.prices import VmPrice
from batchimg.seen import NodeAge

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FLEET = Fleet(VmPrice("Standard_D4ads_v5", 4, 16.0, 0.25, 0.05), 2, 4, 1)


def turn(node: str, began: float, ended: float, wasted: float = 0.0) -> Turn:
    return Turn(node, BEGAN + timedelta(seconds=began), BEGAN + timedelta(seconds=ended), wasted)


def test_slots_that_are_taken_are_busy_and_the_others_idle():
    found = used([turn("a", 0, 100), turn("a", 50, 100), turn("b", 0, 40)], FLEET, {})
    assert (found.nodes, found.busy, found.idle, found.wasted) == (2, 95.0, 45.0, 0.0)
    assert found.seen == 140.0


def test_what_made_no_record_is_wasted_and_not_busy():
    found = used([turn("a", 0, 100, wasted=100), turn("a", 100, 200)], FLEET, {})
    assert (found.busy, found.wasted, found.idle) == (50.0, 50.0, 100.0)


def test_nodes_that_are_there_tell_when_they_came_and_of_which_kind_they_are():
    turns = [turn("a", 300, 400), turn("b", 300, 400)]
    ages = {"a": NodeAge("a", dedicated=True, since=BEGAN)}
    found = used(turns, FLEET, ages)
    assert (found.spot, found.dedicated) == (0, 1)
    assert found.extra == 300 + START_SECONDS.expected + 2 * TAIL_SECONDS
    all_there = used(turns, FLEET, {**ages, "b": NodeAge("b", dedicated=True, since=BEGAN)})
    assert priced(all_there, FLEET).low == pytest.approx(200 * 0.25 / 3600)


def test_the_price_of_nodes_that_have_gone_goes_from_spot_to_dedicated():
    found = used([turn("a", 0, 3600)], FLEET, {})
    price = priced(found, FLEET)
    assert price.low == pytest.approx(0.05)
    assert price.expected == pytest.approx((3600 + found.extra) * 0.05 / 3600)
    assert price.high == pytest.approx((3600 + found.extra) * 0.25 / 3600)
    only = priced(found, replace(FLEET, spot=0))
    assert only.expected == only.high


def test_on_a_laptop_slots_are_put_onto_full_nodes():
    found = used([turn("a", 0, 100), turn("b", 500, 600)], replace(FLEET, is_local=True), {})
    assert (found.busy, found.idle, found.extra) == (100.0, 0.0, 0.0)


def test_a_run_without_tasks_costs_nothing():
    found = used([], FLEET, {})
    assert (found.seen, priced(found, FLEET).high) == (0.0, 0.0)
