import os
import socket

import pytest

from batchimg.local.errors import LocalStackError
from batchimg.local.ports import HOST, Ports, answers, check_wanted, choose, is_free


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free():
    return choose(Ports(), Ports()).blob


def test_a_port_with_a_listener_is_taken_and_answers(taken):
    assert not is_free(taken)
    assert answers(taken)


def test_a_port_without_a_listener_is_free_and_does_not_answer(free):
    assert is_free(free)
    assert not answers(free)


def test_chosen_ports_are_free_and_differ():
    ports = choose(Ports(), Ports())

    assert len(set(ports.numbers())) == 3
    assert all(is_free(port) for port in ports.numbers())


def test_the_last_ports_are_chosen_again_where_they_are_free(taken, free):
    ports = choose(Ports(), Ports(blob=free, queue=taken))

    assert ports.blob == free
    assert ports.queue != taken


def test_a_wanted_port_is_kept_and_never_chosen_for_another_service(free):
    ports = choose(Ports(batch=free), Ports(blob=free))

    assert ports.batch == free
    assert ports.blob != free


def test_a_taken_wanted_port_is_reported_with_its_holder(taken):
    with pytest.raises(LocalStackError, match=f"queue port {taken} is taken by .*pid {os.getpid()}") as error:
        check_wanted(Ports(queue=taken))

    assert "BATCHIMG_LOCAL_QUEUE_PORT" in error.value.hint


@pytest.mark.parametrize(("ports", "message"), [(Ports(blob=70000), "70000"), (Ports(blob=-1), "-1")])
def test_a_number_that_is_no_port_is_reported(ports, message):
    with pytest.raises(LocalStackError, match=f"blob port {message} is not a port"):
        check_wanted(ports)


def test_one_port_for_two_services_is_reported(free):
    with pytest.raises(LocalStackError, match=f"blob port and the batch port are both {free}"):
        check_wanted(Ports(blob=free, batch=free))


def test_free_wanted_ports_are_accepted(free):
    check_wanted(Ports(blob=free))
