"""Nodes that are lost, and tasks that are delivered twice: the emulator's own faults."""

from chaos.play import Play


def act(play: Play) -> None:
    """Submit while nodes go away."""
    play.world.fault("POST", "/faults", play.plan.fields)
    play.submit()
