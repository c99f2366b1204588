"""A local stack for each file of acceptance tests, apart from the user's own: no file sees another's runs."""

import pytest

from command_line import Command
from in_process import services_of


@pytest.fixture(scope="module")
def batchimg(tmp_path_factory):
    command = Command(tmp_path_factory.mktemp("home"))
    command("local", "up")
    yield command
    command("local", "down", "--delete")


@pytest.fixture(scope="module")
def services(batchimg):
    with services_of(batchimg) as found:
        yield found
