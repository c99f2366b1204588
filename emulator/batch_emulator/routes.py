"""All operations of the data plane as one table, and the lookup of a request in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from batch_emulator.account import Account
from batch_emulator.errors import BatchError
from batch_emulator.operations import (
    account_level,
    application_list,
    files,
    jobs,
    node_access,
    node_users,
    nodes,
    pools,
    schedules,
    tasks,
    usage_metrics,
)
from batch_emulator.wire import Reply, Request

Operation = Callable[[Account, Request], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: without a function it is known, and refused. `query`: the parameters it understands."""

    method: str
    template: str
    operation: Operation | None
    status: int
    query: frozenset[str] = frozenset()


COMMON_QUERY = frozenset({"api-version", "timeOut", "timeout"})
_LIST = "maxresults $skiptoken"
_FULL_LIST = f"{_LIST} $filter $select $expand"


def _route(method: str, template: str, operation: Operation | None, status: int, query: str = "") -> Route:
    return Route(method, template, operation, status, COMMON_QUERY | frozenset(query.split()))


_POOL, _NODE = "/pools/{poolId}", "/pools/{poolId}/nodes/{nodeId}"
_JOB, _TASK, _SCHEDULE = "/jobs/{jobId}", "/jobs/{jobId}/tasks/{taskId}", "/jobschedules/{jobScheduleId}"

ROUTES: tuple[Route, ...] = (
    _route("GET", "/applications", application_list.list_applications, 200, _LIST),
    _route("GET", "/applications/{applicationId}", application_list.get, 200),
    _route("GET", "/poolusagemetrics", usage_metrics.list_usage, 200, f"{_LIST} startTime starttime endtime $filter"),
    _route("GET", "/supportedimages", account_level.list_supported_images, 200, f"{_LIST} $filter"),
    _route("GET", "/nodecounts", account_level.list_node_counts, 200, f"{_LIST} $filter"),
    # pools
    _route("POST", "/pools", pools.create, 201),
    _route("GET", "/pools", pools.list_pools, 200, _FULL_LIST),
    _route("DELETE", _POOL, pools.delete, 202),
    _route("HEAD", _POOL, pools.exists, 200),
    _route("GET", _POOL, pools.get, 200, "$select $expand"),
    _route("PATCH", _POOL, pools.patch, 200),
    _route("POST", f"{_POOL}/disableautoscale", pools.disable_auto_scale, 200),
    _route("POST", f"{_POOL}/enableautoscale", pools.enable_auto_scale, 200),
    _route("POST", f"{_POOL}/evaluateautoscale", pools.evaluate_auto_scale, 200),
    _route("POST", f"{_POOL}/resize", pools.resize, 202),
    _route("POST", f"{_POOL}/stopresize", pools.stop_resize, 202),
    _route("POST", f"{_POOL}/updateproperties", pools.replace_properties, 204),
    _route("POST", f"{_POOL}/removenodes", pools.remove_nodes, 202),
    # nodes
    _route("GET", f"{_POOL}/nodes", nodes.list_nodes, 200, f"{_LIST} $filter $select"),
    _route("GET", _NODE, nodes.get, 200, "$select"),
    _route("POST", f"{_NODE}/reboot", nodes.reboot, 202),
    _route("POST", f"{_NODE}/start", nodes.start, 202),
    _route("POST", f"{_NODE}/reimage", nodes.reimage, 202),
    _route("POST", f"{_NODE}/deallocate", nodes.deallocate, 202),
    _route("POST", f"{_NODE}/disablescheduling", nodes.disable_scheduling, 200),
    _route("POST", f"{_NODE}/enablescheduling", nodes.enable_scheduling, 200),
    _route("GET", f"{_NODE}/remoteloginsettings", node_access.remote_login_settings, 200),
    _route("POST", f"{_NODE}/uploadbatchservicelogs", node_access.upload_logs, 200),
    _route("GET", f"{_NODE}/extensions", node_access.list_extensions, 200, f"{_LIST} $select"),
    _route("GET", f"{_NODE}/extensions/{{extensionName}}", node_access.get_extension, 200, "$select"),
    _route("POST", f"{_NODE}/users", node_users.create, 201),
    _route("DELETE", f"{_NODE}/users/{{userName}}", node_users.delete, 200),
    _route("PUT", f"{_NODE}/users/{{userName}}", node_users.replace, 200),
    # jobs
    _route("POST", "/jobs", jobs.create, 201),
    _route("GET", "/jobs", jobs.list_jobs, 200, _FULL_LIST),
    _route("DELETE", _JOB, jobs.delete, 202, "force"),
    _route("GET", _JOB, jobs.get, 200, "$select $expand"),
    _route("PATCH", _JOB, jobs.patch, 200),
    _route("PUT", _JOB, jobs.replace, 200),
    _route("POST", f"{_JOB}/disable", jobs.disable, 202),
    _route("POST", f"{_JOB}/enable", jobs.enable, 202),
    _route("POST", f"{_JOB}/terminate", jobs.terminate, 202, "force"),
    _route("GET", f"{_JOB}/taskcounts", jobs.task_counts, 200),
    _route(
        "GET",
        f"{_JOB}/jobpreparationandreleasetaskstatus",
        jobs.preparation_status,
        200,
        f"{_LIST} $filter $select",
    ),
    # job schedules
    _route("GET", f"{_SCHEDULE}/jobs", schedules.list_jobs, 200, _FULL_LIST),
    _route("HEAD", _SCHEDULE, schedules.exists, 200),
    _route("DELETE", _SCHEDULE, schedules.delete, 202, "force"),
    _route("GET", _SCHEDULE, schedules.get, 200, "$select $expand"),
    _route("PATCH", _SCHEDULE, schedules.patch, 200),
    _route("PUT", _SCHEDULE, schedules.replace, 200),
    _route("POST", f"{_SCHEDULE}/disable", schedules.disable, 204),
    _route("POST", f"{_SCHEDULE}/enable", schedules.enable, 204),
    _route("POST", f"{_SCHEDULE}/terminate", schedules.terminate, 202, "force"),
    _route("POST", "/jobschedules", schedules.create, 201),
    _route("GET", "/jobschedules", schedules.list_schedules, 200, _FULL_LIST),
    # tasks
    _route("POST", f"{_JOB}/tasks", tasks.create, 201),
    _route("GET", f"{_JOB}/tasks", tasks.list_tasks, 200, _FULL_LIST),
    _route("POST", f"{_JOB}/addtaskcollection", tasks.create_collection, 200),
    _route("DELETE", _TASK, tasks.delete, 200),
    _route("GET", _TASK, tasks.get, 200, "$select $expand"),
    _route("PUT", _TASK, tasks.replace, 200),
    _route("GET", f"{_TASK}/subtasksinfo", tasks.list_subtasks, 200, "$select"),
    _route("POST", f"{_TASK}/terminate", tasks.terminate, 204),
    _route("POST", f"{_TASK}/reactivate", tasks.reactivate, 204),
    # files
    _route("GET", f"{_TASK}/files", files.list_task_files, 200, f"{_LIST} $filter recursive"),
    _route("GET", f"{_TASK}/files/{{filePath}}", files.get_task_file, 200),
    _route("HEAD", f"{_TASK}/files/{{filePath}}", files.get_task_file_properties, 200),
    _route("DELETE", f"{_TASK}/files/{{filePath}}", files.delete_task_file, 200, "recursive"),
    _route("GET", f"{_NODE}/files", files.list_node_files, 200, f"{_LIST} $filter recursive"),
    _route("GET", f"{_NODE}/files/{{filePath}}", files.get_node_file, 200),
    _route("HEAD", f"{_NODE}/files/{{filePath}}", files.get_node_file_properties, 200),
    _route("DELETE", f"{_NODE}/files/{{filePath}}", files.delete_node_file, 200, "recursive"),
)

