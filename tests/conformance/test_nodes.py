"""Nodes, seen by the SDK: restart, scheduling, users, and what cannot be on one machine."""

import datetime

import pytest
from azure.batch import models
from azure.batch.models import _models as hidden
from azure.core.exceptions import HttpResponseError

from batch_emulator.account import Settings
from batch_emulator.server import running_in_thread

SOON = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)


def only(client, pool_id):
    return next(iter(client.list_nodes(pool_id)))


def refused(call, *arguments, **more):
    with pytest.raises(HttpResponseError) as caught:
        call(*arguments, **more)
    return caught.value.status_code, caught.value.error.code


def test_a_node_is_reimaged(client, bench):
    pool_id = bench.pool()
    node = only(client, pool_id)
    bench.run(bench.job(pool_id), "t", "/bin/sh -c 'touch $AZ_BATCH_NODE_SHARED_DIR/mark'")
    client.begin_reimage_node(
        pool_id, node.id, hidden.BatchNodeReimageOptions(node_reimage_option="requeue"), polling_interval=0.01
    ).result()
    bench.until(lambda: only(client, pool_id).state == "idle")
    names = {file.name for file in client.list_node_files(pool_id, node.id, recursive=True)}
    assert "shared/mark" not in names
    assert "shared" in names


def test_a_node_is_deallocated_and_started(client, bench):
    pool_id = bench.pool()
    node = only(client, pool_id)
    client.begin_deallocate_node(
        pool_id, node.id, hidden.BatchNodeDeallocateOptions(node_deallocate_option="terminate"), polling_interval=0.01
    ).result()
    assert client.get_node(pool_id, node.id).state == "deallocated"
    counts = next(client.list_pool_node_counts(filter=f"poolId eq '{pool_id}'"))
    assert counts.dedicated.deallocated == 1
    client.begin_start_node(pool_id, node.id, polling_interval=0.01).result()
    bench.until(lambda: client.get_node(pool_id, node.id).state == "idle")
    assert refused(client._start_node_internal, pool_id, node.id) == (409, "OperationNotValidOnNode")


@pytest.mark.parametrize("option", ["requeue", "terminate", "taskcompletion"])
def test_scheduling_is_disabled_and_enabled(client, bench, option):
    pool_id = bench.pool(slots=1)
    node = only(client, pool_id)
    job_id = bench.job(pool_id)
    command = "/bin/sh -c 'test -e $AZ_BATCH_NODE_SHARED_DIR/go || (touch $AZ_BATCH_NODE_SHARED_DIR/go; exec sleep 1)'"
    bench.task(job_id, "a", command)
    bench.until(
        lambda: any(file.name == "shared/go" for file in client.list_node_files(pool_id, node.id, recursive=True))
    )
    options = models.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option=option)
    client.disable_node_scheduling(pool_id, node.id, options)
    bench.until(lambda: client.get_node(pool_id, node.id).state == "offline")
    assert client.get_node(pool_id, node.id).scheduling_state == "disabled"
    task = client.get_task(job_id, "a")
    ended = {
        "requeue": ("active", None),
        "terminate": ("completed", "failure"),
        "taskcompletion": ("completed", "success"),
    }
    assert (task.state, task.execution_info.result) == ended[option]
    assert refused(client.disable_node_scheduling, pool_id, node.id, options) == (
        409,
        "NodeAlreadyInTargetSchedulingState",
    )
    client.enable_node_scheduling(pool_id, node.id)
    bench.completed(job_id, "a")


def test_users_of_a_node_are_made_replaced_and_deleted(client, bench):
    pool_id = bench.pool()
    node = only(client, pool_id)
    user = models.BatchNodeUserCreateOptions(name="me", is_admin=True, password="pass", expiry_time=SOON)
    client.create_node_user(pool_id, node.id, user)
    assert refused(client.create_node_user, pool_id, node.id, user) == (409, "NodeUserExists")
    client.replace_node_user(pool_id, node.id, "me", models.BatchNodeUserReplaceOptions(ssh_public_key="AAAA"))
    client.delete_node_user(pool_id, node.id, "me")
    assert refused(client.delete_node_user, pool_id, node.id, "me") == (404, "NodeUserNotFound")
    assert refused(client.delete_node_user, pool_id, "no-node", "me") == (404, "NodeNotFound")


def test_there_is_nothing_to_log_in_to(client, bench):
    pool_id = bench.pool()
    found = refused(client.get_node_remote_login_settings, pool_id, only(client, pool_id).id)
    assert found == (409, "OperationNotValidOnNode")


def test_logs_of_the_service_are_none(client, bench):
    pool_id = bench.pool()
    node = only(client, pool_id)
    options = models.UploadBatchServiceLogsOptions(
        container_url="https://x.blob.core.windows.net/logs?sig=s", start_time=datetime.datetime.now(datetime.UTC)
    )
    result = client.upload_node_logs(pool_id, node.id, options)
    assert result.number_of_files_uploaded == 0
    assert result.virtual_directory_name.startswith(f"{pool_id}/{node.id}/")


def test_extensions_are_listed(client, bench):
    pool_id = bench.pool()
    node = only(client, pool_id)
    assert list(client.list_node_extensions(pool_id, node.id)) == []
    assert refused(client.get_node_extension, pool_id, node.id, "x") == (404, "ResourceNotFound")


def test_usage_metrics_of_a_new_account_are_empty(client, bench):
    bench.pool()
    assert list(client.list_pool_usage_metrics()) == []
    late = datetime.datetime.now(datetime.UTC)
    assert refused(lambda: list(client.list_pool_usage_metrics(end_time=late))) == (400, "InvalidQueryParameterValue")


def test_usage_is_told_in_core_hours(account_of, bench_of, until):
    settings = Settings(node_delay=1.0, time_scale=20_000)
    with running_in_thread(settings) as server, account_of(server).client() as client:
        pool_id = bench_of(client).pool(nodes=2, wait=False)
        rows = until(lambda: [row for row in client.list_pool_usage_metrics() if row.total_core_hours > 1.9])
        assert {row.pool_id for row in rows} == {pool_id}
        assert all(row.end_time - row.start_time == datetime.timedelta(minutes=30) for row in rows)
        assert rows[0].total_core_hours == pytest.approx(2.0, abs=0.1)


def test_a_quota_shows_as_a_resize_error(account_of, bench_of, until):
    settings = Settings(node_delay=0.01, dedicated_core_quota=4)
    with running_in_thread(settings) as server, account_of(server).client() as client:
        pool_id = bench_of(client).pool(nodes=3, wait=False)
        pool = until(lambda: (found := client.get_pool(pool_id)).allocation_state == "steady" and found)
        assert (pool.target_dedicated_nodes, pool.current_dedicated_nodes) == (3, 2)
        assert [error.code for error in pool.resize_errors] == ["AccountCoreQuotaReached"]


def test_a_resize_is_stopped(account_of, bench_of):
    settings = Settings(node_delay=0.01, allocation_delay=600)
    with running_in_thread(settings) as server, account_of(server).client() as client:
        pool_id = bench_of(client).pool(nodes=3, wait=False)
        client.begin_stop_pool_resize(pool_id, polling_interval=0.01).result()
        pool = client.get_pool(pool_id)
        assert (pool.allocation_state, pool.target_dedicated_nodes) == ("steady", 0)
        assert [error.code for error in pool.resize_errors] == ["ResizeStopped"]
