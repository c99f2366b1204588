"""Azure Batch: the only importer of its client."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from batchimg.batch_errors import PASSING, PATIENCE_SECONDS, JobDone, PassingError, patiently, retrying, translated
from batchimg.batch_look import Look
from batchimg.batch_pool import Image, Pool, Support, image_of, pool_of
from batchimg.batch_values import FailedTask, Job, JobSpec, TaskCounts, TaskLimits, TaskSpec, job_number
from batchimg.errors import ServiceError, SettingsError
from batchimg.parallel import in_parallel
from batchimg_worker.storage import is_loopback

if TYPE_CHECKING:
    from azure.batch import BatchClient

TASKS_PER_CALL = 100
ADDING_HOURS = 24.0  # a job whose submit died before its end is ended by Azure Batch after so long
CALLS_AT_ONCE = 4


class Batch:
    """One Batch account. Thread-safe; a key is for loopback only, everything else is keyless."""

    def __init__(self, endpoint: str, account: str | None = None, key: str | None = None) -> None:
        if key and not is_loopback(endpoint):
            raise SettingsError(
                f"a Batch key is not used for {endpoint}",
                "Keys are for the local stack only: remove it, batchimg signs in with your Azure identity.",
            )
        self.endpoint = endpoint.rstrip("/")
        self._client = _client(self.endpoint, account, key)

    @property
    def look(self) -> Look:
        """What there is, without changing it."""
        return Look(self._client)

    def create_job(self, spec: JobSpec) -> bool:
        """Make a job that waits for its tasks, for a day at most; False where it is there already."""
        from azure.batch import models

        job = models.BatchJobCreateOptions(
            id=spec.id,
            pool_info=models.BatchPoolInfo(pool_id=spec.pool),
            constraints=_job_constraints(spec, min(spec.max_hours, ADDING_HOURS)),
            common_environment_settings=[
                models.EnvironmentSetting(name=name, value=value) for name, value in spec.environment.items()
            ],
            all_tasks_complete_mode="noaction",
            uses_task_dependencies=True,
        )
        try:
            patiently(lambda: self._call(f"create job {spec.id!r}", self._client.create_job, job))
        except ServiceError as error:
            if error.code == "JobExists":
                return False
            raise
        return True

    def add_tasks(self, job: str, tasks: Sequence[TaskSpec]) -> Iterator[int]:
        """Add tasks, 100 a call; those that are there already count as added. Yields how many each call added.

        Raises ServiceError with the first task that was refused.
        """
        groups = [tasks[start : start + TASKS_PER_CALL] for start in range(0, len(tasks), TASKS_PER_CALL)]
        yield from in_parallel(lambda group: self._add_group(job, group), groups, CALLS_AT_ONCE)

    def _add_group(self, job: str, group: Sequence[TaskSpec]) -> int:
        for attempt in retrying():
            with attempt:
                self._add_once(job, group)
        return len(group)

    def _add_once(self, job: str, group: Sequence[TaskSpec]) -> None:
        from azure.batch import models

        values = [_task(task) for task in group]
        action = f"add tasks to job {job!r}"
        result = self._call(action, self._client.create_task_collection, job, models.BatchTaskGroup(task_values=values))
        for one in result.result_values or []:
            # The casing of `status` differs between the documentation and the service: `error` does not.
            code = one.error.code if one.error else None
            if code in {None, "TaskExists"}:
                continue
            kind = PassingError if code in PASSING or str(one.status).lower() == "servererror" else ServiceError
            raise kind(f"cannot add task {one.task_id} to job {job!r}: {code}", code=str(code))

    def finish_adding(self, spec: JobSpec) -> None:
        """Let the job end by itself after its last task, and give it all of its hours.

        Only when all tasks are added: an empty job ends at once.
        """
        from azure.batch import models

        options = models.BatchJobUpdateOptions(
            all_tasks_complete_mode="terminatejob", constraints=_job_constraints(spec, spec.max_hours)
        )
        with contextlib.suppress(JobDone):
            patiently(lambda: self._call(f"update job {spec.id!r}", self._client.update_job, spec.id, options))

    def jobs(self, run: str) -> list[Job]:
        """The jobs of a run, the first one first: `RUN`, then `RUN-2` and so on for what had to be done again."""
        found = []
        with translated(f"list the jobs of run {run!r}"):
            for job in self._client.list_jobs(filter=f"startswith(id,'{run}')"):
                number = job_number(run, str(job.id))
                if number is not None:
                    found.append(_job(job, number))
        return sorted(found, key=lambda job: job.number)

    def job(self, job: str) -> Job | None:
        """A job, None where there is none."""
        try:
            return _job(self._call(f"look at job {job!r}", self._client.get_job, job), 1)
        except ServiceError as error:
            if error.code in {"JobNotFound", "ResourceNotFound"}:
                return None
            raise

    def task_counts(self, job: str) -> TaskCounts:
        """Tasks by state: one call, whatever the size of the job."""
        counts = self._call(f"count the tasks of job {job!r}", self._client.get_job_task_counts, job).task_counts
        return TaskCounts(
            active=counts.active,
            running=counts.running,
            completed=counts.completed,
            succeeded=counts.succeeded,
            failed=counts.failed,
        )

    def failed_tasks(self, job: str, most: int = 20) -> list[FailedTask]:
        """Some of the tasks that ended badly."""
        failure_filter = "executionInfo/result eq 'failure'"
        found = []
        with translated(f"list the failed tasks of job {job!r}"):
            for task in self._client.list_tasks(job, filter=failure_filter, select=["id", "executionInfo"]):
                info = task.execution_info
                failure = info.failure_info if info else None
                reason = (failure.message or failure.code or "") if failure else ""
                found.append(FailedTask(str(task.id), info.exit_code if info else None, reason))
                if len(found) >= most:
                    break
        return found

    def node_counts(self, pool: str) -> dict[str, int]:
        """Nodes of a pool by state, without the states that no node is in; empty where there is no such pool."""
        with translated(f"count the nodes of pool {pool!r}"):
            for counts in self._client.list_pool_node_counts(filter=f"poolId eq '{pool}'"):
                return _nonzero(counts.dedicated, counts.low_priority)
        return {}

    def pool_exists(self, pool: str) -> bool:
        """Whether there is such a pool."""
        return self.pool(pool) is not None

    def pool(self, pool: str) -> Pool | None:
        """What is to be known of a pool; None where there is none."""
        try:
            return pool_of(self._call(f"look at pool {pool!r}", self._client.get_pool, pool))
        except ServiceError as error:
            if error.code == "PoolNotFound":
                return None
            raise

    def image_support(self, image: Image) -> Support | None:
        """How long Azure Batch supports an image; None where it does not."""
        with translated("list the supported images"):
            for known in self._client.list_supported_images():
                if image_of(known.image_reference) == image:
                    return Support(known.batch_support_end_of_life)
        return None

    def create_local_pool(self, pool: str, nodes: int, slots: int) -> None:
        """Make the pool of the local stack. On Azure Pulumi makes the pool: only ARM can give it an identity."""
        from azure.batch import models

        options = models.BatchPoolCreateOptions(
            id=pool,
            vm_size="standard_d64s_v5",
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=models.BatchVmImageReference(
                    publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
                ),
                node_agent_sku_id="batch.node.ubuntu 24.04",
            ),
            target_dedicated_nodes=nodes,
            task_slots_per_node=slots,
        )
        try:
            self._call(f"create pool {pool!r}", self._client.create_pool, options)
        except ServiceError as error:
            if error.code != "PoolExists":
                raise

    def terminate(self, job: str) -> bool:
        """End a job and its tasks; False where it had ended or is gone."""
        # azure-batch 15.1 fails without options and does not export their model: it takes the plain JSON.
        options: Any = {"terminateReason": "cancelled by the user"}
        return self._end(f"cancel job {job!r}", lambda: self._client.begin_terminate_job(job, options))

    def delete_job(self, job: str) -> bool:
        """Delete a job and its tasks, and wait until it is gone; False where it was gone."""
        deleted = self._end(f"delete job {job!r}", lambda: self._client.begin_delete_job(job))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while deleted and self.job(job) is not None and time.monotonic() < deadline:
            time.sleep(0.2)
        return deleted

    def _end(self, action: str, call: Any) -> bool:
        try:
            self._call(action, call)
        except ServiceError as error:
            if error.code in {
                "JobNotFound",
                "JobCompleted",
                "JobTerminating",
                "JobBeingDeleted",
                "JobBeingTerminated",
            }:
                return False
            raise
        return True

    def task_file(self, job: str, task: str, name: str) -> bytes | None:
        """A file of a task from its node; None where the node, the task or the file is gone."""
        try:
            with translated(f"read {name} of task {task} of job {job!r}"):
                return b"".join(self._client.download_task_file(job, task, name))
        except ServiceError as error:
            if error.code.endswith(("NotFound", "NotReady")) or error.code in {
                "404",
                "409",
                "NodeStateUnusable",
            }:
                return None
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _call(self, action: str, call: Any, *arguments: Any) -> Any:
        with translated(action):
            return call(*arguments)


def _container(image: str | None) -> Any:
    """How a task runs in a container: thrown away at its end, in the task's own folder."""
    from azure.batch import models

    if image is None:
        return None
    return models.BatchTaskContainerSettings(
        image_name=image, container_run_options="--rm", working_directory="taskWorkingDirectory"
    )


