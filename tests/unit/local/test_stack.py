"""The stack as it is: real Azurite, real processes. Each test has its own state folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobServiceClient

from batchimg.local.errors import LocalStackError
from batchimg.local.events import StackReady, StackStarting
from batchimg.local.ports import HOST, Ports, choose
from batchimg.local.processes import descendants, is_alive, wait_until_gone
from batchimg.local.stack import StackOptions, down, find, status, up
from batchimg.local.state import Phase, load_state

pytestmark = pytest.mark.slow

WELL_KNOWN_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def blobs(running, key=None):
    return BlobServiceClient(running.blob_endpoint, credential=key or running.storage_key)


def identities(paths):
    return load_state(paths.state_file).processes


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until_gone([process], 5) == []


def up_in_another_process():
    code = "from batchimg.local.stack import up; print(up().processes.supervisor)"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("home")
def test_up_tells_what_it_does_and_uses_the_ports_it_is_given():
    events, wanted = [], choose(Ports(), Ports())

    assert up(StackOptions(wanted), events.append).ports == wanted
    assert [type(event) for event in events] == [StackStarting, StackReady]


def test_blob_queue_and_batch_answer(running):
    with blobs(running) as client:
        client.create_container("photos").upload_blob("a b#ü", b"text")
    with blobs(running) as client:
        assert client.get_blob_client("photos", "a b#ü").download_blob().readall() == b"text"
    assert requests.get(running.queue_endpoint, params={"comp": "list"}, timeout=5).status_code == 403
    assert requests.get(f"{running.batch_endpoint}/healthz", timeout=5).status_code == 200
    assert running.batch_key
    assert find() == running


def test_the_well_known_key_does_not_open_the_blobs(running):
    with (
        blobs(running, WELL_KNOWN_KEY) as client,
        pytest.raises((ClientAuthenticationError, HttpResponseError)) as error,
    ):
        client.create_container("photos")

    assert error.value.status_code == 403


def test_tasks_get_the_storage_and_this_python_environment(running, shared_home):
    environment = json.loads(shared_home.node_environment_file.read_text())

    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert environment["BATCHIMG_STORAGE_ENDPOINT"] == running.blob_endpoint
    assert environment["BATCHIMG_STORAGE_KEY"] == running.storage_key


def test_nobody_else_can_read_keys_or_blobs(running, shared_home):
    home = shared_home
    assert home.home.stat().st_mode & 0o777 == 0o700
    secret = [home.state_file, home.storage_key_file, home.node_environment_file, home.ready_file]
    assert [file.stat().st_mode & 0o777 for file in secret] == [0o600] * 4
    assert running.storage_key not in repr(running)
    assert running.batch_key not in repr(running).replace(running.batch_endpoint, "")


@pytest.mark.usefixtures("home")
def test_without_a_stack_nothing_is_found_and_nothing_ends():
    assert find() is None
    assert down() is False
    assert status().phase is None
    assert status().reason == "it was never started"


def test_up_while_it_runs_is_the_same_stack(running):
    events = []

    assert up(on_event=events.append) == running
    assert up(StackOptions(running.ports)) == running
    assert events == []


@pytest.mark.usefixtures("home")
def test_many_starts_at_once_are_one_stack_that_outlives_them():
    commands = [up_in_another_process() for _ in range(3)]
    found = {int(command.communicate(timeout=60)[0]) for command in commands}

    assert found == {find().processes.supervisor}
    assert os.getsid(found.pop()) != os.getsid(0)


def test_after_down_and_up_ports_keys_and_blobs_are_the_same(home):
    first = up()
    with blobs(first) as client:
        client.create_container("photos").upload_blob("b", b"text")
    processes = identities(home)

    assert down() is True
    assert not any(is_alive(process) for process in processes)
    assert find() is None
    assert status().phase is Phase.STOPPED
    second = up()
    assert (second.ports, second.storage_key) == (first.ports, first.storage_key)
    with blobs(second) as client:
        assert client.get_blob_client("photos", "b").download_blob().readall() == b"text"


@pytest.mark.usefixtures("home")
def test_down_can_delete_what_is_stored():
    first = up()

    assert down(delete=True) is True
    assert not first.data_folder.exists()
    assert up().storage_key != first.storage_key


@pytest.mark.usefixtures("home")
def test_a_port_that_is_taken_meanwhile_is_replaced():
    ports = up().ports
    down()
    with socket.create_server((HOST, ports.queue)):
        again = up().ports

    assert again.queue != ports.queue
    assert (again.blob, again.batch) == (ports.blob, ports.batch)


@pytest.mark.usefixtures("home")
def test_a_taken_fixed_port_is_reported():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LocalStackError, match=f"batch port {port} is taken by .*pid {os.getpid()}"):
            up(StackOptions(Ports(batch=port)))

    assert find() is None


def test_another_port_than_that_of_the_running_stack_is_refused(running):
    other = choose(Ports(), Ports()).blob

    with pytest.raises(LocalStackError, match=f"runs already, with the blob port {running.ports.blob}"):
        up(StackOptions(Ports(blob=other)))


HOLD = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open(sys.argv[2], "w").close()
end = time.monotonic() + 20
while time.monotonic() < end and os.path.exists(sys.argv[2]):
    time.sleep(0.05)
"""

