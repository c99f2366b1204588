import pytest

from batch_emulator.states import MACHINES, IllegalTransitionError, check


@pytest.mark.parametrize("machine", MACHINES)
def test_every_target_is_a_state_of_its_machine(machine):
    table = MACHINES[machine]
    assert all(targets <= table.keys() for targets in table.values())


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_but_the_first_can_be_reached(machine):
    table = MACHINES[machine]
    first = next(iter(table))
    seen, todo = {first}, [first]
    while todo:
        new = table[todo.pop()] - seen
        seen |= new
        todo += new
    assert seen | {"unknown"} == table.keys() | {"unknown"}


@pytest.mark.parametrize(
    ("machine", "current", "target"),
    [("task", "completed", "running"), ("job", "completed", "active"), ("node", "leavingpool", "idle")],
)
def test_an_illegal_change_raises_and_names_both_states(machine, current, target):
    with pytest.raises(IllegalTransitionError, match=f"{machine} .*'{current}'.*'{target}'"):
        check(machine, current, target)


def test_a_legal_change_passes():
    check("task", "active", "running")
