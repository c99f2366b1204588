"""A few seeds of `make chaos`, with fewer images: workers and a client killed, storage busy, a node lost."""

from dataclasses import replace

import pytest

from batchimg_worker.storage import BlobStore
from chaos.doors import Rule
from chaos.faults import storage
from chaos.plan import Plan, plan_of
from chaos.play import calm_run
from chaos.run import play_out
from chaos.world import a_world

IMAGES = 4
TASKS_KILLED, CLIENT_KILLED, STORAGE_BUSY = 42, 65, 85


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with a_world(tmp_path_factory.mktemp("chaos") / "world") as made:
        yield made


@pytest.fixture(scope="module")
def calm(world):
    return calm_run(world, IMAGES)


def test_storage_that_says_too_many_requests_is_asked_again(world):
    rule = world.storage_door.rule(Rule(storage.refuse(429), "HEAD"))
    store = BlobStore(world.addresses()["storage_endpoint"], world.key)
    assert store.container("runs").stat("nothing") is None
    assert rule.fired == 1
    store.close()
    world.calm()


def small(seed: int, kind: str) -> Plan:
    plan = plan_of(seed)
    assert plan.kind == kind
    return replace(plan, images=IMAGES, chunk_images=IMAGES + 1)


def test_a_chunk_whose_task_is_killed_twice_in_its_midst_is_done_by_the_third(world, calm):
    plan = small(TASKS_KILLED, "worker killed")
    assert (plan.fields["whom"], plan.fields["count"], plan.stage.name) == ("task", 2, "put")
    ended, _ = play_out(world, calm, plan)
    assert (ended.breaches, ended.strikes) == ((), 2)


def test_a_client_killed_before_its_last_call_while_storage_is_busy_and_a_node_is_lost(world, calm):
    plan, weather = small(CLIENT_KILLED, "client killed in submit"), plan_of(STORAGE_BUSY)
    assert (plan.stage.name, plan.stage.when, weather.fields["status"]) == ("end of adding", "before", 429)
    storage.arm(world, weather.fields)
    ended, _ = play_out(world, calm, plan)
    assert ended.breaches == ()
    assert ended.strikes >= 3
