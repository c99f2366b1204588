import asyncio
import time

import pytest

from batch_emulator.clock import TICKS_PER_SECOND, ManualClock, RealClock


def test_scaled_time_runs_faster_and_never_backwards():
    clock = RealClock(3600)
    first, real = clock.ticks(), time.monotonic()
    while time.monotonic() - real < 0.01:
        pass
    passed = (clock.ticks() - first) / TICKS_PER_SECOND
    assert 36 <= passed < 3600
    later = clock.ticks() + 1000 * TICKS_PER_SECOND
    clock.not_before(later)
    assert clock.ticks() >= later
    clock.not_before(0)
    assert clock.ticks() >= later


def test_timers_are_scaled_but_those_of_processes_are_not():
    async def run():
        clock, loop = RealClock(1000), asyncio.get_running_loop()
        start, done = loop.time(), loop.create_future()
        clock.call_later(20, lambda: done.set_result(loop.time() - start))
        early = clock.call_later_real(20, lambda: done.set_exception(AssertionError("too early")))
        took = await done
        early.cancel()
        return took

    assert 0.02 <= asyncio.run(run()) < 5


@pytest.mark.parametrize("scale", [0, -1, 1e9, float("nan")])
def test_senseless_scales_are_refused(scale):
    with pytest.raises(ValueError, match="time scale"):
        RealClock(scale)


def test_unscaled_time_is_the_machines():
    assert abs(RealClock().ticks() - RealClock().ticks()) < TICKS_PER_SECOND


def test_manual_time_jumps_only_ahead():
    clock = ManualClock()
    now = clock.ticks()
    clock.not_before(now - 100)
    assert clock.ticks() > now
    clock.not_before(now + 100)
    assert clock.ticks() > now + 100
