"""How the worker comes to a node: the start task of `worker: wheel`, the container of `worker: container`."""

import pulumi
from registry import Registry
from settings import Settings
from storage import WORKER, Storage

# Nodes need no internet: the bundle holds pip, the worker's wheel and its locked dependencies.
_INSTALL = """\
set -eu
target="$AZ_BATCH_NODE_SHARED_DIR/batchimg"
rm -rf "$target" bundle
mkdir bundle
tar -xf worker.tar -C bundle
python3 bundle/pip.whl/pip install --quiet --no-index --find-links bundle --no-deps --require-hashes \
--target "$target" -r bundle/requirements.txt
PYTHONPATH="$target" python3 -m batchimg_worker --version
"""

# A task's command line is not read by a shell, so one has to find the node's shared folder.
WHEEL_COMMAND = (
    "/bin/sh -c "
    """'PYTHONPATH="$AZ_BATCH_NODE_SHARED_DIR/batchimg" exec python3 -m batchimg_worker "$@"' batchimg-worker"""
)
CONTAINER_COMMAND = "batchimg-worker"


def bundle(settings: Settings, storage: Storage) -> pulumi.Output[str]:
    """The address of the bundle in blob storage."""
    container = storage.containers[WORKER].name
    return pulumi.Output.concat(storage.endpoint, "/", container, f"/batchimg-worker-{settings.worker_version}.tar")


def start_task(settings: Settings, storage: Storage, identity: pulumi.Input[str]) -> dict[str, object]:
    """Install the bundle; a node whose start task fails takes no tasks."""
    return {
        "command_line": f"/bin/sh -c '{_INSTALL}'",
        "resource_files": [
            {
                "http_url": bundle(settings, storage),
                "file_path": "worker.tar",
                "identity_reference": {"resource_id": identity},
            }
        ],
        "user_identity": {"auto_user": {"scope": "Pool", "elevation_level": "NonAdmin"}},
        "max_task_retry_count": 2,
        "wait_for_success": True,
    }


def container(registry: Registry, identity: pulumi.Input[str]) -> dict[str, object]:
    """Fetch the image before a node takes tasks, signed in as the pool's identity."""
    return {
        "type": "DockerCompatible",
        "container_image_names": [registry.image],
        "container_registries": [{"registry_server": registry.server, "identity_reference": {"resource_id": identity}}],
    }


def image(settings: Settings) -> dict[str, str]:
    """Ubuntu 24.04 of the second generation, which Trusted Launch needs; with Docker where tasks are containers."""
    if settings.in_container:
        return {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404", "version": "latest"}
    return {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
