"""One local stack for all acceptance tests, apart from the user's own."""

import pytest

from command_line import Command


@pytest.fixture(scope="session")
def batchimg(tmp_path_factory):
    command = Command(tmp_path_factory.mktemp("home"))
    command("local", "up")
    yield command
    command("local", "down", "--delete")
