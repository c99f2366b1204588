from batchimg.local.services import RestartPolicy


def test_the_first_death_costs_no_time():
    assert RestartPolicy().died(lived_seconds=3600) == 0


def test_quick_deaths_wait_longer_each_time_until_it_is_given_up():
    policy = RestartPolicy(quick_seconds=20, delays=(0, 1, 2))

    assert [policy.died(1) for _ in range(4)] == [0, 1, 2, None]


def test_a_long_life_forgives_earlier_deaths():
    policy = RestartPolicy(quick_seconds=20, delays=(0, 1))

    assert [policy.died(lived) for lived in (1, 1, 30, 1, 1)] == [0, 1, 0, 1, None]
