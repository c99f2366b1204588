from batch_emulator.usage import INTERVAL, Usage, by_interval

STEP = INTERVAL // 60


def test_moments_are_counted_in_the_interval_where_they_fall():
    assert list(by_interval(INTERVAL - 2 * STEP, STEP, 64)) == [
        (INTERVAL - 2 * STEP, 2),
        (INTERVAL, 60),
        (2 * INTERVAL, 2),
    ]
    assert list(by_interval(INTERVAL, STEP, 1)) == [(INTERVAL, 1)]
    assert list(by_interval(0, STEP, 0)) == []


def test_a_late_look_at_the_nodes_fills_no_interval_with_more_than_they_can_use():
    usage = Usage()
    for moment, number in by_interval(0, STEP, 150):
        usage.add("p", "s", moment, number / 30)
    assert [row.core_hours for row in usage.rows] == [2.0, 2.0, 1.0]
