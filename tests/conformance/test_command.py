"""The command `batch-emulator` as a process of its own: restart after kill -9, isolation, clean end."""

import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError

from batch_emulator import cover, landlock
from batch_emulator.routes import ROUTES

COMMAND = [sys.executable, "-m", "batch_emulator", "start"]
VM = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}


class Started:
    """A running command, and a client for it."""

    def __init__(self, root: Path, until, *options: str, **environment: str):
        ready = root / "ready.json"
        ready.unlink(missing_ok=True)
        self.log = (root / "log").open("ab")
        self.process = subprocess.Popen(
            [*COMMAND, "--ready-file", str(ready), "--node-delay", "0.01", *options],
            stdout=self.log,
            stderr=self.log,
            env=os.environ | environment,
        )
        until(lambda: ready.exists() or self.process.poll() is not None, "the start")
        assert ready.exists(), (root / "log").read_text()
        assert ready.stat().st_mode & 0o777 == 0o600
        self.ready = json.loads(ready.read_text())
        credential = AzureNamedKeyCredential(self.ready["account"], self.ready["key"])
        self.client = BatchClient(self.ready["endpoint"], credential, retry_total=0)

    def pool(self, pool_id="p", nodes=1, slots=4, **more):
        self.client.create_pool(
            models.BatchPoolCreateOptions(
                id=pool_id,
                vm_size="s",
                target_dedicated_nodes=nodes,
                task_slots_per_node=slots,
                virtual_machine_configuration=models.VirtualMachineConfiguration(VM),
                **more,
            )
        )

    def job(self, job_id="j", **more):
        info = models.BatchPoolInfo(pool_id="p")
        self.client.create_job(models.BatchJobCreateOptions(id=job_id, pool_info=info, **more))

    def task(self, task_id, command="/bin/true", job_id="j", **more):
        self.client.create_task(job_id, models.BatchTaskCreateOptions(id=task_id, command_line=command, **more))

    def text(self, task_id, path="stdout.txt", job_id="j"):
        try:
            return b"".join(self.client.download_task_file(job_id, task_id, path)).decode()
        except HttpResponseError:
            return ""

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(8)
        self.client.close()
        self.log.close()
        return code


@pytest.fixture
def start(tmp_path, until):
    started = []

    def begin(*options, **environment):
        started.append(Started(tmp_path, until, *options, **environment))
        return started[-1]

    yield begin
    for emulator in started:
        if emulator.process.poll() is None:
            emulator.end()


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_was_acknowledged_survives_kill_9(start, tmp_path, until):
    options = ("--data-dir", str(tmp_path / "state"))
    first = start(*options)
    first.pool()
    first.job(uses_task_dependencies=True)
    first.task("done")
    until(lambda: first.client.get_task("j", "done").state == "completed")
    first.task("long", "/bin/sh -c 'echo $$ > pid; test -e $AZ_BATCH_NODE_SHARED_DIR/go && exit; touch "
               "$AZ_BATCH_NODE_SHARED_DIR/go; setsid sleep 300 & echo $! > away; sleep 300'")  # fmt: skip
    pids = [int(until(lambda name=name: first.text("long", f"wd/{name}"))) for name in ("pid", "away")]
    after = models.BatchTaskDependencies(task_ids=["long", "done"])
    first.task("after", depends_on=after)
    for number in range(20):
        first.task(f"n{number}", required_slots=4)
    first.end(signal.SIGKILL)

    second = start(*options)
    assert second.ready["key"] == first.ready["key"]
    assert not any(is_alive(pid) for pid in pids)
    until(lambda: second.client.get_job_task_counts("j").task_counts.completed == 23, "all tasks")
    tasks = {task.id: task for task in second.client.list_tasks("j")}
    assert len(tasks) == 23
    assert all(task.execution_info.result == "success" for task in tasks.values())
    assert tasks["long"].execution_info.requeue_count == 1
    assert tasks["long"].execution_info.retry_count == 0
    assert tasks["done"].execution_info.requeue_count == 0
    assert tasks["after"].execution_info.start_time >= tasks["long"].execution_info.end_time


def test_what_was_deleted_stays_deleted(start, tmp_path, until):
    options = ("--data-dir", str(tmp_path / "state"))
    first = start(*options)
    first.pool()
    first.job()
    first.job("k")
    first.task("a", "/bin/sleep 300")
    until(lambda: first.client.get_task("j", "a").state == "running")
    first.client.begin_delete_job("j", polling_interval=0.01).result()
    first.client.begin_delete_pool("p", polling_interval=0.01).result()
    first.end(signal.SIGKILL)
    second = start(*options)
    assert [job.id for job in second.client.list_jobs()] == ["k"]
    assert list(second.client.list_pools()) == []
    assert list((tmp_path / "state" / "nodes").iterdir()) == []


