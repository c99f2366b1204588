"""A play: one run of batchimg in a world where something breaks, until all is done, and what is found then."""

import contextlib
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchimg.download import Folder, download
from batchimg.ledger import batches
from batchimg.lineage import Lineage, lineage
from batchimg.runs import all_runs, delete
from batchimg.submit import ENDED
from batchimg.watch import RunStatus, status
from batchimg_worker.contract import RunSpec
from chaos.invariants import Evidence
from chaos.plan import BROKEN, MORE, MOST_IMAGES, Plan
from chaos.world import Said, World, ended, until

from made_images import noise

SLOW = '''
import time
from batchimg_worker.operations import operation

@operation()
def slowly(image):
    """Give the image back after a while."""
    time.sleep(0.03)
    return image
'''
RECIPE = ("--op", "slowly", "--op", "rotate=20")
MOST_TURNS = 4
PATIENCE_SECONDS = 60  # of a machine that has other work


@dataclass(frozen=True)
class Calm:
    """What a calm run makes of the images: pictures by image, each with its MD5."""

    folder: Path
    pictures: Mapping[str, Mapping[str, str]]


@dataclass
class Play:
    """The run of a plan. ``said`` is all that commands said; ``downloaded`` a folder that a command has filled."""

    world: World
    plan: Plan
    calm: Calm
    said: list[Said] = field(default_factory=list)
    downloaded: Path | None = None
    before: dict[str, str] = field(default_factory=dict)
    left_on_disk: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = self.world.folder / f"seed-{self.plan.seed}"
        self.folder.mkdir()
        names = sorted(path for path in self.calm.pictures if path not in {BROKEN, MORE})[: self.plan.images]
        self.paths = [*names, BROKEN] if self.plan.broken else names
        for name in self.paths:
            shutil.copy(self.calm.folder / name, self.folder / name)

    def grow(self) -> None:
        """One image more."""
        shutil.copy(self.calm.folder / MORE, self.folder / MORE)
        self.paths.append(MORE)

    def submit_arguments(self) -> tuple[object, ...]:
        return submit_arguments(self.world, self.folder, self.plan.chunk_images)

    def submit(self, **environment: str) -> Said:
        return self.command(*self.submit_arguments(), **environment)

    def command(self, *arguments: object, **environment: str) -> Said:
        """A command whose words are looked at in the end."""
        return self.note(self.world.command(*arguments, **{"BATCHIMG_POOL": self.plan.pool, **environment}))

    def note(self, said: Said) -> Said:
        self.said.append(said)
        return said

    def start(self, *arguments: object, **environment: str):
        """A command in the background; `note(ended(…))` its end."""
        return self.world.start(*arguments, **{"BATCHIMG_POOL": self.plan.pool, **environment})

    def family(self) -> Lineage | None:
        """The run that was made last, and those that it goes on from."""
        specs = all_runs(self.world.services)
        parents = {spec.parent for spec in specs}
        tips = [spec for spec in specs if spec.run not in parents]
        return lineage(self.world.services, tips[0]) if tips else None

    def finish(self) -> None:
        """Do what a user does where something is missing: the same command again, or a retry."""
        for _ in range(MOST_TURNS):
            self.world.calm()
            self.remember()
            family = self.family()
            if family is None:
                self.submit()
                continue
            now = status(self.world.services, family[0])
            if not now.is_over:
                self._go_on(family)
            elif self._missing(family):
                self._do_rest(family)
            else:
                break

    def _go_on(self, family: Lineage) -> None:
        if family[0].parent:
            self.command("retry", family[-1].run, "--wait", "--json")
        else:
            self.submit()

    def _do_rest(self, family: Lineage) -> None:
        if self.plan.again == "retry" or family[0].parent:
            self.command("retry", family[0].run, "--wait", "--json")
        else:
            self.submit()

    def _missing(self, family: Lineage) -> list[str]:
        done = {path for path, state in self._ledger(family) if state == "done"}
        return [path for path in self.paths if path != BROKEN and path not in done]

    def remember(self) -> None:
        """The versions of all pictures of images that have a record as done."""
        family = self.family()
        for spec in family or ():
            done = {f"{spec.run}/{picture}" for picture in self._pictures_done(spec)}
            for blob in self.world.services.outputs.list(f"{spec.run}/"):
                if blob.path in done:
                    self.before.setdefault(blob.path, blob.etag)

    def _pictures_done(self, spec: RunSpec) -> set[str]:
        rows = self._ledger((spec,))
        return {picture for path, state in rows if state == "done" for picture in self.calm.pictures[path]}

    def _ledger(self, family: Lineage) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for batch in batches(self.world.services, family, ["path", "status"]):
            found += zip(batch.column("path").to_pylist(), batch.column("status").to_pylist(), strict=True)
        return found

    def evidence(self) -> Evidence:
        """What is found in the end."""
        family = self.family()
        if family is None:
            return Evidence(self._expected(), (), (), self._calm_pictures(), {}, bad_words=self._bad_words())
        services = self.world.services
        folder = self.downloaded or self.world.folder / f"out-{self.plan.seed}"
        if self.downloaded is None:
            download(services, family[0], Folder(folder))
        records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        done_by = Counter(path for spec in family for path, state in self._ledger((spec,)) if state == "done")
        versions = {blob.path: blob.etag for spec in family for blob in services.outputs.list(f"{spec.run}/")}
        open_jobs = self._jobs_that_do_not_end(family)
        return Evidence(
            expected=self._expected(),
            records=tuple((record["path"], record["status"]) for record in records),
            ledger=tuple(self._ledger(family)),
            calm=self._calm_pictures(),
            pictures=_digests(folder),
            done_before=dict(self.before),
            done_after=versions,
            done_by=done_by,
            open_jobs=open_jobs,
            processes=self._processes_left(),
            files=self._files_left(folder),
            blobs=self._blobs_left(family),
            bad_words=self._bad_words(),
        )

    def clear(self) -> None:
        """Delete the runs and what lies on disk, for the next play."""
        for spec in self.family() or ():
            delete(self.world.services, spec.run)
        shutil.rmtree(self.folder)
        for folder in (self.downloaded, self.world.folder / f"out-{self.plan.seed}"):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _expected(self) -> dict[str, str]:
        return {path: "failed" if path == BROKEN else "done" for path in self.paths}

    def _calm_pictures(self) -> dict[str, str]:
        return {name: digest for path in self.paths for name, digest in self.calm.pictures[path].items()}

    def settle(self) -> None:
        """Wait for the end of what the latest run has started: its results are there before its last task ends."""
        self._jobs_that_do_not_end(self.family() or ())
        self._processes_left()

    def _jobs_that_do_not_end(self, family: Lineage) -> tuple[str, ...]:
        def still_open() -> list[str]:
            return [
                job.id for spec in family for job in self.world.services.batch.jobs(spec.run) if job.state not in ENDED
            ]

        with contextlib.suppress(TimeoutError):
            until(lambda: not still_open(), "the end of the jobs", PATIENCE_SECONDS)
        return tuple(still_open())

    def _processes_left(self) -> tuple[str, ...]:
        with contextlib.suppress(TimeoutError):
            until(lambda: not self.world.workers(), "the end of the tasks' processes", PATIENCE_SECONDS)
        return tuple(f"{one.pid} {' '.join(one.cmdline())}" for one in self.world.workers())

    def _files_left(self, folder: Path) -> tuple[str, ...]:
        found = [*self.world.node_temp.iterdir(), *self.world.client_temp.iterdir(), *folder.rglob(".batchimg-parts*")]
        return (*(str(file.relative_to(self.world.folder)) for file in found), *self.left_on_disk)

    def _blobs_left(self, family: Lineage) -> tuple[str, ...]:
        """What only an unfinished chunk needs, of those that have a result."""
        runs, found = self.world.services.runs, []
        for spec in family:
            done = {Path(blob.path).stem for blob in runs.list(f"{spec.run}/results/")}
            for part in ("heartbeats", "parts", "hands"):
                found += [blob.path for blob in runs.list(f"{spec.run}/{part}/") if Path(blob.path).stem in done]
        return tuple(found)

    def _bad_words(self) -> tuple[str, ...]:
        found = list(self.trouble)
        for said in self.said:
            command = " ".join(said.arguments[:2])
            if "Traceback" in said.errors:
                found.append(f"{command} ended with a traceback: {said.errors.strip().splitlines()[-1]}")
            if "should not happen" in said.errors:
                found.append(f"{command} did not know what happened: {said.errors.strip()[:300]}")
            if said.code == 124:
                found.append(f"{command} did not end in time")
        return tuple(found)


