"""Commands that run on a node beside its tasks: preparation, release, coordination. They take no slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from batch_emulator import environment, failures, resource_files, sources, task_files
from batch_emulator.account import Account
from batch_emulator.clock import Timer
from batch_emulator.commands import Command, LaunchError, Process, split_command
from batch_emulator.directories import TaskFolder
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Failure, Job, Node, Spec, StartTaskProgress


def retry_pause(retries: int) -> float:
    """Seconds before another try: the more often it failed the later."""
    return min(5.0, 0.02 * retries * retries)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, where, and for how long."""

    spec: Spec
    """commandLine, and perhaps resourceFiles and environmentSettings."""
    folder: TaskFolder
    variables: Mapping[str, str]
    """Azure's variables beside those that all commands of a node have."""
    max_retries: int = 0
    max_wall_clock: str = UNLIMITED
    files_to: str | None = None
    """Where resource files go if not into the working directory."""
    lasting: bool = False
    """What it leaves in the background lives on, until who has its `process` ends it."""


@dataclass(slots=True, eq=False)
class NodeCommand:
    """A command of a job on a node; `ended` is called once, when nothing of it runs any more."""

    account: Account
    job: Job
    node: Node
    plan: Plan
    ended: Callable[[NodeCommand], None]
    progress: StartTaskProgress = field(default_factory=lambda: StartTaskProgress(started=0), init=False)
    stopped: bool = field(default=False, init=False)
    """It was ended from outside, not by itself or its time limit."""
    _timed_out: bool = field(default=False, init=False)
    process: Process | None = field(default=None, init=False)
    """While it runs; of a lasting one also after it."""
    _busy: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    _timer: Timer | None = field(default=None, init=False)

    def begin(self) -> None:
        """Fetch its files and start it."""
        self.progress = StartTaskProgress(started=self.account.now())
        self.node.side_commands.add(self)
        folder, files = self.plan.folder, self.plan.spec.get("resourceFiles")
        try:
            folder.make()
        except OSError as error:
            self._end(None, failures.before_start("ResourceDirectoryCreateFailed", str(error)))
            return
        if not files:
            self._launch()
            return
        self._busy = True
        target = Path(self.plan.files_to or folder.wd)
        work = partial(resource_files.fetch, files, target, sources.of_node(self.account))
        self.account.background.run(work, self._fetched)

    def stop(self) -> None:
        """End it from outside."""
        self.stopped = True
        if self.process is not None:
            self.process.stop()
        elif not self._busy:
            self._end(None, failures.ENDED)

    def _fetched(self, error: BaseException | None) -> None:
        self._busy = False
        if self.stopped:
            self._end(None, failures.ENDED)
        elif error is not None:
            self._end(None, failures.of_files(error))
        else:
            self._launch()

    def _launch(self) -> None:
        spec, folder = self.plan.spec, self.plan.folder
        users = environment.settings(self.job.spec.get("commonEnvironmentSettings", ()))
        users |= environment.settings(spec.get("environmentSettings", ()))
        own = environment.node_variables(self.account, self.node, folder) | dict(self.plan.variables)
        own |= task_files.variables(self.account, self.node, {})
        try:
            arguments = split_command(spec["commandLine"])
            command = Command(
                arguments, folder.wd, environment.combine(own, users), folder.stdout, folder.stderr, self.plan.lasting
            )
            self.process = self.account.launcher.launch(command, self._exited, self._not_started)
        except LaunchError as error:
            self._end(None, failures.before_start(error.code, str(error)))
        except OSError as error:
            self._end(None, failures.before_start("CommandLaunchFailed", str(error)))
        else:
            self._limit()

    def _not_started(self, error: LaunchError) -> None:
        self.process = None
        self._end(None, failures.ENDED if self.stopped else failures.before_start(error.code, str(error)))

    def _limit(self) -> None:
        if self.plan.max_wall_clock != UNLIMITED:
            seconds = duration_seconds(self.plan.max_wall_clock)
            self._timer = self.account.clock.call_later_real(seconds, self._expire)

    def _expire(self) -> None:
        self._timed_out = True
        if self.process is not None:
            self.process.stop()

    def _exited(self, code: int) -> None:
        if not self.plan.lasting:
            self.process = None
        if self._timer is not None:
            self._timer.cancel()
        progress, limit = self.progress, self.plan.max_retries
        if self.stopped or self._timed_out:
            self._end(code, failures.ENDED if self.stopped else failures.TIMED_OUT)
        elif code != 0 and (limit == -1 or progress.retries < limit):
            progress.retries += 1
            progress.last_retry = self.account.now()
            self.account.clock.call_later_real(retry_pause(progress.retries), self._again)
        else:
            self._end(code, failures.FAILED if code else None)

    def _again(self) -> None:
        if not self._over:
            self._launch()

    def _end(self, code: int | None, failure: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        self.progress.ended = self.account.now()
        self.progress.exit_code = code
        self.progress.failure = failure
        self.node.side_commands.discard(self)
        self.ended(self)
        self.account.slots_freed(self.node)
