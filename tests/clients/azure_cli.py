"""The commands `az batch ...`, one process each, as people and scripts call them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from steps import Steps, equal, until

POOL, AUTO, JOB, SCHEDULE = "cli-pool", "cli-auto", "cli-job", "cli-schedule"
FORMULA = "$TargetDedicatedNodes = max(1, 2);"
IMAGE = {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
MACHINE = {"imageReference": IMAGE, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}


class RefusedError(Exception):
    """A command that ended with an error, and what it said."""


class Scenario:
    def __init__(self, folder):
        self._folder = Path(folder)
        self._node = ""

    def _az(self, *words):
        """The JSON that `az batch WORDS` prints, or None."""
        command = [sys.executable, "-W", "ignore", "-m", "azure.cli", "batch", *words, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise RefusedError(f"az batch {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _refused(self, code, *words):
        try:
            self._az(*words)
        except RefusedError as error:
            equal(code if code in str(error) else str(error), code)
        else:
            raise AssertionError(f"{code} was expected of az batch {' '.join(words)}")

    def _json(self, name, value):
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(value), "utf-8")
        return str(path)

    def _steady(self, pool):
        until(lambda: self._az("pool", "show", "--pool-id", pool)["allocationState"] == "steady", "a steady pool")

    def pool_is_created(self):
        self._az(
            "pool", "create", "--id", POOL, "--vm-size", "Standard_D2_v3", "--target-dedicated-nodes", "2",
            "--image", "canonical:ubuntu-24_04-lts:server", "--node-agent-sku-id", "batch.node.ubuntu 24.04",
            "--task-slots-per-node", "4", "--start-task-command-line", "/bin/sh -c 'echo started'",
            "--start-task-wait-for-success", "--resize-timeout", "PT15M", "--metadata", "a=b",
        )  # fmt: skip
        found = self._az("pool", "show", "--pool-id", POOL)
        equal((found["state"], found["targetDedicatedNodes"], found["taskSlotsPerNode"]), ("active", 2, 4))
        listed = self._az("pool", "list", "--filter", "state eq 'active'", "--select", "id,state")
        equal([(pool["id"], pool.get("vmSize")) for pool in listed], [(POOL, None)])

    def pool_is_created_from_a_file(self):
        pool = {
            "id": AUTO,
            "vmSize": "Standard_D2_v3",
            "virtualMachineConfiguration": MACHINE,
            "enableAutoScale": True,
            "autoScaleFormula": "$TargetDedicatedNodes = 0;",
            "autoScaleEvaluationInterval": "PT5M",
            "startTask": {"commandLine": "/bin/true", "resourceFiles": [], "waitForSuccess": True},
            "metadata": [{"name": "a", "value": "b"}],
        }
        self._az("pool", "create", "--json-file", self._json("pool", pool))
        equal(self._az("pool", "show", "--pool-id", AUTO)["autoScaleEvaluationInterval"], "PT5M")
        self._az("pool", "delete", "--pool-id", AUTO, "--yes")

    def nodes_become_idle(self):
        def idle():
            nodes = self._az("node", "list", "--pool-id", POOL, "--filter", "state eq 'idle'")
            return nodes if len(nodes) == 2 else None

        nodes = until(idle, "two idle nodes")
        self._node = nodes[0]["id"]
        node = self._az("node", "show", "--pool-id", POOL, "--node-id", self._node, "--select", "id,state")
        equal((node["id"], node["state"]), (self._node, "idle"))

    def pool_is_resized(self):
        self._az("pool", "resize", "--pool-id", POOL, "--target-dedicated-nodes", "3")
        self._steady(POOL)
        equal(self._az("pool", "show", "--pool-id", POOL)["currentDedicatedNodes"], 3)
        nodes = self._az("node", "list", "--pool-id", POOL, "--query", "[].id")
        last = next(node for node in nodes if node != self._node)
        self._az("node", "delete", "--pool-id", POOL, "--node-list", last)
        self._steady(POOL)
        self._az("pool", "resize", "--pool-id", POOL, "--target-dedicated-nodes", "2")
        self._steady(POOL)
        self._refused("OperationInvalidForCurrentState", "pool", "resize", "--pool-id", POOL, "--abort")

    def pool_is_changed(self):
        self._az("pool", "set", "--pool-id", POOL, "--metadata", "c=d")
        equal(self._az("pool", "show", "--pool-id", POOL)["metadata"], [{"name": "c", "value": "d"}])
        self._az(
            "pool", "reset", "--pool-id", POOL, "--start-task-command-line", "/bin/true", "--metadata", "e=f"
        )  # fmt: skip
        found = self._az("pool", "show", "--pool-id", POOL)
        equal((found["startTask"]["commandLine"], found["metadata"][0]["name"]), ("/bin/true", "e"))

    def job_is_created(self):
        self._az(
            "job", "create", "--id", JOB, "--pool-id", POOL, "--priority", "5", "--uses-task-dependencies",
            "--job-max-task-retry-count", "0", "--job-max-wall-clock-time", "PT2H",
        )  # fmt: skip
        found = self._az("job", "show", "--job-id", JOB)
        equal((found["state"], found["priority"], found["usesTaskDependencies"]), ("active", 5, True))
        equal(found["constraints"]["maxTaskRetryCount"], 0)
        assert JOB in [job["id"] for job in self._az("job", "list", "--select", "id", "--filter", "state eq 'active'")]

    def job_is_created_from_a_file(self):
        job = {
            "id": f"{JOB}-file",
            "poolInfo": {"poolId": POOL},
            "jobPreparationTask": {"commandLine": "/bin/true", "resourceFiles": [], "waitForSuccess": True},
            "jobReleaseTask": {"commandLine": "/bin/true"},
            "onAllTasksComplete": "noaction",
            "commonEnvironmentSettings": [{"name": "JOBS", "value": "own"}],
        }
        self._az("job", "create", "--json-file", self._json("job", job))
        task = {"id": "1", "commandLine": "/bin/sh -c 'echo $JOBS'"}
        self._az("task", "create", "--job-id", f"{JOB}-file", "--json-file", self._json("task", task))
        until(lambda: self._az("task", "show", "--job-id", f"{JOB}-file", "--task-id", "1")["state"] == "completed", "")
        (status,) = self._az("job", "prep-release-status", "list", "--job-id", f"{JOB}-file")
        equal(status["jobPreparationTaskExecutionInfo"]["exitCode"], 0)
        self._az("job", "delete", "--job-id", f"{JOB}-file", "--yes")

    def tasks_are_added_and_run(self):
        one = self._az(
            "task", "create", "--job-id", JOB, "--task-id", "one", "--command-line", "/bin/sh -c 'echo $A'",
            "--environment-settings", "A=b", "--max-task-retry-count", "1", "--retention-time", "PT1H",
        )  # fmt: skip
        equal((one["id"], one["constraints"]["maxTaskRetryCount"]), ("one", 1))
        tasks = [{"id": f"t{n:03}", "commandLine": "/bin/true", "resourceFiles": []} for n in range(249)]
        added = self._az("task", "create", "--job-id", JOB, "--json-file", self._json("tasks", tasks))
        equal({entry["status"].lower() for entry in added}, {"success"})

        def done():
            return self._az("job", "task-counts", "show", "--job-id", JOB)["taskCounts"]["completed"] == 250

        until(done, "250 completed tasks")
        again = self._az("task", "create", "--job-id", JOB, "--json-file", self._json("tasks", tasks[:1]))
        equal([entry["error"]["code"] for entry in again], ["TaskExists"])

    def tasks_are_listed_in_pages(self):
        found = self._az("task", "list", "--job-id", JOB, "--select", "id,state", "--filter", "state eq 'completed'")
        equal((len(found), found[0].get("commandLine")), (250, None))
        table = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "azure.cli", "batch", "job", "list", "--output", "table"],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert JOB in table.stdout, table.stdout

    def files_are_read(self):
        # Without `file show`: azure-cli 2.91 cannot print what its own client gives there, whatever the service says.
        where = ("--job-id", JOB, "--task-id", "one")
        names = {entry["name"]: entry for entry in self._az("task", "file", "list", *where, "--recursive")}
        equal((int(names["stdout.txt"]["properties"]["contentLength"]), names["wd"]["isDirectory"]), (2, True))
        target = self._folder / "stdout.txt"
        self._az("task", "file", "download", *where, "--file-path", "stdout.txt", "--destination", str(target))
        equal(target.read_text("utf-8"), "b\n")
        node = self._az("task", "show", *where)["nodeInfo"]["nodeId"]
        there = ("--pool-id", POOL, "--node-id", node)
        listed = [entry["name"] for entry in self._az("node", "file", "list", *there, "--recursive")]
        path = next(name for name in listed if name.endswith("one/stdout.txt"))
        other = self._folder / "other.txt"
        self._az("node", "file", "download", *there, "--file-path", path, "--destination", str(other))
        equal(other.read_text("utf-8"), "b\n")
        self._az("task", "file", "delete", *where, "--file-path", "stdout.txt", "--yes")
        gone = ("--file-path", "stdout.txt", "--destination", str(self._folder / "gone.txt"))
        self._refused("FileNotFound", "task", "file", "download", *where, *gone)

    def tasks_are_ended_and_reactivated(self):
        self._az("task", "create", "--job-id", JOB, "--task-id", "long", "--command-line", "/bin/sleep 600")
        long = ("--job-id", JOB, "--task-id", "long")
        until(lambda: self._az("task", "show", *long)["state"] == "running", "a running task")
        self._az("task", "reset", *long, "--max-task-retry-count", "2")
        equal(self._az("task", "show", *long)["constraints"]["maxTaskRetryCount"], 2)
        self._az("task", "stop", *long)
        until(lambda: self._az("task", "show", *long)["state"] == "completed", "a stopped task")
        self._az("task", "reactivate", *long)
        until(lambda: self._az("task", "show", *long)["state"] == "running", "a task that runs again")
        self._az("task", "subtask", "list", *long)
        self._az("task", "delete", *long, "--yes")
        self._refused("TaskNotFound", "task", "show", *long)

    def schedules_live(self):
        this = ("--job-schedule-id", SCHEDULE)
        self._az(
            "job-schedule", "create", "--id", SCHEDULE, "--pool-id", POOL, "--recurrence-interval", "PT1H"
        )  # fmt: skip
        until(lambda: self._az("job-schedule", "show", *this).get("executionInfo", {}).get("recentJob"), "a first job")
        equal([job["id"] for job in self._az("job", "list", *this)], [f"{SCHEDULE}:job-1"])
        self._az("job-schedule", "disable", *this)
        self._az("job-schedule", "enable", *this)
        self._az("job-schedule", "set", *this, "--metadata", "a=b", "--recurrence-interval", "PT2H")
        equal(self._az("job-schedule", "show", *this)["schedule"]["recurrenceInterval"], "PT2H")
        self._az("job-schedule", "reset", *this, "--pool-id", POOL, "--recurrence-interval", "PT3H")
        assert SCHEDULE in [entry["id"] for entry in self._az("job-schedule", "list")]
        self._az("job-schedule", "stop", *this)
        self._az("job-schedule", "delete", *this, "--yes")

    def autoscale_is_evaluated(self):
        self._az("pool", "autoscale", "enable", "--pool-id", POOL, "--auto-scale-formula", FORMULA)
        run = self._az("pool", "autoscale", "evaluate", "--pool-id", POOL, "--auto-scale-formula", FORMULA)
        assert "$TargetDedicatedNodes=2" in run["results"], run
        self._steady(POOL)
        self._az("pool", "autoscale", "disable", "--pool-id", POOL)
        equal(self._az("pool", "show", "--pool-id", POOL)["enableAutoScale"], False)

    def nodes_are_commanded(self):
        node = ("--pool-id", POOL, "--node-id", self._node)
        self._az("node", "scheduling", "disable", *node)
        self._az("node", "scheduling", "enable", *node)
        self._az("node", "user", "create", *node, "--name", "anna", "--password", "Secret-1!", "--is-admin")
        self._az("node", "user", "reset", *node, "--user-name", "anna", "--password", "Secret-2!")
        self._az("node", "user", "delete", *node, "--user-name", "anna", "--yes")
        self._az("node", "reboot", *node)
        until(lambda: self._az("node", "show", *node)["state"] == "idle", "a rebooted node")
        self._refused("OperationNotValidOnNode", "node", "remote-login-settings", "show", *node)

    def job_is_changed_and_ended(self):
        this = ("--job-id", JOB)
        self._az("job", "set", *this, "--priority", "7")
        equal(self._az("job", "show", *this)["priority"], 7)
        self._az("job", "reset", *this, "--pool-id", POOL, "--priority", "1")
        self._az("job", "disable", *this, "--disable-tasks", "requeue")
        until(lambda: self._az("job", "show", *this)["state"] == "disabled", "a disabled job")
        self._az("job", "enable", *this)
        self._az("job", "stop", *this, "--terminate-reason", "enough")
        until(lambda: self._az("job", "show", *this)["state"] == "completed", "a completed job")
        equal(self._az("job", "show", *this)["executionInfo"]["terminateReason"], "enough")

    def account_is_shown(self):
        images = self._az("pool", "supported-images", "list", "--filter", "osType eq 'linux'")
        assert any("ubuntu" in image["nodeAgentSkuId"] for image in images), images
        (counts,) = self._az("pool", "node-counts", "list", "--filter", f"poolId eq '{POOL}'")
        equal(counts["dedicated"]["total"], 2)
        equal(self._az("application", "summary", "list"), [])
        self._refused("ApplicationNotFound", "application", "summary", "show", "--application-id", "none")
        self._az("pool", "usage-metrics", "list")

    def wrongs_are_refused(self):
        self._refused("PoolNotFound", "pool", "show", "--pool-id", "none")
        self._refused("JobNotFound", "job", "show", "--job-id", "none")
        self._refused("JobExists", "job", "create", "--id", JOB, "--pool-id", POOL)
        self._refused("JobCompleted", "task", "create", "--job-id", JOB, "--task-id", "x", "--command-line", "y")
        self._refused("InvalidQueryParameterValue", "job", "list", "--filter", "colour eq 'red'")
        self._refused("ConditionNotMet", "pool", "set", "--pool-id", POOL, "--metadata", "a=b", "--if-match", "0x1")

    def all_is_deleted(self):
        self._az("job", "delete", "--job-id", JOB, "--yes")
        self._az("pool", "delete", "--pool-id", POOL, "--yes")
        until(lambda: self._az("pool", "list") == [], "no pools")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Steps().run(Scenario(folder))