def test_sigterm_ends_it_with_all_its_tasks(start, tmp_path, until):
    emulator = start("--data-dir", str(tmp_path / "state"))
    emulator.pool()
    emulator.job()
    emulator.task("a", "/bin/sh -c \"trap '' TERM; setsid sleep 300 & echo $! > away; echo $$ > pid; sleep 300\"")
    pids = [int(until(lambda name=name: emulator.text("a", f"wd/{name}"))) for name in ("away", "pid")]
    assert emulator.end() == 0
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the task")


def test_what_a_task_moves_out_of_its_group_dies_with_it(start, until):
    emulator = start("--in-memory")
    emulator.pool()
    emulator.job()
    emulator.task("a", "/bin/sh -c 'setsid sleep 300 & echo $! > away'")
    until(lambda: emulator.client.get_task("j", "a").state == "completed")
    pid = int(emulator.text("a", "wd/away"))
    until(lambda: not is_alive(pid), "the end of the child")


def test_a_task_gets_the_nodes_environment_but_not_the_emulators_nor_the_key(start, tmp_path, until):
    node = tmp_path / "node.json"
    node.write_text(json.dumps({"ON_NODE": "yes", "PATH": "/usr/bin:/bin"}))
    emulator = start("--in-memory", "--node-environment", str(node), ONLY_EMULATOR="secret")
    emulator.pool()
    emulator.job()
    emulator.task("a", "env")
    until(lambda: emulator.client.get_task("j", "a").state == "completed")
    text = emulator.text("a")
    assert "ON_NODE=yes\n" in text
    assert "ONLY_EMULATOR" not in text
    assert emulator.ready["key"] not in text


def test_the_key_of_an_account_in_memory_can_be_given(start):
    key = "a2V5" * 16
    emulator = start("--in-memory", BATCH_EMULATOR_KEY=key)
    assert emulator.ready["key"] == key
    if os.geteuid() == 0:  # nobody else can look at all
        shown = Path(f"/proc/{emulator.process.pid}/environ").read_bytes()
        assert b"BATCH_EMULATOR_KEY=" in shown
        assert key.encode() not in shown


LOOKS = """import os, sys
def look(name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        if name != "mem":
            return file.read()
        spans = [line.split()[0].split("-") for line in open(f"/proc/{pid}/maps") if line.split()[1].startswith("rw")]
        found = b""
        for begin, end in spans:
            try:
                file.seek(int(begin, 16))
                found += file.read(min(int(end, 16) - int(begin, 16), 1 << 26))
            except OSError:
                pass
        return found
pid = sys.argv[1]
for name in ("environ", "mem", "cmdline"):
    try:
        print(name, "KEY" if os.environ["MARK"].encode() in look(name) else "nothing")
    except OSError as error:
        print(name, type(error).__name__)
"""


@pytest.mark.parametrize(
    "isolate",
    [
        pytest.param("on", marks=pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")),
        pytest.param("off", marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any process")),
    ],
)
def test_a_task_cannot_look_into_the_emulator(start, tmp_path, until, isolate):
    key = "c2VjcmV0" * 8
    emulator = start("--in-memory", "--isolate", isolate, BATCH_EMULATOR_KEY=key)
    emulator.pool()
    emulator.job()
    (tmp_path / "looks.py").write_text(LOOKS)
    mark = models.EnvironmentSetting(name="MARK", value=key[:8] * 8)
    command = f"{sys.executable} {tmp_path}/looks.py {emulator.process.pid}"
    emulator.task("a", command, environment_settings=[mark])
    until(lambda: emulator.client.get_task("j", "a").state == "completed")
    environ, *rest = emulator.text("a").splitlines()
    assert environ in ("environ PermissionError", "environ nothing")  # root can read it, but the key is not there
    assert rest == ["mem PermissionError", "cmdline nothing"]


def test_files_with_the_key_are_private_and_the_log_tells_nothing(start, tmp_path, until):
    emulator = start("--data-dir", str(tmp_path / "state"))
    list(emulator.client.list_pools())
    assert (tmp_path / "state" / "account.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state" / "journal.sqlite").stat().st_mode & 0o777 == 0o600
    until(lambda: "GET /pools 200" in (tmp_path / "log").read_text())
    log = (tmp_path / "log").read_text()
    assert emulator.ready["endpoint"] in log
    assert emulator.ready["key"] not in log
    assert "SharedKey" not in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--account", "../x"], "account"),
        (["--node-environment", "/no/such/file"], "/no/such/file"),
    ],
)
def test_a_wrong_start_is_one_line_and_exit_code_2(tmp_path, options, message):
    run = subprocess.run(
        [*COMMAND, "--data-dir", str(tmp_path / "s"), *options], capture_output=True, text=True, timeout=20, check=False
    )
    assert run.returncode == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"no database" * 500, None])
