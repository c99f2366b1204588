"""Make docs/pictures/emulator.png anew: the emulator's window with some work in it, photographed with Chromium."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential

from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "emulator.png"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1200,1050", "--virtual-time-budget=3000"),
)


def main() -> int:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("there is no Chromium to take the picture with", file=sys.stderr)
        return 1
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with running_in_thread(Settings(node_delay=0.01), Wishes(port=8099)) as server:
        credentials = server.emulator.credentials
        credential = AzureNamedKeyCredential(credentials.account, credentials.key)
        with BatchClient(server.emulator.account.url, credential) as client:
            work(client)
        with tempfile.TemporaryDirectory() as profile:
            where = (f"--user-data-dir={profile}", f"--screenshot={PICTURE}", server.window.link)
            environment = {"PATH": os.environ["PATH"], "HOME": profile}
            subprocess.run([browser, *FLAGS, *where], env=environment, check=True, timeout=60, capture_output=True)
    return 0


def work(client: BatchClient) -> None:
    """Two pools, three jobs, and tasks of all fates."""
    pool(client, "photos", 4, 2)
    pool(client, "night-shift", 1, 1, spot=2)
    job(client, "augment-2026-03-14", "photos", 0, [f"/bin/sleep {30 if number < 20 else 0}" for number in range(60)])
    job(client, "thumbnails", "night-shift", 5, ["/bin/true"] * 8 + ["/bin/sh -c 'exit 3'"] * 2)
    job(client, "waiting-for-a-pool", "not-there-yet", -10, ["/bin/true"] * 25)
    time.sleep(4)


def pool(client: BatchClient, pool_id: str, nodes: int, slots: int, spot: int = 0) -> None:
    machine = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="canonical", offer="ubuntu-24_04-lts", sku="server"),
        node_agent_sku_id="batch.node.ubuntu 24.04",
    )
    client.create_pool(
        models.BatchPoolCreateOptions(
            id=pool_id,
            vm_size="STANDARD_D4S_V5",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=nodes,
            target_low_priority_nodes=spot,
            task_slots_per_node=slots,
        )
    )


def job(client: BatchClient, job_id: str, pool_id: str, priority: int, commands: list[str]) -> None:
    info = models.BatchPoolInfo(pool_id=pool_id)
    client.create_job(models.BatchJobCreateOptions(id=job_id, pool_info=info, priority=priority))
    tasks = [models.BatchTaskCreateOptions(id=str(number), command_line=line) for number, line in enumerate(commands)]
    client.create_tasks(job_id, tasks)


if __name__ == "__main__":
    sys.exit(main())
