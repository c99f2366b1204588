"""A disk that is full: the node's temporary folder, or where the client writes. A tmpfs where root may mount one."""

import shlex
import subprocess
import sys
import threading

from chaos.play import Play
from chaos.small_disk import small_disk
from chaos.world import NODE_DISK_KIB

PAGE = 4096
KIB = 1024
LIMITED = """
import os, resource, sys
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def limited(play: Play, most: int) -> str:
    """What starts a program that cannot write larger files."""
    script = play.world.folder / "limited.py"
    script.write_text(LIMITED)
    return shlex.join([sys.executable, str(script), str(most)])


def tasks_tried_again(play: Play) -> int:
    """How often tasks of the latest run failed."""
    jobs = play.world.services.batch.jobs(play.family()[0].run)
    tasks = [task for job in jobs for task in play.world.client.list_tasks(job.id)]
    return sum(task.execution_info.retry_count for task in tasks)


def node_full(play: Play) -> None:
    """Submit to nodes whose temporary folder is full; room is made in the midst of the run, or after it."""
    free, heals, disk = play.plan.fields["free_bytes"], play.plan.fields["heals"], play.world.node_disk
    if disk is None:
        play.submit(BATCHIMG_WORKER_COMMAND=f"{limited(play, free)} batchimg-worker")
        play.world.strikes += tasks_tried_again(play)
        return
    filler = disk / "filler"
    filler.write_bytes(bytes(NODE_DISK_KIB * KIB - free))
    timer = threading.Timer(1.5, filler.unlink)
    if heals:
        timer.start()
    play.submit(BATCHIMG_WORKER_COMMAND=f"env TMPDIR={disk} batchimg-worker")
    timer.cancel()
    if heals:
        timer.join()
    filler.unlink(missing_ok=True)
    play.settle()
    play.world.strikes += tasks_tried_again(play)
    play.left_on_disk = [one.name for one in disk.iterdir()]


def client_full(play: Play) -> None:
    """Download, ledger, or a temporary folder on a disk that is full; then there is room, and it is typed again."""
    play.submit()
    run = play.family()[0].run
    what, kib = play.plan.fields["what"], play.plan.fields["free_kib"]
    with small_disk(play.world.folder / "client-disk", kib) as disk:
        place = disk or play.world.folder / "client-place"
        place.mkdir(exist_ok=True)
        if disk is not None and kib == 0:
            (place / "filler").write_bytes(bytes(PAGE))
        to = place / "out"
        commands = {
            "download": ("download", run, "--to", to),
            "ledger": ("ledger", run, "--to", place / "ledger.csv"),
            "temporary": ("ledger", run, "--json"),
        }
        environment = {"TMPDIR": str(place)} if what == "temporary" else {}
        said = play.command(*commands[what], **environment)
        play.world.strikes += said.code != 0
        if said.code == 0 and kib == 0 and what != "temporary":  # Python takes another folder where TMPDIR is full
            play.trouble.append(f"{what} said nothing of a full disk")
        if disk is not None:
            subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        (place / "filler").unlink(missing_ok=True)
        said = play.command(*commands[what], **environment)
        if said.code != 0:
            play.trouble.append(f"{what} did not go on where there was room: {said.errors}")
        play.left_on_disk = [one.name for one in place.iterdir() if one.name not in {"out", "ledger.csv"}]
