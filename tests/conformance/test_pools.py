import pytest
from azure.batch import models
from azure.batch.models import _models as hidden
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError


def test_a_new_pool_has_the_services_defaults(client, bench):
    pool = client.get_pool(bench.pool(nodes=0))
    assert pool.vm_size == "standard_d2_v3"
    assert pool.resize_timeout.total_seconds() == 900
    assert pool.task_scheduling_policy.node_fill_type.lower() == "spread"
    assert pool.virtual_machine_configuration.image_reference.version == "latest"
    assert (pool.state, pool.allocation_state, pool.enable_auto_scale) == ("active", "steady", False)
    assert (pool.current_dedicated_nodes, pool.target_low_priority_nodes) == (0, 0)


def test_a_pool_grows_and_shrinks(client, bench):
    pool_id = bench.pool(nodes=1)
    client.begin_resize_pool(
        pool_id, models.BatchPoolResizeOptions(target_dedicated_nodes=3), polling_interval=0.01
    ).result()
    assert client.get_pool(pool_id).current_dedicated_nodes == 3
    bench.until(lambda: all(node.state == "idle" for node in client.list_nodes(pool_id)))
    client.begin_resize_pool(
        pool_id, models.BatchPoolResizeOptions(target_dedicated_nodes=0), polling_interval=0.01
    ).result()
    assert list(client.list_nodes(pool_id)) == []


def test_a_node_can_be_removed_by_name(client, bench):
    pool_id = bench.pool(nodes=2)
    first, second = client.list_nodes(pool_id)
    client.begin_remove_nodes(
        pool_id, models.BatchNodeRemoveOptions(node_ids=[first.id]), polling_interval=0.01
    ).result()
    assert [node.id for node in client.list_nodes(pool_id)] == [second.id]
    assert client.get_pool(pool_id).target_dedicated_nodes == 1


def test_the_second_pool_of_an_id_is_refused(client, bench):
    pool_id = bench.pool(nodes=0)
    with pytest.raises(ResourceExistsError) as caught:
        client.create_pool(
            models.BatchPoolCreateOptions(
                id=pool_id.upper(),
                vm_size="s",
                virtual_machine_configuration=client.get_pool(pool_id).virtual_machine_configuration,
            )
        )
    assert caught.value.error.code == "PoolExists"


def test_a_deleted_pool_is_gone(client, bench):
    pool_id = bench.pool()
    assert client.pool_exists(pool_id)
    client.begin_delete_pool(pool_id, polling_interval=0.01).result()
    with pytest.raises(ResourceNotFoundError):
        client.get_pool(pool_id)


def test_properties_can_be_patched_and_replaced(client, bench):
    pool_id = bench.pool(nodes=0)
    item = models.BatchMetadataItem(name="a", value="b")
    client.update_pool(pool_id, models.BatchPoolUpdateOptions(metadata=[item], task_slots_per_node=7))
    pool = client.get_pool(pool_id)
    assert (pool.metadata[0].value, pool.task_slots_per_node) == ("b", 7)
    client.replace_pool_properties(
        pool_id, models.BatchPoolReplaceOptions(metadata=[], application_package_references=[])
    )
    assert not client.get_pool(pool_id).metadata


def test_a_start_task_prepares_the_node_before_any_task(client, bench):
    start = models.BatchStartTask(
        command_line="/bin/sh -c 'echo $WORD > $AZ_BATCH_NODE_SHARED_DIR/made'",
        environment_settings=[models.EnvironmentSetting(name="WORD", value="ready")],
        wait_for_success=True,
    )
    pool_id = bench.pool(start_task=start)
    node = next(iter(client.list_nodes(pool_id)))
    assert (node.start_task_info.state, node.start_task_info.exit_code) == ("completed", 0)
    job_id = bench.job(pool_id)
    bench.run(job_id, "t", "/bin/sh -c 'cat $AZ_BATCH_NODE_SHARED_DIR/made'")
    assert bench.text(job_id, "t") == "ready\n"
    names = [file.name for file in client.list_node_files(pool_id, node.id, recursive=True)]
    assert {"startup/stdout.txt", "shared/made", f"workitems/{job_id}/job-1/t/stdout.txt"} <= set(names)


def test_a_failing_start_task_shows_on_the_node(client, bench):
    pool_id = bench.pool(wait=False, start_task=models.BatchStartTask(command_line="/bin/false"))
    bench.until(lambda: [node.state for node in client.list_nodes(pool_id)] == ["starttaskfailed"])
    counts = next(client.list_pool_node_counts(filter=f"poolId eq '{pool_id}'"))
    assert (counts.dedicated.start_task_failed, counts.dedicated.total, counts.low_priority.total) == (1, 1, 0)
    node = next(iter(client.list_nodes(pool_id)))
    assert node.start_task_info.failure_info.code == "FailureExitCode"


def test_a_node_reboots(client, bench):
    pool_id = bench.pool()
    node = next(iter(client.list_nodes(pool_id)))
    client.begin_reboot_node(
        pool_id, node.id, hidden.BatchNodeRebootOptions(node_reboot_kind="requeue"), polling_interval=0.01
    ).result()
    again = bench.until(
        lambda: next((n for n in client.list_nodes(pool_id) if n.state == "idle"), None), "the node's return"
    )
    assert again.id == node.id
    assert again.last_boot_time > node.last_boot_time


def test_supported_images_include_ubuntu_24_04(client):
    agents = {image.node_agent_sku_id for image in client.list_supported_images()}
    assert "batch.node.ubuntu 24.04" in agents
