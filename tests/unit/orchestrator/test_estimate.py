"""What a plan takes and costs: arithmetic of speeds, fleets and prices."""

from dataclasses import replace

import pytest

from batchimg.budget import Spent, check, limited
from batchimg.chunk import work_seconds
from batchimg.connect import Services
from batchimg.errors import SettingsError
from batchimg.estimate import START_SECONDS, TAIL_SECONDS, Fleet, Workload, estimate, hours_within
from batchimg.prices import VmPrice, load_prices
from batchimg.settings import Settings
from batchimg.span import Span
from batchimg.speed import ON_NODES, Sample, fitted, given, guessed

STORAGE = load_prices().storage
VM = VmPrice("Standard_D4ads_v5", 4, 16.0, 0.25, 0.05)
FLEET = Fleet(VM, 4, 4, 1)
MANY = Workload(images=100_000, size=100_000 * 1_000_000, chunks=400, longest=160.0)


def ordered(span: Span) -> bool:
    return span.low <= span.expected <= span.high


def test_a_larger_plan_costs_more_and_every_span_is_in_order():
    speed = guessed(5, "why")
    small = estimate(replace(MANY, images=1000, size=10**9, chunks=4), speed, FLEET, STORAGE)
    large = estimate(MANY, speed, FLEET, STORAGE)
    for found in (small, large):
        assert all(map(ordered, (found.wall_seconds, found.node_hours, found.vm, found.total)))
    assert large.total.expected > small.total.expected
    assert large.wall_seconds.expected > small.wall_seconds.expected


def test_the_price_goes_from_spot_to_dedicated():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), FLEET, STORAGE)
    assert found.vm.low == pytest.approx(found.node_hours.low * VM.spot)
    assert found.vm.expected == pytest.approx(found.node_hours.expected * VM.spot)
    assert found.vm.high == pytest.approx(found.node_hours.high * VM.dedicated)
    alone = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), replace(FLEET, spot=0, dedicated=4), STORAGE)
    assert alone.vm.low == pytest.approx(alone.node_hours.low * VM.dedicated)


def test_work_is_shared_by_the_slots_of_all_nodes():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), FLEET, STORAGE)
    core_seconds = 100_000 + 400 * 3.0
    assert found.nodes == 4
    assert found.wall_seconds.expected == pytest.approx(START_SECONDS.expected + core_seconds / (16 * 0.88))
    assert found.node_hours.expected == pytest.approx(4 * (found.wall_seconds.expected + TAIL_SECONDS) / 3600)


def test_a_run_lasts_at_least_as_long_as_its_longest_task():
    one = Workload(images=1, size=32 * 10**9, chunks=1, longest=work_seconds(32 * 10**9))
    found = estimate(one, given(3600.0, one.size, 1, 1), FLEET, STORAGE)
    assert found.nodes == 1
    assert found.wall_seconds.expected > 3600 / 0.88


def test_transactions_and_storage_are_lines_of_the_price():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 5), FLEET, STORAGE)
    assert found.writes > MANY.images * 6
    assert found.reads > MANY.images
    assert found.transactions == pytest.approx(found.writes * 5e-6 + found.reads * 4e-7)
    assert found.storage == pytest.approx((MANY.size + found.bytes_out) / 1e9 * STORAGE.gb_month)
    assert found.total.expected == pytest.approx(found.vm.expected + found.transactions + found.storage)


def test_a_wall_clock_keeps_all_nodes_together_below_the_maximum():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), FLEET, STORAGE)
    hours = hours_within(50.0, found, spent=3.0)
    worst = (hours + TAIL_SECONDS / 3600) * FLEET.most_an_hour + found.transactions + found.storage + 3.0
    assert worst == pytest.approx(50.0)
    assert hours_within(found.enough, found) * 3600 >= found.wall_seconds.expected


def test_a_run_dearer_than_the_maximum_is_refused_with_what_would_be_enough():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), FLEET, STORAGE)
    assert check(found, found.enough) is found
    with pytest.raises(SettingsError) as refused:
        check(found, found.total.expected * 0.99)
    assert f"--max-cost {found.enough:.2f} would be enough" in refused.value.hint
    with pytest.raises(SettingsError, match="spent already"):
        check(found, found.enough, spent=found.enough)
    with pytest.raises(SettingsError, match="needs a price: no such size"):
        check("no such size", 1.0)


def test_a_speed_is_the_ratio_of_seconds_to_expected_work_and_its_doubt_grows_with_its_spread():
    even = [Sample(1, 10**6, 0.5, 2 * 10**6, 2, peak) for peak in (10, 30, 20)]
    speed = fitted(even, ON_NODES, "here")
    assert speed.seconds(10**9, 1000).expected == pytest.approx(500.0)
    assert (speed.bytes_out, speed.pictures, speed.peak, speed.tried) == (2.0, 2.0, 30, 3)
    assert speed.factor.high == pytest.approx(speed.factor.expected * ON_NODES.high)
    uneven = [replace(even[0], seconds=seconds) for seconds in (0.1, 0.5, 0.9)]
    doubtful = fitted(uneven, ON_NODES, "here")
    assert doubtful.factor.expected == pytest.approx(speed.factor.expected)
    assert doubtful.factor.high > 1.5 * speed.factor.high
    assert doubtful.factor.low < 0.7 * speed.factor.low
    assert fitted([], ON_NODES, "here") is None


def test_one_sample_is_doubted_by_half():
    speed = fitted([Sample(1, 10**6, 0.5, 0, 0)], Span(1, 1, 1), "here")
    assert (speed.factor.low, speed.factor.high) == pytest.approx(
        (0.5 * speed.factor.expected, 1.5 * speed.factor.expected)
    )


def test_what_a_run_has_spent_itself_shortens_its_clock_and_counts_once():
    found = estimate(MANY, given(1.0, MANY.size, MANY.images, 1), FLEET, STORAGE)
    told = []
    services = Services(None, None, Settings.model_construct(max_cost=found.enough, max_hours=168.0), is_local=False)
    whole = limited(services, found, told.append).settings.max_hours
    assert whole * 3600 >= found.wall_seconds.expected
    assert told == []
    later = limited(services, found, told.append, Spent(own=0.5)).settings.max_hours
    assert later == pytest.approx(whole - 0.5 / FLEET.most_an_hour)
    with pytest.raises(SettingsError, match="has cost"):
        limited(services, found, told.append, Spent(own=found.enough))
    assert limited(
        replace(services, settings=Settings.model_construct()), found, told.append, Spent()
    ).settings.max_hours