def test_a_journal_that_cannot_be_read_is_one_line_that_says_what_to_do(start, tmp_path, content):
    state = tmp_path / "state"
    options = ("--data-dir", str(state))
    start(*options).end()
    path = state / "journal.sqlite"
    if content is None:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA user_version = 1000")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    run = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert f"the state in {path} cannot be read: " in run.stderr
    assert "move " in run.stderr
    assert path.read_bytes() == before


COORDINATE = (
    "/bin/sh -c 'sleep 300 & echo $! > $AZ_BATCH_TASK_SHARED_DIR/background; "
    "setsid sleep 300 & echo $! > $AZ_BATCH_TASK_SHARED_DIR/away'"
)
LOOK = (
    "/bin/sh -c 'cd $AZ_BATCH_TASK_SHARED_DIR; kill -0 $(cat background) && kill -0 $(cat away) && echo both live; "
    "cat background away'"
)


def test_what_a_coordination_command_leaves_in_the_background_lives_as_long_as_the_task(start, until):
    emulator = start("--in-memory")
    emulator.pool(nodes=2, slots=1, enable_inter_node_communication=True)
    emulator.job()
    settings = models.MultiInstanceSettings(number_of_instances=2, coordination_command_line=COORDINATE)
    emulator.task("mpi", LOOK, multi_instance_settings=settings)
    until(lambda: emulator.client.get_task("j", "mpi").state == "completed")
    said, *pids = emulator.text("mpi").splitlines()
    assert said == "both live"
    assert len(pids) == 2
    until(lambda: not any(is_alive(int(pid)) for pid in pids), "the end of what was in the background")


def test_nodes_take_the_time_to_be_allocated_that_is_said(start):
    emulator = start("--in-memory", "--allocation-delay", "3600")
    emulator.pool()
    pool = emulator.client.get_pool("p")
    assert (pool.allocation_state, pool.current_dedicated_nodes) == ("resizing", 0)


def test_a_taken_port_or_data_directory_is_said_so(start, tmp_path):
    emulator = start("--data-dir", str(tmp_path / "state"))
    port = emulator.ready["endpoint"].rsplit(":", 1)[1]
    for options, part in (
        (["--in-memory", "--port", port], f"127.0.0.1:{port}"),
        (["--data-dir", str(tmp_path / "state")], "another emulator uses"),
    ):
        run = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
        assert (run.returncode, run.stderr.count("\n")) == (2, 1)
        assert part in run.stderr


def test_the_totals_of_nodes_and_auto_scale_survive_kill_9(start, tmp_path, until):
    options = ("--data-dir", str(tmp_path / "state"), "--time-scale", "600")
    first = start(*options)
    first.pool()
    first.job()
    first.task("good")
    first.task("bad", "/bin/false")
    until(lambda: first.client.get_task("j", "bad").state == "completed")
    until(lambda: first.client.get_task("j", "good").state == "completed")
    formula = "$TargetDedicatedNodes = $TargetDedicatedNodes;"
    first.client.enable_pool_auto_scale("p", models.BatchPoolEnableAutoScaleOptions(auto_scale_formula=formula))
    before = next(iter(first.client.list_nodes("p")))
    first.end(signal.SIGKILL)

    second = start(*options)
    (node,) = second.client.list_nodes("p")
    assert (node.id, node.total_tasks_run, node.total_tasks_succeeded) == (before.id, 2, 1)
    pool = second.client.get_pool("p")
    assert (pool.enable_auto_scale, pool.auto_scale_formula) == (True, formula)
    run = pool.auto_scale_run.timestamp
    until(lambda: second.client.get_pool("p").auto_scale_run.timestamp > run, "the next evaluation")
    second.end()


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_a_confined_task_reaches_its_node_and_the_machine_but_not_the_emulators_files(start, tmp_path, until):
    state = tmp_path / "state"
    emulator = start("--data-dir", str(state), "--isolate", "on", BATCH_EMULATOR_KEY="c2VjcmV0")
    emulator.pool(nodes=2)
    emulator.job()
    nodes = [node.id for node in until(lambda: len(list(emulator.client.list_nodes("p"))) == 2 and
                                       list(emulator.client.list_nodes("p")))]  # fmt: skip
    secrets = [state / "account.json", state / "journal.sqlite", tmp_path / "ready.json"]
    secrets.append(f"/proc/{emulator.process.pid}/root{state}/account.json")
    if os.geteuid() != 0:  # root may look into any process
        secrets.append(f"/proc/{emulator.process.pid}/environ")
    lines = [f"cat {path} >/dev/null 2>&1 && echo OPEN {path}" for path in secrets]
    lines.append(f"echo x > {state}/account.json")
    lines.append(f"for n in {chr(32).join(nodes)}; do echo x > {state}/nodes/$n/shared/f && echo NODE $n; done")
    lines += ["echo a > b && mkdir c && mv b c/b && cat c/b && ls / >/dev/null && echo FREE"]
    lines += ["echo x > $AZ_BATCH_NODE_SHARED_DIR/s && cat $AZ_BATCH_NODE_SHARED_DIR/s && echo $AZ_BATCH_NODE_ID",
              f"kill -0 {emulator.process.pid} && echo SIGNAL"]  # fmt: skip
    (tmp_path / "probe.sh").write_text("\n".join(lines))
    emulator.task("probe", f"/bin/sh {tmp_path}/probe.sh")
    until(lambda: emulator.client.get_task("j", "probe").state == "completed")
    said = emulator.text("probe").split("\n")
    node = emulator.client.get_task("j", "probe").node_info.node_id
    assert [line for line in said if line.startswith("OPEN")] == []
    assert [line for line in said if line.startswith("NODE")] == [f"NODE {node}"]
    assert ["a", "FREE", "x", node] == [line for line in said if line in ("a", "FREE", "x", node)]
    assert "SIGNAL" not in said
    assert json.loads((state / "account.json").read_text())["key"] == emulator.ready["key"]


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_a_confined_task_sees_what_was_put_beside_the_data_directory_before_it_started(start, tmp_path, until):
    emulator = start("--data-dir", str(tmp_path / "state"), "--isolate", "on")
    emulator.pool()
    emulator.job()
    for number in range(3):
        (tmp_path / f"fresh{number}").write_text(str(number))
        emulator.task(str(number), f"cat {tmp_path}/fresh{number}")
        until(lambda number=number: emulator.client.get_task("j", str(number)).state == "completed")
        assert emulator.text(str(number)) == str(number)