Methods = dict[str, tuple[Route, tuple[str, ...]]]


def _shape(template: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fixed words of a template, with '' for each parameter, and the parameters' names."""
    parts = template.strip("/").split("/")
    names = tuple(part[1:-1] for part in parts if part.startswith("{"))
    return tuple("" if part.startswith("{") else part for part in parts), names


def _index() -> dict[tuple[str, ...], Methods]:
    index: dict[tuple[str, ...], Methods] = {}
    for route in ROUTES:
        words, names = _shape(route.template)
        index.setdefault(words, {})[route.method] = (route, names)
    return index


_INDEX = _index()


def find(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and its path parameters, decoded; InvalidUri or UnsupportedHttpVerb."""
    parts = raw_path[1:].split("/")
    if len(parts) > 5 and parts[4] == "files" and parts[2] in ("tasks", "nodes"):
        parts[5:] = ["/".join(parts[5:])]  # a file's path may hold slashes
    words = tuple("" if place % 2 else part for place, part in enumerate(parts))
    methods = _INDEX.get(words) or _INDEX.get((*words[:-1], parts[-1]))
    if methods is None or not all(parts):
        raise BatchError("InvalidUri", ("Uri", raw_path))
    found = methods.get(method)
    if found is None:
        raise BatchError("UnsupportedHttpVerb", ("Method", method), ("Allowed", ", ".join(sorted(methods))))
    route, names = found
    values = [unquote(part) for part in parts[1::2]]
    return route, dict(zip(names, values, strict=False))
