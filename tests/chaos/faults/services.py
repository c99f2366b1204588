"""Azurite restarted, and the emulator killed and started again on its journal."""

import time

from chaos.faults.stages import Meanwhile, at
from chaos.play import Play


def act(play: Play) -> None:
    """Submit, and restart the service at a stage."""
    world, away = play.world, play.plan.fields["away"]

    def restart_azurite() -> None:
        world.storage_door.close()
        world.stop_azurite()
        time.sleep(away)
        world.start_azurite()
        world.storage_door.reopen()

    def restart_emulator() -> None:
        world.batch_door.close()
        world.kill_emulator()
        time.sleep(away)
        world.start_emulator()
        world.batch_door.reopen()

    meanwhile = Meanwhile(restart_azurite if play.plan.kind == "Azurite restarted" else restart_emulator)
    at(play, play.plan.stage, lambda _exchange: meanwhile.start())
    play.submit()
    meanwhile.join()
