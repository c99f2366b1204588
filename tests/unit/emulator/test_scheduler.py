def test_tasks_start_in_the_order_in_which_they_were_added(world):
    world.pool(slots=1)
    world.job()
    for name in ("b", "a", "c"):
        world.task(name)
    for name in ("b", "a", "c"):
        world.settle()
        assert world.running() == [name]
        world.end(name)


def test_slots_are_never_overcommitted(world):
    pool = world.pool(nodes=2, slots=3)
    world.job()
    for number in range(20):
        world.task(str(number), requiredSlots=2 if number % 2 else 1)
    world.settle()
    while world.running():
        for node in pool.nodes.values():
            assert 0 <= node.free_slots <= 3
            assert node.free_slots == 3 - sum(task.required_slots for task in node.running)
        world.end(world.running()[0])
    assert world.account.jobs["j"].counts.succeeded == 20


def test_a_small_task_passes_one_that_does_not_fit(world):
    world.pool(slots=2)
    world.job()
    world.task("one")
    world.task("two", requiredSlots=2)
    world.task("three")
    world.settle()
    assert world.running() == ["one", "three"]


def test_a_task_larger_than_any_node_waits_for_ever_without_blocking_others(world):
    world.pool(slots=2)
    job = world.job()
    world.task("huge", requiredSlots=3)
    world.task("small")
    world.settle()
    assert world.running() == ["small"]
    world.end("small")
    assert job.counts.active == 1


def test_spread_uses_all_nodes_and_pack_fills_one(world):
    spread = world.pool("spread", nodes=2, slots=2)
    pack = world.pool("pack", nodes=2, slots=2, taskSchedulingPolicy={"nodeFillType": "Pack"})
    for pool in ("spread", "pack"):
        world.job(pool, pool)
        world.task("a", pool)
        world.task("b", pool)
    world.settle()
    assert sorted(len(node.running) for node in spread.nodes.values()) == [1, 1]
    assert sorted(len(node.running) for node in pack.nodes.values()) == [0, 2]


def test_the_job_of_higher_priority_goes_first(world):
    world.pool(slots=1)
    world.job("low")
    world.job("high", priority=5)
    world.task("l", "low")
    world.task("h", "high")
    world.settle()
    assert world.running() == ["h"]


def test_max_parallel_tasks_holds_a_job_back(world):
    world.pool(slots=4)
    world.job(maxParallelTasks=2)
    world.job("other")
    for name in "abc":
        world.task(name)
    world.task("o", "other")
    world.settle()
    assert world.running() == ["a", "b", "o"]
    world.end("a")
    assert world.running() == ["b", "c", "o"]


def test_many_short_tasks_all_run_although_a_turn_starts_few(world):
    world.pool(slots=100)
    world.job()
    for number in range(100):
        world.task(str(number))
    world.settle()
    assert len(world.running()) == 100


def test_a_job_whose_pool_comes_later_waits_for_it(world):
    world.job()
    world.task("a")
    world.settle(10)
    assert world.running() == []
    world.pool()
    assert world.running() == ["a"]
