from batchimg.local.activity import Activity


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_time_without_requests_is_idle_time(tmp_path):
    clock = Clock()
    activity = Activity((tmp_path / "a.log",), tmp_path / "last-use", clock)
    clock.now += 60

    assert activity.idle_seconds() == 60


def test_a_growing_access_log_is_use(tmp_path):
    clock, log = Clock(), tmp_path / "a.log"
    activity = Activity((log,), tmp_path / "last-use", clock)
    clock.now += 60
    log.write_text("GET /\n")

    assert activity.idle_seconds() == 0
    clock.now += 5
    assert activity.idle_seconds() == 5


def test_a_command_that_asks_for_the_stack_is_use(tmp_path):
    clock = Clock()
    activity = Activity((), tmp_path / "last-use", clock)
    clock.now += 60
    (tmp_path / "last-use").touch()

    assert activity.idle_seconds() == 0


def test_running_tasks_are_use(tmp_path):
    clock = Clock()
    activity = Activity((), tmp_path / "last-use", clock)
    clock.now += 60
    activity.refresh()

    assert activity.idle_seconds() == 0
