"""The price table: sizes that a pool may have, its age, a table of the user's own."""

import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from batchimg.errors import SettingsError
from batchimg.prices import BUILT_IN, DEFAULT_SIZE, OLD_DAYS, load_prices

PULUMI = Path(__file__).resolve().parents[3] / "pulumi"


def test_every_family_of_the_built_in_table_has_a_price_by_its_sizes_names():
    table = load_prices()
    for family in table.family:
        vm = table.vm(family.size.replace("*", "8"))
        assert vm is not None
        assert (vm.vcpus, vm.memory_gib) == (8, 8 * family.vcpu_gib)
        assert vm.dedicated == pytest.approx(8 * family.vcpu_hour)
        assert 0 < vm.spot < vm.dedicated


def test_the_size_that_pulumi_makes_by_default_has_a_price():
    assert f"default: {DEFAULT_SIZE}" in (PULUMI / "Pulumi.yaml").read_text()
    assert load_prices().vm(DEFAULT_SIZE).vcpus == 4


def test_sizes_that_pulumi_takes_are_those_with_a_disk_in_the_table(monkeypatch):
    monkeypatch.syspath_prepend(str(PULUMI))
    from vm_sizes import vcpus

    sizes = [family.size.replace("*", "4") for family in load_prices().family]
    assert sum(_takes(vcpus, size) for size in sizes) == 20
    sys.modules.pop("vm_sizes", None)


def _takes(vcpus, size: str) -> bool:
    try:
        return vcpus(size) == 4
    except ValueError:
        return False


@pytest.mark.parametrize("size", ["standard_d4ads_v5", "STANDARD_D4ADS_V5", "Standard_D4ads_v5"])
def test_a_size_is_found_however_its_name_is_written(size):
    assert load_prices().vm(size).dedicated == pytest.approx(0.25)


def test_a_constrained_size_costs_as_much_as_the_whole_one():
    table = load_prices()
    assert table.vm("Standard_E8-4ads_v5").dedicated == table.vm("Standard_E8ads_v5").dedicated


def test_a_size_that_the_table_does_not_have_has_the_price_that_is_given_or_none():
    table = load_prices()
    assert table.vm("Standard_M128ms") is None
    given = table.vm("Standard_M128ms", 10.0)
    assert (given.dedicated, given.spot, given.memory_gib) == (10.0, 2.0, None)


def test_a_table_is_old_after_half_a_year():
    table = load_prices()
    assert not table.is_old(table.date + timedelta(days=OLD_DAYS))
    assert table.is_old(table.date + timedelta(days=OLD_DAYS + 1))


def test_a_table_of_the_users_own_may_name_one_size_and_its_spot_price(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(
        'date = 2030-01-01\nregion = "here"\nsource = "an offer"\nspot_share = 0.5\n'
        "[storage]\ngb_month = 1\nwrite_10k = 2\nread_10k = 3\n"
        '[[family]]\nsize = "Standard_Own1"\nvcpu_hour = 1\nvcpu_gib = 2\nspot_vcpu_hour = 0.1\n'
    )
    table = load_prices(file)
    assert table.date == date(2030, 1, 1)
    assert (table.vm("standard_own1").dedicated, table.vm("standard_own1").spot) == (1.0, 0.1)
    assert table.storage.operations(10_000, 20_000) == 8.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("date = 1\n", "date"),
        (BUILT_IN.read_text().replace("gb_month", "gb_mouth"), "storage"),
        ("no table", "is not TOML"),
        (None, "cannot read"),
    ],
)
def test_a_wrong_table_is_refused_with_what_is_wrong(tmp_path, text, named):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=named) as wrong:
        load_prices(file)
    assert str(BUILT_IN) in wrong.value.hint
