from batchimg.pace import STEPS, Pace


def test_rates_are_those_between_steps_and_the_latest_is_a_number():
    pace = Pace()
    for second, processed in [(0, 0), (1, 5), (2, 20), (4, 20), (6, 60)]:
        pace.add(float(second), processed)
    assert list(pace.rates) == [10.0, 0.0, 20.0]
    assert pace.drawn() == "▅▁█ 20.0 images/s"


def test_nothing_is_drawn_before_there_is_something_to_compare():
    pace = Pace()
    assert pace.drawn() == ""
    pace.add(0.0, 100)
    pace.add(5.0, 100)
    assert pace.drawn() == ""
    pace.add(10.0, 100)
    assert pace.drawn() == "▁▁ 0.0 images/s"


def test_only_the_last_steps_are_kept():
    pace = Pace()
    for step in range(200):
        pace.add(step * 2.0, step)
    assert len(pace.rates) == STEPS
