"""The plan of one run: a seed in, what will break and when out. Nothing is done here."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random

MOST_IMAGES = 16
BROKEN = "zz-broken.png"  # an image that no run can do: its final record is a failure
MORE = "more.png"  # one that comes to the folder after a submit that was killed

ADD_JOB, PATCH_JOB = "POST /jobs", "PATCH /jobs/{jobId}"
ADD_TASKS = "POST /jobs/{jobId}/addtaskcollection"
GET_JOBS, COUNT_TASKS = "GET /jobs", "GET /jobs/{jobId}/taskcounts"
OPERATIONS = (ADD_JOB, ADD_TASKS, PATCH_JOB, GET_JOBS, COUNT_TASKS)


@dataclass(frozen=True)
class Stage:
    """A request at which something happens: before it arrives, or when it was applied and is not answered yet.

    ``who`` sends it. ``skip`` of its kind are let through first.
    """

    name: str
    who: str
    service: str
    method: str
    pattern: str
    skip: int = 0
    when: str = "before"


@dataclass(frozen=True)
class Plan:
    """What a seed means. ``fields`` are the fault's own; ``again`` is what a user types if images are missing."""

    seed: int
    kind: str
    images: int
    chunk_images: int
    broken: bool
    pool: str
    again: str
    fields: dict = field(default_factory=dict)
    stage: Stage | None = None

    def text(self) -> str:
        """One line, for a log."""
        return json.dumps(asdict(self), default=str)


def _runs(part: str) -> str:
    return rf"/runs/[^/]+/{part}"


UPLOADS = Stage("upload", "client", "storage", "PUT", "/inputs/")
SUBMIT_STAGES = (
    UPLOADS,
    Stage("listing of what is there", "client", "storage", "GET", r"/inputs\?"),
    Stage("run.json", "client", "storage", "PUT", _runs("run.json")),
    Stage("manifest", "client", "storage", "PUT", _runs("manifests/")),
    Stage("job", "client", "batch", "POST", r"/jobs\?"),
    Stage("tasks", "client", "batch", "POST", "/addtaskcollection"),
    Stage("end of adding", "client", "batch", "PATCH", "/jobs/"),
    Stage("waiting", "client", "batch", "GET", "/taskcounts"),
)
RETRY_STAGES = (
    Stage("ledger", "client", "storage", "GET", _runs("ledger.parquet")),
    *SUBMIT_STAGES[2:],
)
DOWNLOAD_STAGES = (
    Stage("picture", "client", "storage", "GET", "/outputs/[^?]"),
    Stage("record", "client", "storage", "GET", _runs("results/")),
)
WORKER_STAGES = (
    Stage("look for the result", "worker", "storage", "HEAD", _runs("results/")),
    Stage("run.json", "worker", "storage", "GET", _runs("run.json")),
    Stage("manifest", "worker", "storage", "GET", _runs("manifests/")),
    Stage("heartbeat", "worker", "storage", "PUT", _runs("heartbeats/")),
    Stage("fetch", "worker", "storage", "GET", "/inputs/"),
    Stage("put", "worker", "storage", "PUT", "/outputs/"),
    Stage("result", "worker", "storage", "PUT", _runs("results/")),
    Stage("end of the heartbeat", "worker", "storage", "DELETE", _runs("heartbeats/")),
    Stage("ledger", "worker", "storage", "PUT", _runs("ledger.parquet")),
)
SERVICE_STAGES = (
    *SUBMIT_STAGES[:1],
    *SUBMIT_STAGES[3:7],
    *WORKER_STAGES[2:],
)
MANY = {"upload": 12, "fetch": 12, "put": 24, "manifest": 2, "picture": 24, "record": 2, "waiting": 2, "heartbeat": 2}
"""Stages that a run comes to more than once, and how often at least."""


def _at(random: Random, stages: tuple[Stage, ...]) -> Stage:
    stage = random.choice(stages)
    skip = random.randrange(1 if stages is RETRY_STAGES else MANY.get(stage.name, 1))
    return Stage(
        stage.name, stage.who, stage.service, stage.method, stage.pattern, skip, random.choice(("before", "after"))
    )


Drawn = tuple[dict, Stage | None]


def _node(kind: str, *counts: int) -> Callable[[Random], Drawn]:
    def draw(random: Random) -> Drawn:
        delay = round(random.uniform(0, 1.6), 2)
        return {"kind": kind, "at": "task-start", "delay": delay, "count": random.choice(counts)}, None

    return draw


def _duplicate(random: Random) -> Drawn:
    return {"kind": "duplicate-delivery", "overlap": random.random() < 0.5, "count": random.choice((1, 2, 4))}, None


def _batch_storm(random: Random) -> Drawn:
    storm = {"kind": "http-error", "status": random.choice((429, 500, 503)), "probability": 0.5, "count": 8}
    if random.random() < 0.5:
        storm["retryAfter"] = random.choice((0, 1))
    return {**storm, "seed": random.randrange(1000), "when": random.choice(("before", "after"))}, None


