"""A local stack for each file of acceptance tests, apart from the user's own: no file sees another's runs."""

import pytest

from command_line import Command


@pytest.fixture(scope="module")
def batchimg(tmp_path_factory):
    command = Command(tmp_path_factory.mktemp("home"))
    command("local", "up")
    yield command
    command("local", "down", "--delete")
