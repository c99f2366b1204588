"""What a run would cost, may cost and has cost; and a canary before a large one, as a user types them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchimg.batch import Batch
from batchimg.cost import run_cost
from batchimg.errors import RunFailed
from batchimg.events import Progressed
from batchimg.plan import is_canary
from batchimg.retry import Wanted, plan_retry
from batchimg.runs import find_run
from batchimg.settings import Settings
from batchimg_worker.blob_names import result_path, run_path

from command_line import Command, slowly
from in_process import ended, placed, rows_of, runs_of
from made_images import noise
from rehearsal import SPOT, rehearsing

RECIPE = ("--op", "flip=horizontal")


def test_a_plan_tells_time_and_price_and_touches_nothing(tmp_path):
    alone = Command(tmp_path / "nobody")
    alone.home.mkdir()
    folder = noise(tmp_path / "planned", 24, side=32)
    (folder / "0012.png").write_bytes(b"no image")
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    values = json.loads(alone("submit", "--dataset", folder, *RECIPE, "--plan", "--json").stdout)
    cost = values["cost"]
    assert (values["images"], cost["tried"], cost["is_local"], cost["vm_size"]) == (24, 20, True, "Standard_D4ads_v5")
    assert "tried on this machine" in cost["seconds_from"]
    for name in ("seconds_an_image", "wall_seconds", "node_hours", "vm", "total"):
        assert 0 < cost[name]["low"] <= cost[name]["expected"] <= cost[name]["high"]
    parts = cost["vm"]["expected"] + cost["transactions"] + cost["storage_month"]
    assert cost["total"]["expected"] == pytest.approx(parts)
    most = ("--plan", "--max-cost", 1)
    told = alone("submit", "--dataset", folder, *RECIPE, *most, BATCHIMG_EXPECTED_SECONDS="36000")
    assert "expected_seconds" in told.stdout
    assert "list prices of westeurope" in " ".join(told.stdout.split())
    assert "Without --plan it would be refused: this run is expected to cost $" in told.stderr
    assert list(alone.home.iterdir()) == []
    assert before == {file: file.stat().st_mtime_ns for file in folder.iterdir()}


@pytest.fixture(scope="module")
def birds(batchimg, services, tmp_path_factory):
    """A folder with one bad image, submitted twice: for too little money, then with a canary and what is enough."""
    folder = noise(tmp_path_factory.mktemp("money") / "birds", 30, side=24)
    (folder / "broken.png").write_bytes(b"no image")
    known = {"BATCHIMG_EXPECTED_SECONDS": "0.01"}
    refused = batchimg("submit", "--dataset", folder, *RECIPE, "--max-cost", "0.001", expect=2, **known).stderr
    assert runs_of(services, "birds") == []
    enough = refused.split("--max-cost ")[2].split(" would be enough")[0]
    options = ("--canary", 8, "--max-cost", enough, "--wait", "--json")
    return folder, batchimg("submit", "--dataset", folder, *RECIPE, *options, expect=1, **known)


@pytest.mark.usefixtures("birds")
def test_a_run_with_a_maximum_has_a_wall_clock_from_its_beginning(services):
    for run in runs_of(services, "birds"):
        limit = services.batch.look.jobs(run)[0].limit
        assert 0.05 < limit.total_seconds() / 3600 < 168


def test_a_canary_goes_before_a_large_run_and_no_image_is_done_twice(services, birds):
    folder, done = birds
    final = json.loads(done.stdout.strip().splitlines()[-1])
    assert "Canary birds-canary-" in done.stderr
    assert "of a core" in done.stderr
    main, first = runs_of(services, "birds")
    assert (main, is_canary(first), final["images"]) == (final["run"], True, 31 - 8)
    rows = rows_of(services, main)
    assert sorted(row["path"] for row in rows) == sorted(file.name for file in folder.iterdir())
    assert sum(row["run"] == first for row in rows) == 8
    again = placed(services, folder, canary=8)
    assert (again.ended, again.known, again.spec.run) == (True, 31, main)
    assert runs_of(services, "birds") == [main, first]
    retry = plan_retry(services, find_run(services, first), Wanted())
    assert (retry.name, len(retry.plan.dataset), retry.plan.known) == ("birds-r1", 1, 30)


@pytest.mark.usefixtures("birds")
def test_the_cost_of_a_run_counts_its_canary_and_is_nothing_on_this_machine(batchimg, services):
    main, first = runs_of(services, "birds")
    values = json.loads(batchimg("cost", main, "--vm-size", "Standard_E32ads_v5", "--json").stdout)
    assert (values["runs"], values["images"], values["done"]) == ([main, first], 31, 30)
    assert (values["is_local"], values["paid"]) == (True, 0.0)
    assert values["vm_hour"]["dedicated"] == pytest.approx(32 * 0.079)
    assert 0 < values["price"]["low"] <= values["price"]["expected"] <= values["price"]["high"]
    assert values["price_per_thousand"]["expected"] == pytest.approx(values["price"]["expected"] * 1000 / 30)


def test_a_canary_that_was_left_is_gone_on_with_and_a_bad_one_stops_all_until_it_is_mended(services, tmp_path):
    folder = noise(tmp_path / "ill", 20, side=24)
    whole = {file: file.read_bytes() for file in folder.iterdir()}
    for file in sorted(whole)[::2]:
        file.write_bytes(b"no image")

    def leave(event):
        if isinstance(event, Progressed) and event.stage == "submit":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        placed(services, folder, canary=4, observer=leave)
    with pytest.raises(RunFailed, match=r"DecodeError.*the limit is 20 %") as stopped:
        placed(services, folder, canary=4)
    (first,) = runs_of(services, "ill")
    assert f"batchimg failures {first}" in stopped.value.hint
    for file, content in whole.items():
        file.write_bytes(content)
    main = placed(services, folder, canary=4).spec
    assert (main.parent, ended(services, main).all_done) == (first, True)
    rows = rows_of(services, main.run)
    assert (len(rows), {row["status"] for row in rows}) == (20, {"done"})
    assert sum(row["run"] == first for row in rows) == 2


def test_a_run_that_is_watched_is_ended_where_too_much_of_it_fails(batchimg, services, tmp_path):
    folder = noise(tmp_path / "watched", 24, side=24)
    for file in sorted(folder.iterdir())[:3]:
        file.write_bytes(b"no image")
    command = (
        "submit",
        "--dataset",
        folder,
        *slowly(tmp_path / "gate"),
        "--chunk-images",
        3,
        "--wait",
        "--max-failures",
        2,
    )
    assert "--max-failures is 2" in batchimg(*command, expect=1).stderr
    (run,) = runs_of(services, "watched")
    rows = rows_of(services, run)
    assert {row["status"] for row in rows} >= {"failed", "lost"}
    assert len(rows) == 24


def test_an_attempt_that_was_repeated_is_wasted_but_for_its_records(services):
    golden = Path(__file__).parents[1] / "contract" / "golden"
    run = "wasted-0123456789"
    spec = json.loads((golden / "run-v1.json").read_text()) | {"run": run, "chunks": 1}
    services.runs.write(run_path(run), json.dumps(spec).encode())
    beat = json.loads((golden / "heartbeat-v1-attempt.json").read_text()) | {"state": "finished", "node": "node-2"}
    beat |= {"started": "2026-11-21T03:07:55.123456Z", "updated": "2026-11-21T03:08:35.123456Z"}
    content = (golden / "result-v1-attempts.jsonl").read_bytes()
    services.runs.write(result_path(run, 0), content, metadata={"heartbeat": json.dumps(beat)})
    found = run_cost(services, find_run(services, run))
    for blob in list(services.runs.list(f"{run}/")):
        services.runs.delete(blob.path)
    assert found.usage.wasted * found.fleet.slots == pytest.approx(120 - 0.9)
    assert found.usage.busy * found.fleet.slots == pytest.approx(40 + 0.9)


def test_the_cost_of_a_run_is_known_better_while_its_nodes_are_there(batchimg, services, tmp_path):
    folder = noise(tmp_path / "azure", 4, side=24)
    with rehearsing(batchimg.stack()["stack"]) as rehearsal:
        there = {**rehearsal.environment, "BATCHIMG_POOL": SPOT}
        settings = {name.removeprefix("BATCHIMG_").lower(): value for name, value in there.items()}
        batch = Batch(rehearsal.url, rehearsal.account, rehearsal.key)
        azure = replace(services, batch=batch, settings=Settings(**settings), is_local=False)
        spec = placed(azure, folder, **settings).spec
        assert ended(azure, spec).all_done
        known = run_cost(azure, spec)
        gone = run_cost(replace(azure, settings=azure.settings.model_copy(update={"pool": "gone"})), spec)
        batch.close()
    fleet, usage = known.fleet, known.usage
    assert (fleet.vm.size, fleet.slots, fleet.spot, fleet.dedicated) == ("standard_d2s_v5", 1, 2, 0)
    assert (usage.spot, usage.dedicated) == (usage.nodes, 0)
    assert not any("have gone" in sentence for sentence in known.unknown)
    assert any("have gone" in sentence for sentence in gone.unknown)
    assert any("taken to be Standard_D4ads_v5" in sentence for sentence in gone.unknown)
    assert 0 < usage.busy == pytest.approx(gone.usage.busy * 4)
    for cost in (known, gone):
        assert 0 < cost.price.low <= cost.price.expected <= cost.price.high
