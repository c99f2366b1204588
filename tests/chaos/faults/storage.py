"""Blob storage that is busy, forgets to answer, or cuts connections: rules of the door in front of Azurite."""

from dataclasses import replace
from random import Random

from chaos.doors import Act, Answer, CutError, Exchange, Rule
from chaos.play import Play
from chaos.world import World

CODES = {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy", 404: "BlobNotFound"}


def error(status: int) -> Answer:
    """An error as blob storage words it."""
    code = CODES[status]
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(status, (("x-ms-error-code", code), ("Content-Type", "application/xml")), body.encode())


def refuse(status: int) -> Act:
    return lambda _exchange: error(status)


def applied_then(status: int) -> Act:
    def act(exchange: Exchange) -> Answer:
        exchange.forward()
        return error(status)

    return act


def cut_before(_exchange: Exchange) -> Answer:
    raise CutError


def cut_after(exchange: Exchange) -> Answer:
    exchange.forward()
    raise CutError


def cut_in_answer(exchange: Exchange) -> Answer:
    answer = exchange.forward()
    return replace(answer, most=len(answer.body) // 2)


def arm(world: World, fields: dict) -> None:
    """Let storage misbehave, and perhaps a node be lost as well."""
    acts = {
        "refuse": refuse(fields["status"]),
        "applied-then": applied_then(fields["status"]),
        "cut-before": cut_before,
        "cut-after": cut_after,
        "cut-in-answer": cut_in_answer,
    }
    world.storage_door.rule(
        Rule(
            acts[fields["act"]],
            method=fields.get("method", "[A-Z]+"),
            count=fields["count"],
            probability=fields["probability"],
            random=Random(fields["seed"]),
        )
    )
    if "node" in fields:
        world.fault("POST", "/faults", fields["node"])


def act(play: Play) -> None:
    """Submit to such a storage."""
    arm(play.world, play.plan.fields)
    play.submit()
