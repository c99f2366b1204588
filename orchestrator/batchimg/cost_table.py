"""How plans' prices, costs and price tables are shown: as tables for people, as plain values for machines."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from batchimg.tables import facts
from batchimg.words import count, duration, money, size

if TYPE_CHECKING:
    from batchimg.cost import RunCost
    from batchimg.estimate import Estimate, Fleet
    from batchimg.prices import PriceTable
    from batchimg.span import Span

Rows = Iterator[tuple[str, object]]


def estimate_values(estimated: "Estimate | str", table: "PriceTable") -> dict[str, Any]:
    """What a plan takes and costs, for machines: seconds, bytes, USD."""
    if isinstance(estimated, str):
        return {"known": False, "reason": estimated}
    speed, fleet = estimated.speed, estimated.fleet
    return {
        "known": True,
        "seconds_an_image": asdict(estimated.seconds_an_image),
        "seconds_from": speed.source,
        "tried": speed.tried,
        "failed": dict(speed.failed),
        "canary": estimated.canary,
        "peak_memory_bytes": speed.peak or None,
        "wall_seconds": asdict(estimated.wall_seconds),
        "nodes": estimated.nodes,
        "node_hours": asdict(estimated.node_hours),
        **_fleet_values(fleet),
        "bytes_out": estimated.bytes_out,
        "vm": asdict(estimated.vm),
        "transactions": estimated.transactions,
        "writes": estimated.writes,
        "reads": estimated.reads,
        "storage_month": estimated.storage,
        "total": asdict(estimated.total),
        "enough": estimated.enough,
        "prices": _table_values(table),
    }


def estimate_rows(estimated: "Estimate | str", table: "PriceTable") -> Rows:
    """The same for people, as lines of a plan."""
    if isinstance(estimated, str):
        yield "Price", Text(f"none: {estimated}", "yellow")
        return
    speed, fleet, wall = estimated.speed, estimated.fleet, estimated.wall_seconds
    an_image = estimated.seconds_an_image
    yield "An image", f"{_seconds(an_image)} of one core ({speed.source})"
    if speed.failed:
        failed = ", ".join(f"{number} {cause}" for cause, number in speed.failed.items())
        yield "Failed", Text(f"{failed} of {count(speed.tried, 'image')} tried", "red")
    if estimated.canary:
        yield "Canary", f"{count(estimated.canary, 'image')} before the rest, which is cut by what they took"
    yield (
        "Time",
        f"about {duration(wall.expected)} ({duration(wall.low)} to {duration(wall.high)}), node start included",
    )
    yield "Nodes", f"{_nodes(fleet, estimated.nodes)}; {estimated.node_hours.expected:,.2f} node-hours"
    yield "VM", _prices(estimated.vm)
    operations = f"{estimated.writes:,} writes, {estimated.reads:,} reads"
    yield "Transactions", f"{money(estimated.transactions)} ({operations})"
    kept = size(estimated.work.size + estimated.bytes_out)
    yield "Storage", f"{money(estimated.storage)} a month for {kept} of originals and pictures"
    yield "Price", Text(_prices(estimated.total), "bold")
    if fleet.is_local:
        yield "", f"on this machine nothing; this is what it would be in Azure, on {fleet.vm.size}"
    yield "Prices", _table_text(table)


def cost_values(cost: "RunCost", table: "PriceTable") -> dict[str, Any]:
    """What a run has cost, for machines."""
    usage = cost.usage
    return {
        "run": cost.run,
        "runs": list(cost.runs),
        "images": cost.images,
        "done": cost.done,
        "is_local": cost.is_local,
        "paid": 0.0 if cost.is_local else None,
        **_fleet_values(cost.fleet),
        "node_seconds": {**asdict(usage), "seen": usage.seen},
        "vm": asdict(cost.vm),
        "transactions": cost.transactions,
        "storage_month": cost.storage_month,
        "price": asdict(cost.price),
        "price_per_thousand": asdict(cost.per_thousand) if cost.per_thousand else None,
        "unknown": list(cost.unknown),
        "prices": _table_values(table),
    }


def cost_table(cost: "RunCost", table: "PriceTable") -> Table:
    """The same for people."""
    return facts(*_cost_rows(cost, table))


def _cost_rows(cost: "RunCost", table: "PriceTable") -> Rows:
    usage, vm = cost.usage, cost.fleet.vm
    yield "Run", ", with its canary ".join(cost.runs)
    yield "Images", f"{cost.done:,} done of {cost.images:,}"
    yield "Busy", f"{duration(usage.busy)} of nodes with {count(cost.fleet.slots, 'slot')}"
    yield "Idle", "not counted on this machine" if cost.is_local else duration(usage.idle)
    yield "Wasted", f"{duration(usage.wasted)} at most, in attempts that were repeated or lost"
    if usage.extra:
        yield "Coming, going", f"{duration(usage.extra)} before first and after last tasks"
    yield "VM", f"{_prices(cost.vm)}, on {vm.size} at {money(vm.spot)} (Spot) to {money(vm.dedicated)} an hour"
    yield "Transactions", money(cost.transactions)
    yield "Storage", f"{money(cost.storage_month)} a month while originals and pictures are kept"
    if cost.is_local:
        yield "Price", Text("nothing: it ran on this machine", "green")
        yield "In Azure", Text(f"{_prices(cost.price)}, without nodes that come and go", "bold")
    else:
        yield "Price", Text(_prices(cost.price), "bold")
    if cost.per_thousand is not None:
        yield "A thousand", _prices(cost.per_thousand)
    for sentence in cost.unknown:
        yield "Not known", Text(sentence, "yellow")
    yield "Prices", _table_text(table)


def prices_values(table: "PriceTable", fleet: "Fleet | str") -> dict[str, Any]:
    """A price table for machines."""
    node = {"reason": fleet} if isinstance(fleet, str) else _fleet_values(fleet)
    return {**_table_values(table), **table.model_dump(mode="json"), "node": node}


def prices_tables(table: "PriceTable", fleet: "Fleet | str") -> Iterator[Table | Text]:
    """A price table for people; the configured node first."""
    yield Text(_table_text(table).plain, "bold")
    if isinstance(fleet, str):
        yield Text(f"Your node has no price: {fleet}", "yellow")
    else:
        vm = fleet.vm
        yield Text(f"Your nodes: {vm.size}, {money(vm.dedicated)} an hour, Spot {money(vm.spot)}; {_fleet_text(fleet)}")
    sizes = Table(box=box.SIMPLE_HEAD)
    sizes.add_column("Size, * vCPUs")
    for name in ("USD a vCPU-hour", "Spot", "GiB a vCPU"):
        sizes.add_column(name, justify="right")
    for one in table.family:
        spot = one.vcpu_hour * table.spot_share if one.spot_vcpu_hour is None else one.spot_vcpu_hour
        sizes.add_row(one.size, f"{one.vcpu_hour:.4f}", f"{spot:.4f}", f"{one.vcpu_gib:g}")
    yield sizes
    storage, standing = table.storage, table.standing
    yield facts(
        ("Storage", f"{storage.gb_month} USD a GB and month"),
        ("Operations", f"{storage.write_10k} USD for 10,000 writes, {storage.read_10k} for 10,000 reads"),
        ("Registry", f"{money(standing.registry)} a month"),
        ("NAT gateway", f"{money(standing.nat_gateway)} a month"),
        ("Private endpoint", f"{money(standing.private_endpoint)} a month each"),
    )


def _fleet_values(fleet: "Fleet") -> dict[str, Any]:
    return {
        "vm_size": fleet.vm.size,
        "vm_hour": {"spot": fleet.vm.spot, "dedicated": fleet.vm.dedicated},
        "slots": fleet.slots,
        "most_nodes": {"spot": fleet.spot, "dedicated": fleet.dedicated},
        "fleet_assumed": fleet.assumed,
        "is_local": fleet.is_local,
    }


def _fleet_text(fleet: "Fleet") -> str:
    assumed = ", as pulumi/ makes it" if fleet.assumed else ""
    return f"at most {fleet.spot} Spot and {fleet.dedicated} dedicated with {count(fleet.slots, 'slot')} each{assumed}"


def _nodes(fleet: "Fleet", nodes: int) -> str:
    return f"{nodes} of {fleet.vm.size} ({_fleet_text(fleet)})"


def _prices(span: "Span") -> str:
    if span.low == span.high:
        return money(span.expected)
    return f"{money(span.expected)} expected, {money(span.low)} to {money(span.high)}"


def _seconds(span: "Span") -> str:
    if span.low == span.high:
        return f"{span.expected:.3g} s"
    return f"{span.expected:.3g} s ({span.low:.2g} to {span.high:.2g})"


def _table_values(table: "PriceTable") -> dict[str, Any]:
    return {
        "date": table.date.isoformat(),
        "region": table.region,
        "source": table.source,
        "old": table.is_old(datetime.now(UTC).date()),
    }


def _table_text(table: "PriceTable") -> Text:
    text = Text(f"list prices of {table.region}, {table.date} ({table.source})")
    if table.is_old(datetime.now(UTC).date()):
        text.append("; they are older than half a year: give newer ones with the setting prices", "yellow")
    return text