FIRST_LOSES_ITS_PORT = f"""
import os, subprocess, sys, time
from pathlib import Path

held = Path(__file__).parent / "held"
port = sys.argv[sys.argv.index("--port") + 1]
if not held.exists():
    subprocess.Popen([sys.executable, "-c", {HOLD!r}, port, held], start_new_session=True)
    while not held.exists():
        time.sleep(0.01)
    sys.exit(2)
del os.environ["PYTHONPATH"]
os.execv(sys.executable, [sys.executable, "-m", "batch_emulator", *sys.argv[1:]])
"""


def test_a_port_that_is_lost_before_it_is_used_is_replaced(home, tmp_path, monkeypatch):
    package = tmp_path / "first" / "batch_emulator"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FIRST_LOSES_ITS_PORT)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))

    found = up()
    assert "trying other ports" in found.logs.supervisor.read_text()
    assert find() == found
    assert requests.get(f"{found.batch_endpoint}/healthz", timeout=5).status_code == 200
    environment = json.loads(home.node_environment_file.read_text())
    assert environment["BATCHIMG_STORAGE_ENDPOINT"] == found.blob_endpoint
    (package / "held").unlink()


@pytest.mark.usefixtures("home")
def test_an_idle_time_of_nothing_is_refused():
    with pytest.raises(LocalStackError, match="idle_minutes is 0"):
        up(StackOptions(idle_minutes=0))


@pytest.mark.parametrize("service", ["azurite", "batch"])
@pytest.mark.usefixtures("home")
def test_a_service_that_is_killed_is_started_again_on_its_port(eventually, service):
    before = up()
    os.kill(getattr(before.processes, service), signal.SIGKILL)

    eventually(lambda: find() not in (None, before))
    after = find()
    assert after == replace(before, processes=after.processes)
    assert {each.name: each.restarts for each in status().services}[service] == 1
    with blobs(after) as client:
        client.create_container("photos")
    assert requests.get(f"{after.batch_endpoint}/healthz", timeout=5).status_code == 200


def test_up_waits_for_a_service_that_is_being_started_again(home):
    before = up()
    kill(identities(home)[1])

    after = up()
    assert after.processes.supervisor == before.processes.supervisor
    assert after.processes.azurite != before.processes.azurite


def test_a_killed_supervisor_takes_its_services_along(home, eventually):
    up()
    processes = identities(home)
    kill(processes[0])

    assert find() is None
    assert "killed" in status().reason
    eventually(lambda: not any(is_alive(process) for process in processes))


def test_up_after_a_killed_supervisor_does_not_meet_its_services(home):
    before = up()
    processes = identities(home)
    kill(processes[0])

    after = up()
    assert not any(is_alive(process) for process in processes)
    assert after.ports == before.ports
    assert find() == after


def test_a_recycled_pid_is_not_the_stack_and_is_left_alone(home):
    up()
    down()
    state = load_state(home.state_file)
    stranger = replace(state.supervisor, pid=os.getpid())
    services = tuple(replace(each, process=replace(each.process, pid=os.getpid())) for each in state.services)
    replace(state, phase=Phase.RUNNING, supervisor=stranger, services=services).save(home.state_file)

    assert find() is None
    assert up().processes.supervisor != os.getpid()


def test_a_damaged_state_file_is_survived(home):
    before = up()
    processes = identities(home)
    home.state_file.write_text('{"schema_version": 1, "tok')

    assert find() is None
    assert status().reason == "its state file is damaged"
    after = up()
    assert not any(is_alive(process) for process in processes)
    assert find() == after
    assert after.storage_key == before.storage_key