def _job(found: Any, number: int) -> Job:
    info = found.execution_info
    return Job(
        id=str(found.id),
        number=number,
        state=_text(found.state),
        created=found.creation_time,
        ended=info.end_time if info else None,
        termination_reason=info.termination_reason if info else None,
        has_all_tasks=_text(found.all_tasks_complete_mode) == "terminatejob",
    )


def _task(spec: TaskSpec) -> Any:
    """A task whose failure does not keep others from starting."""
    from azure.batch import models

    task = models.BatchTaskCreateOptions(
        id=spec.id,
        command_line=spec.command,
        container_settings=_container(spec.image),
        constraints=_task_constraints(spec.limits),
        exit_conditions=models.ExitConditions(default=models.ExitOptions(dependency_action="satisfy")),
    )
    if spec.after:
        ranges = [models.BatchTaskIdRange(start=ids[0], end=ids[-1]) for ids in spec.after]
        task.depends_on = models.BatchTaskDependencies(task_id_ranges=ranges)
    return task


def _job_constraints(spec: JobSpec, hours: float) -> Any:
    from azure.batch import models

    return models.BatchJobConstraints(
        max_wall_clock_time=timedelta(hours=hours), max_task_retry_count=spec.task_retries
    )


def _task_constraints(limits: TaskLimits | None) -> Any:
    """Both limits: where a task has constraints, the retries that are left out are 0 and not the job's."""
    if limits is None:
        return None
    from azure.batch import models

    return models.BatchTaskConstraints(
        max_wall_clock_time=timedelta(hours=limits.max_hours), max_task_retry_count=limits.retries
    )


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))


def _nonzero(*counts: Any) -> dict[str, int]:
    states: dict[str, int] = {}
    for count in counts:
        for state, number in (count.as_dict() if count else {}).items():
            if number and state != "total":
                states[state] = states.get(state, 0) + number
    return states


def _client(endpoint: str, account: str | None, key: str | None) -> "BatchClient":
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    if key:
        credential: Any = AzureNamedKeyCredential(account or "localbatch", key)
    else:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    return BatchClient(
        endpoint,
        credential,
        retry_total=4,
        retry_backoff_factor=0.4,
        retry_backoff_max=10,
        connection_timeout=10,
        read_timeout=90,
        use_env_settings=not is_loopback(endpoint),  # a proxy is not asked for this machine's own ports
    )