def submit_arguments(world: World, folder: Path, chunk_images: int) -> tuple[object, ...]:
    operations = world.folder / "slow_operations.py"
    if not operations.exists():
        operations.write_text(SLOW)
    return (
        *("submit", "--dataset", folder, "--chunk-images", chunk_images),
        *("--operations", operations, *RECIPE, "--wait", "--json"),
    )


def calm_run(world: World, images: int = MOST_IMAGES) -> Calm:
    """Make the images, and let an undisturbed run show what becomes of them."""
    folder = noise(world.folder / "calm", images, side=24)
    whole = (folder / "0000.png").read_bytes()
    noise(world.folder / "more", 1, side=20)
    shutil.copy(world.folder / "more" / "0000.png", folder / MORE)
    (folder / BROKEN).write_bytes(whole[:40])
    said = world.command(*submit_arguments(world, folder, 8))
    spec = all_runs(world.services)[0]
    now: RunStatus = status(world.services, spec)
    if (now.done, now.failed) != (images + 1, 1):
        raise RuntimeError(f"the calm run did not end well: {now}\n{said.errors}")
    out = world.folder / "calm-out"
    download(world.services, spec, Folder(out))
    pictures: dict[str, dict[str, str]] = {}
    digests = _digests(out)
    for line in (out / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        names = [f"{output['variant']}/{output['path']}" for output in record.get("outputs", ())]
        pictures[record["path"]] = {name: digests[name] for name in names}
    jobs = world.services.batch.jobs
    # A task that is killed with its job leaves a folder to the next task of its node, where there is one.
    until(
        lambda: all(job.state in ENDED for job in jobs(spec.run)) and not world.workers(),
        "the end of the calm run",
        PATIENCE_SECONDS,
    )
    delete(world.services, spec.run)
    shutil.rmtree(out)
    return Calm(folder, pictures)


def _digests(folder: Path) -> dict[str, str]:
    """MD5 of all pictures of a download, by variant/path."""
    return {
        str(file.relative_to(folder)): hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        for file in folder.glob("*/*")
        if file.is_file()
    }


__all__ = ["Calm", "Play", "calm_run", "ended", "time"]