def test_a_stack_whose_folder_was_deleted_ends(home, eventually):
    up()
    processes = identities(home)
    home.state_file.unlink()

    eventually(lambda: not any(is_alive(process) for process in processes))


def test_an_idle_stack_ends_whoever_looks_and_says_why(home, eventually):
    up(StackOptions(idle_minutes=0.02))
    processes = identities(home)

    eventually(lambda: status() and find() is None and not any(is_alive(process) for process in processes))
    assert status().phase is Phase.STOPPED
    assert "nobody used it" in status().reason


@pytest.mark.usefixtures("home")
def test_requests_keep_a_stack_running():
    running = up(StackOptions(idle_minutes=0.02))
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert requests.get(running.blob_endpoint, timeout=5).status_code >= 400

    assert find() == running


def start_task(running, command):
    with BatchClient(
        running.batch_endpoint, AzureNamedKeyCredential(running.batch_account, running.batch_key)
    ) as client:
        image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2204")
        machine = models.VirtualMachineConfiguration(image_reference=image, node_agent_sku_id="batch.node.ubuntu 22.04")
        pool = models.BatchPoolCreateOptions(
            id="local", vm_size="standard_d2_v3", virtual_machine_configuration=machine, target_dedicated_nodes=1
        )
        client.create_pool(pool)
        client.create_job(models.BatchJobCreateOptions(id="run", pool_info=models.BatchPoolInfo(pool_id="local")))
        client.create_task("run", models.BatchTaskCreateOptions(id="1", command_line=command))


@pytest.mark.usefixtures("home")
def test_a_running_task_keeps_a_stack_running_and_ends_with_it(eventually):
    running = up(StackOptions(idle_minutes=0.02))
    start_task(running, "/bin/sleep 60")
    eventually(lambda: descendants(running.processes.batch))
    tasks = descendants(running.processes.batch)
    until = time.monotonic() + 3
    eventually(lambda: time.monotonic() > until)

    assert find() == running
    down()
    assert not any(is_alive(task) for task in tasks)


def test_a_stack_of_another_python_environment_is_replaced(home):
    before = up()
    replace(load_state(home.state_file), environment="/elsewhere").save(home.state_file)

    after = up()
    assert after.processes.supervisor != before.processes.supervisor
    assert (after.ports, after.storage_key, after.environment) == (before.ports, before.storage_key, sys.prefix)


def test_a_service_that_does_not_start_is_reported_with_its_last_words(home):
    (home.azurite / "__azurite_db_blob__.json").mkdir(parents=True)

    with pytest.raises(LocalStackError, match="azurite ended with exit code 1") as error:
        up()

    assert str(home.logs) in error.value.hint
    assert status().phase is Phase.FAILED


@pytest.mark.usefixtures("installed")
def test_the_stacks_of_two_users_do_not_meet(use_home):
    first_paths = use_home("first")
    first = up()
    second_paths = use_home("second")
    second = up()

    assert not set(first.ports.numbers()) & set(second.ports.numbers())
    assert first.storage_key != second.storage_key
    assert find() == second
    assert down() is True
    use_home("first")
    assert find() == first
    assert first_paths.home != second_paths.home


def test_status_names_processes_logs_and_sizes(running, eventually):
    with blobs(running) as client:
        client.create_container("sizes").upload_blob("b", b"x" * 100_000)
    said = status()

    assert said.stack == running
    assert (said.phase, said.reason) == (Phase.RUNNING, "")
    assert said.data_bytes > 100_000
    assert said.uptime_seconds > 0
    assert said.installed is not None
    by_name = {each.name: each for each in said.services}
    assert by_name["azurite"].pid == running.processes.azurite
    assert by_name["azurite"].memory_bytes > 10_000_000
    assert by_name["azurite"].log_bytes > 0
    eventually(lambda: "PUT /devstoreaccount1/sizes/b" in running.logs.azurite.read_text())


def test_a_home_that_cannot_be_written_is_reported(use_home, tmp_path):
    (tmp_path / "file").touch()
    use_home("file/home")

    with pytest.raises(LocalStackError, match="file/home cannot be made") as error:
        up()

    assert "BATCHIMG_HOME" in error.value.hint


@pytest.mark.usefixtures("home")
def test_find_imports_nothing_heavy():
    code = (
        "import sys; from batchimg.local.stack import find; find();"
        "print(sorted({'pydantic', 'psutil', 'filelock', 'numpy', 'azure', 'asyncio', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == "[]"
