"""Coordination commands of multi-instance tasks: what they leave in the background lives as long as the task."""

SEVERAL = {"multiInstanceSettings": {"numberOfInstances": 2, "coordinationCommandLine": "coordinate"}}


def begun(world):
    world.pool(nodes=2, enableInterNodeCommunication=True)
    world.job()
    task = world.task("mpi", **SEVERAL)
    world.settle(1)
    coordinating = list(world.launcher.running)
    assert [process.command.lasting for process in coordinating] == [True, True]
    for process in coordinating:
        world.launcher.running.remove(process)
        process.ended(0)
    world.settle(1)
    return task, coordinating


def test_it_is_ended_with_the_task(world):
    task, coordinating = begun(world)
    assert world.running() == ["mpi"]
    assert not any(process.background_ended for process in coordinating)
    world.end("mpi")
    assert task.state == "completed"
    assert all(process.background_ended for process in coordinating)


def test_another_try_coordinates_anew(world):
    world_task = begun(world)
    task, coordinating = world_task
    task.constraints = type(task.constraints)(max_retries=1)
    world.end("mpi", 1)
    world.settle(1)
    assert all(process.background_ended for process in coordinating)
    assert [process.command.lasting for process in world.launcher.running] == [True, True]
