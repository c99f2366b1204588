"""Look at a Batch account without changing it: each method is one call, whatever the size of what it looks at."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from batchimg.batch_errors import translated
from batchimg.batch_values import job_number
from batchimg.errors import ServiceError
from batchimg.seen import Autoscale, JobSeen, NodeAge, NodeSeen, PoolSeen, PreparationSeen, TaskSeen, Trouble

FEW = 50  # tasks and nodes of one kind: enough to tell what is wrong with them
MANY_JOBS = 1000  # one page of jobs
HEALTHY = ("idle", "running")
TASK_FIELDS = (
    *("id", "state", "stateTransitionTime", "requiredSlots", "executionInfo", "nodeInfo", "dependsOn"),
    "exitConditions",
)
LONGEST_OUTPUT = 4096  # bytes of what a start task printed
ENDLESS = timedelta(days=10_000)  # the service writes "no limit" as some 29,000 years


class Look:
    """Reads of one account by its ``client``, as values of `seen`. Raises ServiceError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def pool(self, pool: str) -> PoolSeen | None:
        """A pool, None where there is none."""
        try:
            with translated(f"look at pool {pool!r}"):
                return _pool(self._client.get_pool(pool))
        except ServiceError as error:
            if error.code == "PoolNotFound":
                return None
            raise

    def sick_nodes(self, pool: str) -> list[NodeSeen]:
        """Some of the nodes that are neither idle nor running, or that take no tasks."""
        wanted = " and ".join(f"state ne '{state}'" for state in HEALTHY)
        fields = ["id", "state", "stateTransitionTime", "schedulingState", "errors", "startTaskInfo"]
        with translated(f"list the nodes of pool {pool!r}"):
            pages = self._client.list_nodes(pool, filter=wanted, select=fields, max_results=FEW)
            return [_node(node) for node in _first_page(pages)]

    def node_ages(self, pool: str) -> list[NodeAge]:
        """Every node of a pool, a thousand a call."""
        with translated(f"list the nodes of pool {pool!r}"):
            found = self._client.list_nodes(pool, select=["id", "isDedicated", "allocationTime"])
            return [NodeAge(str(node.id), bool(node.is_dedicated), node.allocation_time) for node in found]

    def start_task_output(self, pool: str, node: str) -> str:
        """The end of what a node's start task printed, errors before the rest; empty where it cannot be had."""
        parts = []
        for name in ("startup/stderr.txt", "startup/stdout.txt"):
            try:
                with translated(f"read {name} of node {node}"):
                    text = b"".join(self._client.download_node_file(pool, node, name))
            except ServiceError:
                continue
            parts.append(text[-LONGEST_OUTPUT:].decode("utf-8", "replace").strip())
        return next((part for part in parts if part), "")

    def jobs(self, run: str) -> list[JobSeen]:
        """The jobs of a run, the first one first."""
        with translated(f"list the jobs of run {run!r}"):
            found = [
                (number, _job(job))
                for job in self._client.list_jobs(filter=f"startswith(id,'{run}')")
                if (number := job_number(run, str(job.id))) is not None
            ]
        return [job for _, job in sorted(found, key=lambda one: one[0])]

    def active_jobs(self) -> list[JobSeen]:
        """The account's jobs that are active, a thousand at most: they count against its quota."""
        with translated("list the active jobs"):
            pages = self._client.list_jobs(filter="state eq 'active'", max_results=MANY_JOBS)
            return [_job(job) for job in _first_page(pages)]

    def tasks(self, job: str, condition: str) -> list[TaskSeen]:
        """Some of a job's tasks that meet a condition, such as ``state eq 'active'``."""
        with translated(f"list tasks of job {job!r}"):
            pages = self._client.list_tasks(job, filter=condition, select=list(TASK_FIELDS), max_results=FEW)
            return [_task(task) for task in _first_page(pages)]

    def failed_preparations(self, job: str) -> list[PreparationSeen]:
        """Some of the nodes on which the job's preparation task failed."""
        with translated(f"look at the preparation of job {job!r}"):
            pages = self._client.list_job_preparation_and_release_task_status(job, max_results=FEW)
            found = [_preparation(one) for one in _first_page(pages)]
        return [one for one in found if one.failure is not None]


def _first_page(items: Any) -> Iterable[Any]:
    return next(iter(items.by_page()), ())


