"""Every operation of the SDK, called by its two clients: the one that waits, and the asynchronous one (aio)."""

import asyncio
import datetime
import inspect
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from azure.batch import BatchClient, models
from azure.batch.models import _models as hidden
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.polling import AsyncLROPoller, LROPoller

from batch_emulator.account import Settings
from batch_emulator.routes import ROUTES, find
from batch_emulator.server import running_in_thread

NOT_OPERATIONS = {"close", "send_request"}
OPERATIONS = {
    name
    for name, value in inspect.getmembers(BatchClient, callable)
    if not name.startswith("_") and name not in NOT_OPERATIONS
}
HOUR = datetime.timedelta(hours=1)
DEADLINE = 20.0
POOL, JOB, SCHEDULE = "every-pool", "every-job", "every-schedule"
FORMULA = "$TargetDedicatedNodes = 2;"
INFO = models.BatchPoolInfo(pool_id=POOL)


class Routes(SansIOHTTPPolicy):
    """Remembers which operations of the wire were asked for, and which did what they were asked."""

    def __init__(self):
        self.asked, self.done = set(), set()

    @staticmethod
    def _operation(request):
        path = "/" + request.url.split("?")[0].split("/", 3)[3]
        route, _ = find(request.method, path)
        return route.method, route.template

    def on_request(self, request):
        self.asked.add(self._operation(request.http_request))

    def on_response(self, request, response):
        if response.http_response.status_code < 400:
            self.done.add(self._operation(request.http_request))


async def settled(found):
    """The value behind whatever a method of either client gives: a pager, a stream, a poller."""
    if isinstance(found, LROPoller):
        return found.result()
    if isinstance(found, AsyncLROPoller):
        return await found.result()
    if isinstance(found, AsyncIterator):
        return [item async for item in found]
    if isinstance(found, Iterator):
        return list(found)
    return found


class Caller:
    """Calls methods of a client by name, and remembers the names."""

    def __init__(self, client):
        self._client = client
        self.called = set()

    def __getattr__(self, name):
        return partial(self._call, name)

    async def _call(self, name, *arguments, **more):
        return await settled(await self.begun(name, *arguments, **more))

    async def begun(self, name, *arguments, **more):
        """As far as the first answer: a poller that has still to be waited for, say."""
        self.called.add(name)
        if name.startswith("begin_"):
            more["polling_interval"] = 0.01
        found = getattr(self._client, name)(*arguments, **more)
        return await found if inspect.isawaitable(found) else found

    async def until(self, condition):
        """Poll until the coroutine that `condition` makes gives something true."""
        async with asyncio.timeout(DEADLINE):
            while not (found := await condition()):  # noqa: ASYNC110 - the other end is a service
                await asyncio.sleep(0.01)
        return found

    async def idle(self, count):
        async def nodes():
            found = await self.list_nodes(POOL)
            return found if [node.state for node in found] == ["idle"] * count else None

        return await self.until(nodes)

    async def ended(self, task_id):
        async def task():
            found = await self.get_task(JOB, task_id)
            return found if found.state == "completed" else None

        return await self.until(task)


async def refused(coroutine, kind, code):
    with pytest.raises(kind) as caught:
        await coroutine
    assert caught.value.error.code == code


async def pools(client):
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        "extensions": [{"name": "probe", "publisher": "p", "type": "t"}],
    }
    await client.create_pool(
        models.BatchPoolCreateOptions(
            id=POOL,
            vm_size="standard_d2_v3",
            virtual_machine_configuration=models.VirtualMachineConfiguration(machine),
            target_dedicated_nodes=2,
            task_slots_per_node=4,
            start_task=models.BatchStartTask(command_line="/bin/true", resource_files=[]),
        )
    )
    assert await client.pool_exists(POOL)
    await refused(client.get_pool("none"), ResourceNotFoundError, "PoolNotFound")
    await client.idle(2)
    assert [pool.id for pool in await client.list_pools(filter=f"id eq '{POOL}'", select=["id"])] == [POOL]
    await client.begin_resize_pool(POOL, models.BatchPoolResizeOptions(target_dedicated_nodes=3))
    nodes = await client.idle(3)
    await client.begin_remove_nodes(POOL, models.BatchNodeRemoveOptions(node_ids=[nodes[-1].id]))
    pair = models.BatchMetadataItem(name="a", value="b")
    await client.update_pool(POOL, models.BatchPoolUpdateOptions(metadata=[pair]))
    same = models.BatchPoolReplaceOptions(application_package_references=[], metadata=[pair])
    await client.replace_pool_properties(POOL, same)
    assert (await client.get_pool(POOL)).metadata[0].value == "b"
    enabled = models.BatchPoolEnableAutoScaleOptions(auto_scale_formula=FORMULA)
    await client.enable_pool_auto_scale(POOL, enabled)
    run = await client.evaluate_pool_auto_scale(
        POOL, models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=FORMULA)
    )
    assert "$TargetDedicatedNodes=2" in run.results
    await client.disable_pool_auto_scale(POOL)