def _batch_applied(random: Random) -> Drawn:
    return {"kind": "applied-then-500", "match": {"operation": random.choice(OPERATIONS)}, "count": 2}, None


def _batch_cut(random: Random) -> Drawn:
    where = random.choice(("before", "after", "after-headers", "mid-body"))
    operation = random.choice(OPERATIONS)
    return {"kind": "cut-connection", "where": where, "match": {"operation": operation}, "count": 2}, None


def _storage_storm(random: Random) -> Drawn:
    status = random.choice((429, 500, 503))
    return {
        "act": "refuse",
        "status": status,
        "probability": random.choice((0.1, 0.3)),
        "count": 12,
        "seed": random.randrange(1000),
    }, None


def _storage_applied(random: Random) -> Drawn:
    fields, stage = _storage_storm(random)
    return {**fields, "act": "applied-then", "method": "PUT"}, stage


def _storage_cut(random: Random) -> Drawn:
    fields, stage = _storage_storm(random)
    return {**fields, "act": random.choice(("cut-before", "cut-after", "cut-in-answer"))}, stage


def _azurite(random: Random) -> Drawn:
    return {"away": round(random.uniform(0, 1.5), 2)}, _at(random, SERVICE_STAGES)


def _emulator(random: Random) -> Drawn:
    return {"away": round(random.uniform(0, 1.5), 2)}, _at(random, SERVICE_STAGES)


def _worker(random: Random) -> Drawn:
    whom = random.choice(("worker", "task", "told"))  # its process, the whole task, or SIGTERM to the task
    return {"whom": whom, "count": random.choice((1, 1, 2))}, _at(random, (*WORKER_STAGES, *WORKER_STAGES[3:7]))


def _client(stages: tuple[Stage, ...]) -> Callable[[Random], Drawn]:
    def draw(random: Random) -> Drawn:
        signal = random.choice(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"))
        stage = _at(random, stages)
        partly = stage.name == "tasks" and random.random() < 0.5
        return {"signal": signal, "partly": partly, "grows": stages is SUBMIT_STAGES and random.random() < 0.3}, stage

    return draw


def _disk(random: Random) -> Drawn:
    """Room for one or two pages; where there is none at all, Python takes another temporary folder."""
    return {"free_bytes": random.choice((4096, 8192)), "heals": random.random() < 0.5}, None


def _client_disk(random: Random) -> Drawn:
    return {
        "free_kib": random.choice((0, 4, 8, 16)),
        "what": random.choice(("download", "ledger", "temporary")),
    }, None


def _clock(random: Random) -> Drawn:
    seconds = random.choice((-1500, -600, -60, 60, 600, 1500))
    return {"seconds": seconds, "whose": random.choice(("client", "node"))}, None


def _two(random: Random) -> Drawn:
    """A storm at storage while a node is lost."""
    storm, _ = _storage_storm(random)
    node, _ = _node(random.choice(("lose-node", "preempt-node")), 1, 2)(random)
    return {**storm, "node": node}, None


KINDS: dict[str, Callable[[Random], Drawn]] = {
    "node lost": _node("lose-node", 1, 1, 2, 3),
    "node preempted": _node("preempt-node", 1, 1, 2, 3),
    # one of two: the other one stays
    "node unusable": _node("unusable-node", 1),
    "task delivered twice": _duplicate,
    "Batch busy": _batch_storm,
    "Batch applied, then 500": _batch_applied,
    "Batch connection cut": _batch_cut,
    "storage busy": _storage_storm,
    "storage applied, then 500": _storage_applied,
    "storage connection cut": _storage_cut,
    "Azurite restarted": _azurite,
    "emulator killed": _emulator,
    "worker killed": _worker,
    "client killed in submit": _client(SUBMIT_STAGES),
    "client killed in retry": _client(RETRY_STAGES),
    "client killed in download": _client(DOWNLOAD_STAGES),
    "disk of the node full": _disk,
    "disk of the client full": _client_disk,
    "clock wrong": _clock,
    "storage busy and node lost": _two,
}
TWICE = ("worker killed", "client killed in submit")  # these have the most stages: two turns in a round
ROUND = (*KINDS, *TWICE)


def plan_of(seed: int) -> Plan:
    """The plan of a seed; consecutive seeds go through all kinds in turn."""
    random = Random(f"chaos {seed}")  # a text is mixed well, unlike small numbers
    kind = ROUND[seed % len(ROUND)]
    fields, stage = KINDS[kind](random)
    chunk = random.choice((4, 5, 6)) if kind != "disk of the node full" else 8  # whose records need two pages
    spot = "preempt" in json.dumps(fields)
    return Plan(
        seed=seed,
        kind=kind,
        images=random.randrange(12, MOST_IMAGES + 1),
        chunk_images=chunk,
        broken=random.random() < 0.3,
        pool="spot" if spot else "batchimg",
        again=random.choice(("submit", "retry")),
        fields=fields,
        stage=stage,
    )
