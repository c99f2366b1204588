"""What must hold after every run, whatever broke in the midst of it: evidence in, breaches out."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Evidence:
    """What was found after a run. Pictures are named ``variant/path`` and told by their MD5.

    ``done_before`` and ``done_after`` are the versions (ETags) of the pictures that were there, with their record,
    before something was done again; ``families`` tells for each image how many runs of the family have done it.
    """

    expected: Mapping[str, str]  # path: the status it must have
    records: tuple[tuple[str, str], ...]  # path, status, as `download` writes them
    ledger: tuple[tuple[str, str], ...]  # as `ledger` writes them
    calm: Mapping[str, str]  # pictures of a calm run
    pictures: Mapping[str, str]
    done_before: Mapping[str, str] = field(default_factory=dict)
    done_after: Mapping[str, str] = field(default_factory=dict)
    done_by: Mapping[str, int] = field(default_factory=dict)
    open_jobs: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    bad_words: tuple[str, ...] = ()


def one_record(evidence: Evidence) -> list[str]:
    """Every input has exactly one final record, and it is the right one."""
    found = []
    for name, rows in (("results", evidence.records), ("ledger", evidence.ledger)):
        times = Counter(path for path, _ in rows)
        states = dict(rows)
        found += [f"{path} has {times[path]} records in the {name}" for path in evidence.expected if times[path] != 1]
        found += [f"{path} is in the {name} and no input" for path in times if path not in evidence.expected]
        found += [
            f"{path} is {states[path]} in the {name}, not {status}"
            for path, status in evidence.expected.items()
            if path in states and states[path] != status
        ]
    return found


def same_pictures(evidence: Evidence) -> list[str]:
    """Every picture is there, whole, and equal to that of a calm run; there is no other."""
    found = [f"{name} is missing" for name in evidence.calm if name not in evidence.pictures]
    found += [f"{name} is no picture of a calm run" for name in evidence.pictures if name not in evidence.calm]
    found += [
        f"{name} differs from that of a calm run"
        for name, digest in evidence.calm.items()
        if evidence.pictures.get(name, digest) != digest
    ]
    return found


def nothing_twice(evidence: Evidence) -> list[str]:
    """What was done stays as it was when the rest is done."""
    found = [
        f"{name} was written again"
        for name, version in evidence.done_before.items()
        if evidence.done_after.get(name) != version
    ]
    return found + [f"{path} was done by {runs} runs" for path, runs in evidence.done_by.items() if runs > 1]


def everything_ends(evidence: Evidence) -> list[str]:
    """No job goes on, no process is left."""
    return [f"job {job} has not ended" for job in evidence.open_jobs] + [
        f"process {one} is left" for one in evidence.processes
    ]


def nothing_remains(evidence: Evidence) -> list[str]:
    """No temporary file is left, and nothing in blob storage that only an unfinished chunk needs."""
    return [f"file {one} is left" for one in evidence.files] + [f"blob {one} is left" for one in evidence.blobs]


def plain_words(evidence: Evidence) -> list[str]:
    """No command hangs, or ends with a traceback."""
    return list(evidence.bad_words)


INVARIANTS: tuple[Callable[[Evidence], list[str]], ...] = (
    one_record,
    same_pictures,
    nothing_twice,
    everything_ends,
    nothing_remains,
    plain_words,
)


def breaches(evidence: Evidence) -> list[str]:
    """What does not hold, with the invariant's name."""
    return [f"{check.__name__}: {breach}" for check in INVARIANTS for breach in check(evidence)]