async def nodes(client):
    node, _ = await client.idle(2)
    assert (await client.get_node(POOL, node.id)).id == node.id
    await client.begin_reboot_node(POOL, node.id, hidden.BatchNodeRebootOptions(node_reboot_kind="requeue"))
    await client.idle(2)
    await client.begin_reimage_node(POOL, node.id, hidden.BatchNodeReimageOptions(node_reimage_option="requeue"))
    await client.idle(2)
    deallocate = hidden.BatchNodeDeallocateOptions(node_deallocate_option="requeue")
    await client.begin_deallocate_node(POOL, node.id, deallocate)
    await client.begin_start_node(POOL, node.id)
    await client.idle(2)
    options = models.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option="requeue")
    await client.disable_node_scheduling(POOL, node.id, options)
    await client.enable_node_scheduling(POOL, node.id)
    await client.create_node_user(POOL, node.id, models.BatchNodeUserCreateOptions(name="me", password="Secret-1!"))
    await client.replace_node_user(POOL, node.id, "me", models.BatchNodeUserReplaceOptions(password="Secret-2!"))
    await client.delete_node_user(POOL, node.id, "me")
    login = client.get_node_remote_login_settings(POOL, node.id)
    await refused(login, HttpResponseError, "OperationNotValidOnNode")
    assert [entry.vm_extension.name for entry in await client.list_node_extensions(POOL, node.id)] == ["probe"]
    assert (await client.get_node_extension(POOL, node.id, "probe")).provisioning_state == "Succeeded"
    logs = models.UploadBatchServiceLogsOptions(
        container_url="https://x.blob.core.windows.net/logs?sig=s", start_time=datetime.datetime.now(datetime.UTC)
    )
    assert (await client.upload_node_logs(POOL, node.id, logs)).number_of_files_uploaded == 0


async def jobs(client):
    prepare = models.BatchJobPreparationTask(command_line="/bin/true")
    await client.create_job(models.BatchJobCreateOptions(id=JOB, pool_info=INFO, job_preparation_task=prepare))
    found = await client.get_job(JOB)
    same = {"etag": found.etag, "match_condition": MatchConditions.IfNotModified}
    await client.update_job(JOB, models.BatchJobUpdateOptions(priority=5), **same)
    with pytest.raises(ResourceModifiedError):
        await client.update_job(JOB, models.BatchJobUpdateOptions(priority=6), **same)
    found.priority = 7
    await client.replace_job(JOB, found)
    assert [job.priority for job in await client.list_jobs(filter=f"id eq '{JOB}'")] == [7]
    await client.begin_disable_job(JOB, models.BatchJobDisableOptions(disable_tasks="requeue"))
    await client.begin_enable_job(JOB)


async def tasks(client):
    new = models.BatchTaskCreateOptions
    await client.create_task(JOB, new(id="one", command_line="/bin/sh -c 'echo one; echo two > wd-file'"))
    group = models.BatchTaskGroup(task_values=[new(id="two", command_line="/bin/sh -c 'exit 3'")])
    assert [entry.status for entry in (await client.create_task_collection(JOB, group)).result_values] == ["Success"]
    many = [new(id=f"many-{number:03}", command_line="/bin/true") for number in range(120)]
    added = await client.create_tasks(JOB, many)
    assert len(added.result_values) == len(many)
    assert (await client.ended("two")).execution_info.exit_code == 3
    await client.reactivate_task(JOB, "two")
    await client.ended("two")
    await client.create_task(JOB, new(id="long", command_line="/bin/sleep 600"))
    limits = models.BatchTask(constraints=models.BatchTaskConstraints(max_task_retry_count=1))
    await client.replace_task(JOB, "long", limits)
    await client.terminate_task(JOB, "long")
    assert (await client.ended("long")).constraints.max_task_retry_count == 1
    assert await client.list_subtasks(JOB, "long") == []
    await client.delete_task(JOB, "long")

    async def done():
        return (await client.get_job_task_counts(JOB)).task_counts.completed == len(many) + 2

    await client.until(done)
    assert len(await client.list_tasks(JOB, select=["id"], max_results=50)) == len(many) + 2
    statuses = await client.list_job_preparation_and_release_task_status(JOB)
    assert {status.job_preparation_task_execution_info.exit_code for status in statuses} == {0}