@pytest.mark.parametrize("options", [(), ("--isolate", "off")])
def test_where_tasks_would_miss_a_shared_folder_they_are_not_confined_unless_told(start, tmp_path, until, options):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    emulator = start("--data-dir", str(shared / "state"), *options)
    emulator.pool()
    emulator.job()
    emulator.task("a", f"/bin/sh -c 'echo x > {shared}/new && cat {shared}/new'")
    until(lambda: emulator.client.get_task("j", "a").state == "completed")
    assert emulator.text("a") == "x\n"


@pytest.mark.skipif(not cover.is_possible(), reason="needs root")
def test_in_a_shared_folder_the_emulators_files_are_empty_to_tasks(start, tmp_path, until):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    state = shared / "state"
    emulator = start("--data-dir", str(state))
    emulator.pool()
    emulator.job()
    secrets = f"{state}/account.json {state}/journal.sqlite {tmp_path}/ready.json"
    emulator.task("a", f"/bin/sh -c 'cat {secrets} | wc -c; echo x > {state}/account.json; rm -f {state}/account.json'")
    until(lambda: emulator.client.get_task("j", "a").state == "completed")
    assert emulator.text("a") == "0\n"
    assert json.loads((state / "account.json").read_text())["key"] == emulator.ready["key"]


def test_faults_and_the_window_are_told_to_who_started_it(start, tmp_path, until):
    emulator = start("--in-memory", "--faults")
    assert emulator.ready["faults"]["endpoint"].startswith("http://127.0.0.1:")
    until(lambda: "faults: " in (tmp_path / "log").read_text())
    log = (tmp_path / "log").read_text()
    assert f"window: {emulator.ready['endpoint']}/#window=" in log
    assert emulator.ready["window"] in log


def test_a_token_for_oauth_is_printed_for_the_owner_of_the_data_directory(start, tmp_path):
    options = ("--data-dir", str(tmp_path / "state"))
    emulator = start(*options, "--oauth")
    assert emulator.ready["endpoint"].startswith("https://")
    run = subprocess.run([*COMMAND[:-1], "token", *options], capture_output=True, text=True, timeout=20, check=True)
    context = ssl.create_default_context(cafile=emulator.ready["certificate"])
    url = f"{emulator.ready['endpoint']}/jobs?api-version=2025-06-01"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {run.stdout.strip()}"})
    with urllib.request.urlopen(request, context=context, timeout=5) as answer:
        assert json.loads(answer.read())["value"] == []


def test_coverage_lists_every_operation():
    run = subprocess.run([*COMMAND[:-1], "coverage"], capture_output=True, text=True, timeout=20, check=True)
    assert run.stdout.count("\n| ") == len(ROUTES)
    assert "| POST | `/jobs/{jobId}/addtaskcollection` | emulated |" in run.stdout