def _pool(pool: Any) -> PoolSeen:
    machine = pool.virtual_machine_configuration
    containers = machine.container_configuration if machine else None
    return PoolSeen(
        id=str(pool.id),
        state=_text(pool.state),
        allocation=_text(pool.allocation_state),
        since=pool.allocation_state_transition_time,
        vm_size=str(pool.vm_size or ""),
        slots_per_node=pool.task_slots_per_node or 1,
        current_dedicated=pool.current_dedicated_nodes or 0,
        target_dedicated=pool.target_dedicated_nodes or 0,
        current_spot=pool.current_low_priority_nodes or 0,
        target_spot=pool.target_low_priority_nodes or 0,
        resize_errors=tuple(_trouble(error, error.error_values) for error in pool.resize_errors or []),
        autoscale=_autoscale(pool) if pool.enable_auto_scale else None,
        images=tuple((containers.container_image_names if containers else None) or ()),
    )


def _autoscale(pool: Any) -> Autoscale:
    last = pool.auto_scale_run
    error = last.error if last else None
    return Autoscale(
        interval=pool.auto_scale_evaluation_interval,
        at=last.timestamp if last else None,
        results=(last.results or "") if last else "",
        error=_trouble(error, error.error_values) if error else None,
    )


def _node(node: Any) -> NodeSeen:
    info = node.start_task_info
    failure = info.failure_info if info else None
    return NodeSeen(
        id=str(node.id),
        state=_text(node.state),
        since=node.state_transition_time,
        scheduling=_text(node.scheduling_state),
        errors=tuple(_trouble(error, error.error_details) for error in node.errors or []),
        start_exit_code=info.exit_code if info else None,
        start_failure=_trouble(failure, failure.details) if failure else None,
    )


def _job(job: Any) -> JobSeen:
    info, limits = job.execution_info, job.constraints
    error = info.scheduling_error if info else None
    limit = limits.max_wall_clock_time if limits else None
    return JobSeen(
        id=str(job.id),
        state=_text(job.state),
        since=job.state_transition_time,
        created=job.creation_time,
        pool=str((info.pool_id if info else None) or job.pool_info.pool_id or ""),
        priority=job.priority or 0,
        max_parallel=-1 if job.max_parallel_tasks is None else job.max_parallel_tasks,
        ends_by_itself=_text(job.all_tasks_complete_mode) == "terminatejob",
        has_preparation=job.job_preparation_task is not None,
        limit=limit if limit is not None and limit < ENDLESS else None,
        termination_reason=(info.termination_reason or "") if info else "",
        scheduling_error=_trouble(error, error.details) if error else None,
    )


def _task(task: Any) -> TaskSeen:
    info, depends = task.execution_info, task.depends_on
    failure = info.failure_info if info else None
    ranges = [(one.start, one.end) for one in (depends.task_id_ranges if depends else None) or []]
    numbers = [int(one) for one in (depends.task_ids if depends else None) or [] if one.isdecimal()]
    return TaskSeen(
        id=str(task.id),
        state=_text(task.state),
        since=task.state_transition_time,
        required_slots=task.required_slots or 1,
        retries=(info.retry_count or 0) if info else 0,
        requeues=(info.requeue_count or 0) if info else 0,
        exit_code=info.exit_code if info else None,
        failure=_trouble(failure, failure.details) if failure else None,
        node=str(task.node_info.node_id or "") if task.node_info else "",
        waits_for=tuple(ranges + [(number, number) for number in numbers]),
        blocks=_blocks(task.exit_conditions),
    )


def _blocks(conditions: Any) -> bool:
    """Whether a failure holds up those that depend on the task: it does, unless an exit condition says otherwise."""
    if conditions is None:
        return True
    mapped = [one.exit_options for one in (*(conditions.exit_codes or ()), *(conditions.exit_code_ranges or ()))]
    options = (*mapped, conditions.default, conditions.pre_processing_error, conditions.file_upload_error)
    return not any(option is not None and _text(option.dependency_action) == "satisfy" for option in options)


def _preparation(status: Any) -> PreparationSeen:
    info = status.job_preparation_task_execution_info
    failure = info.failure_info if info else None
    return PreparationSeen(
        node=str(status.node_id),
        exit_code=info.exit_code if info else None,
        failure=_trouble(failure, failure.details) if failure else None,
    )


def _trouble(error: Any, details: Any) -> Trouble:
    pairs = tuple((str(one.name), str(one.value)) for one in details or [])
    message = getattr(error.message, "value", error.message) or ""
    return Trouble(code=str(error.code or "Unknown"), message=str(message), details=pairs)


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))
