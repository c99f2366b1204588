import threading

import pytest

from batchimg.parallel import AHEAD, in_parallel


def test_every_item_is_worked_on_once():
    assert sorted(in_parallel(lambda item: item * 2, range(500), 8)) == [item * 2 for item in range(500)]


def test_only_a_few_items_are_taken_ahead_of_the_work():
    taken, free = [], threading.Event()

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    def work(item):
        free.wait(10)
        return item

    results = in_parallel(work, items(), 2)
    starter = threading.Timer(0.2, free.set)
    starter.start()
    next(results)
    starter.join()
    assert len(taken) <= 2 * AHEAD + 1
    results.close()


def test_the_first_failure_stops_the_rest():
    seen = []

    def work(item):
        seen.append(item)
        if item == 3:
            raise RuntimeError("three")
        return item

    with pytest.raises(RuntimeError, match="three"):
        list(in_parallel(work, range(10_000), 2))
    assert len(seen) < 100
