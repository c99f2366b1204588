"""The client killed at a stage of submit, retry or download; then the same command again."""

import json
import os
import signal
import subprocess
from dataclasses import replace

from azure.batch import models

from chaos.doors import Answer, CutError, Exchange, Rule
from chaos.faults import storage
from chaos.faults.stages import at, door_of
from chaos.play import Play
from chaos.world import ended

FAILING = ("0001.png", "0006.png", "0010.png")


def killed_in_submit(play: Play) -> None:
    """Kill the first submit; perhaps the folder has one image more before it is typed again."""
    _kill(play, *play.submit_arguments())
    if play.plan.fields["grows"]:
        play.world.calm()
        play.remember()
        play.grow()
        play.submit()


def killed_in_retry(play: Play) -> None:
    """Let some images fail, kill the retry, and type it again."""
    pattern = rf"/inputs/.*({'|'.join(FAILING)})$"
    play.world.storage_door.rule(Rule(storage.refuse(404), "GET", pattern, count=None))
    play.submit()
    play.world.calm()
    play.remember()
    run = play.family()[0].run
    _kill(play, "retry", run, "--wait", "--json")
    play.world.calm()
    play.command("retry", run, "--wait", "--json")


def killed_in_download(play: Play) -> None:
    """Kill the download of a run, and type it again."""
    play.submit()
    play.downloaded = play.world.folder / f"down-{play.plan.seed}"
    arguments = ("download", play.family()[0].run, "--to", play.downloaded)
    _kill(play, *arguments)
    play.world.calm()
    play.command(*arguments)


def _kill(play: Play, *arguments: object) -> None:
    """Start a command, and kill it at the plan's stage; with SIGTERM and SIGINT it may say something."""
    fields, running = play.plan.fields, []
    number = getattr(signal, fields["signal"])

    def strike(_exchange: Exchange) -> None:
        _signal(running[0], number)

    if fields.get("partly"):
        stage = play.plan.stage
        door_of(play.world, stage).rule(Rule(_partly(play, strike), stage.method, stage.pattern))
    else:
        at(play, play.plan.stage, strike)
    running.append(play.start(*arguments))
    said = ended(running[0], arguments)
    play.note(replace(said, killed=said.code != 0))


def _signal(process: subprocess.Popen[str], number: int) -> None:
    if process.poll() is None:
        os.kill(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()


def _partly(play: Play, strike):
    """Some of the tasks are added, and then the client is killed."""

    def act(exchange: Exchange) -> Answer:
        job = exchange.request.target.split("/jobs/")[1].split("/")[0]
        tasks = json.loads(exchange.request.body)["value"]
        some = models.BatchTaskGroup({"value": tasks[: max(1, len(tasks) // 2)]})
        play.world.client.create_task_collection(job, some)
        strike(exchange)
        raise CutError

    return act