async def files(client):
    assert b"".join(await client.download_task_file(JOB, "one", "stdout.txt")) == b"one\n"
    assert b"".join(await client.download_task_file(JOB, "one", "stdout.txt", ocp_range="bytes=1-2")) == b"ne"
    shown = await client.get_task_file_properties(JOB, "one", "stdout.txt")
    assert (shown.content_length, shown.is_directory) == (4, False)
    names = {file.name for file in await client.list_task_files(JOB, "one", recursive=True)}
    assert {"stdout.txt", "wd/wd-file"} <= names
    node_id = (await client.get_task(JOB, "one")).node_info.node_id
    there = await client.list_node_files(POOL, node_id, recursive=True)
    (path,) = [file.name for file in there if file.name.endswith("one/wd/wd-file")]
    assert b"".join(await client.download_node_file(POOL, node_id, path)) == b"two\n"
    assert (await client.get_node_file_properties(POOL, node_id, path)).content_length == 4
    await client.delete_node_file(POOL, node_id, path)
    await client.delete_task_file(JOB, "one", "stdout.txt")
    with pytest.raises(ResourceNotFoundError):
        await client.get_task_file_properties(JOB, "one", "stdout.txt")


async def schedules(client):
    timing = models.BatchJobScheduleConfiguration(recurrence_interval=HOUR)
    await client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(
            id=SCHEDULE, schedule=timing, job_specification=models.BatchJobSpecification(pool_info=INFO)
        )
    )
    assert await client.job_schedule_exists(SCHEDULE)

    async def made():
        return await client.list_jobs_from_schedule(SCHEDULE)

    assert [job.id for job in await client.until(made)] == [f"{SCHEDULE}:job-1"]
    await client.disable_job_schedule(SCHEDULE)
    await client.enable_job_schedule(SCHEDULE)
    timing.recurrence_interval = 2 * HOUR
    await client.update_job_schedule(SCHEDULE, models.BatchJobScheduleUpdateOptions(schedule=timing))
    found = await client.get_job_schedule(SCHEDULE)
    assert found.schedule.recurrence_interval == 2 * HOUR
    await client.replace_job_schedule(SCHEDULE, found)
    assert [entry.id for entry in await client.list_job_schedules()] == [SCHEDULE]
    await client.begin_terminate_job_schedule(SCHEDULE)
    await client.begin_delete_job_schedule(SCHEDULE)


async def accounts(client):
    assert any("ubuntu" in image.node_agent_sku_id for image in await client.list_supported_images())
    assert [counts.dedicated.total for counts in await client.list_pool_node_counts()] == [2]
    assert await client.list_pool_usage_metrics() == []
    assert [found.id for found in await client.list_applications()] == ["tool"]
    assert (await client.get_application("tool")).versions == ["1.0"]


async def ends(client):
    await client.create_task(JOB, models.BatchTaskCreateOptions(id="last", command_line="/bin/sleep 600"))

    async def running():
        return (await client.get_task(JOB, "last")).state == "running"

    await client.until(running)
    none = models.BatchPoolResizeOptions(target_dedicated_nodes=0, node_deallocation_option="taskcompletion")
    resize = await client.begun("begin_resize_pool", POOL, none)
    await client.begin_stop_pool_resize(POOL)
    await settled(resize)
    assert (await client.get_pool(POOL)).allocation_state == "steady"
    await client.begin_terminate_job(JOB, hidden.BatchJobTerminateOptions(termination_reason="enough"))
    assert (await client.get_job(JOB)).execution_info.termination_reason == "enough"
    await client.begin_delete_job(JOB)
    await client.begin_delete_pool(POOL)
    assert await client.list_pools() == []


STORY = (pools, nodes, jobs, tasks, files, schedules, accounts, ends)


async def tell(client):
    """The whole story by one client; which of the SDK's operations it took."""
    caller = Caller(client)
    for chapter in STORY:
        await chapter(caller)
    return caller.called


async def told_by(make, *names, **options):
    if make is BatchClient:
        with make(*names, **options) as client:
            return await tell(client)
    async with make(*names, **options) as client:
        return await tell(client)


@pytest.fixture
def server(tmp_path):
    packages = tmp_path / "applications"
    packages.mkdir()
    (packages / "tool").mkdir()
    with zipfile.ZipFile(packages / "tool" / "1.0.zip", "w") as archive:
        archive.writestr("tool.json", json.dumps({}))
    with running_in_thread(Settings(node_delay=0.01, applications=packages)) as server:
        yield server


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_every_operation_of_the_sdk_is_called_and_every_route_answered(server, aio_client, kind):
    credential = AzureNamedKeyCredential("localbatch", server.emulator.credentials.key)
    routes = Routes()
    make, url = BatchClient if kind == "sync" else aio_client, server.emulator.account.url
    called = asyncio.run(told_by(make, url, credential, per_call_policies=[routes], retry_total=0))
    assert called & OPERATIONS == OPERATIONS
    assert routes.asked == {(route.method, route.template) for route in ROUTES}
    assert routes.asked - routes.done == {("GET", "/pools/{poolId}/nodes/{nodeId}/remoteloginsettings")}
