"""A Batch service that is busy, forgets to answer, or cuts connections: the emulator's own faults."""

from chaos.play import Play


def act(play: Play) -> None:
    """Submit to such a service."""
    play.world.fault("POST", "/faults", play.plan.fields)
    play.submit()
