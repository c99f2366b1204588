"""azure-batch before 15 (msrest), as a program of its own: it runs in a venv that has nothing else."""

from datetime import UTC, datetime, timedelta

from azure.batch import BatchServiceClient, models
from azure.batch.batch_auth import SharedKeyCredentials
from steps import Steps, account, equal, until

POOL, AUTO, JOB, SCHEDULE = "track1-pool", "track1-auto", "track1-job", "track1-schedule"
FORMULA = "$TargetDedicatedNodes = max(1, 2);"


class Scenario:
    def __init__(self):
        url, name, key = account()
        self._client = BatchServiceClient(SharedKeyCredentials(name, key), batch_url=url)
        self._client.config.retry_policy.retries = 0

    def _refused(self, code, call):
        try:
            call()
        except models.BatchErrorException as error:
            equal(error.error.code, code)
            equal(bool(error.error.message.value), True)
            return error
        raise AssertionError(f"{code} was expected, and nothing was refused")

    def _machine(self):
        return models.VirtualMachineConfiguration(
            image_reference=models.ImageReference(
                publisher="canonical", offer="ubuntu-24_04-lts", sku="server", version="latest"
            ),
            node_agent_sku_id="batch.node.ubuntu 24.04",
        )

    def _idle(self, count, pool=POOL):
        def idle():
            return sum(n.state == "idle" for n in self._client.compute_node.list(pool)) == count

        until(idle, f"{count} idle nodes")

    def pool_is_created(self):
        self._client.pool.add(
            models.PoolAddParameter(
                id=POOL,
                vm_size="standard_d2_v3",
                virtual_machine_configuration=self._machine(),
                target_dedicated_nodes=2,
                task_slots_per_node=4,
                task_scheduling_policy=models.TaskSchedulingPolicy(node_fill_type="pack"),
                start_task=models.StartTask(
                    command_line="/bin/sh -c 'echo started'",
                    resource_files=[],
                    wait_for_success=True,
                    environment_settings=[models.EnvironmentSetting(name="A", value="b")],
                    user_identity=models.UserIdentity(
                        auto_user=models.AutoUserSpecification(scope="pool", elevation_level="admin")
                    ),
                ),
                metadata=[models.MetadataItem(name="a", value="b")],
                resize_timeout=timedelta(minutes=10),
            )
        )
        assert self._client.pool.exists(POOL)
        assert not self._client.pool.exists("none")
        found = self._client.pool.get(POOL)
        equal((found.state, found.target_dedicated_nodes, found.vm_size), ("active", 2, "standard_d2_v3"))
        equal(found.start_task.user_identity.auto_user.elevation_level, "admin")
        equal(found.resize_timeout, timedelta(minutes=10))
        equal(found.task_scheduling_policy.node_fill_type.lower(), "pack")
        options = models.PoolListOptions(filter=f"startswith(id,'{POOL}')", select="id,state")
        (listed,) = self._client.pool.list(options)
        equal((listed.id, listed.vm_size), (POOL, None))

    def nodes_become_idle(self):
        self._idle(2)
        node = next(iter(self._client.compute_node.list(POOL)))
        equal((node.start_task_info.state, node.start_task_info.exit_code), ("completed", 0))
        equal((node.is_dedicated, node.scheduling_state), (True, "enabled"))
        assert node.allocation_time.tzinfo is not None
        one = self._client.compute_node.get(POOL, node.id, models.ComputeNodeGetOptions(select="id,state"))
        equal((one.id, one.state), (node.id, "idle"))

    def pool_is_resized(self):
        self._client.pool.resize(
            POOL, models.PoolResizeParameter(target_dedicated_nodes=3, resize_timeout=timedelta(minutes=5))
        )
        until(lambda: self._client.pool.get(POOL).allocation_state == "steady", "the end of the resize")
        self._idle(3)
        last = next(iter(self._client.compute_node.list(POOL))).id
        self._client.pool.remove_nodes(POOL, models.NodeRemoveParameter(node_list=[last]))
        self._idle(2)
        self._client.pool.resize(POOL, models.PoolResizeParameter(target_dedicated_nodes=3))
        self._client.pool.stop_resize(POOL)
        until(lambda: self._client.pool.get(POOL).allocation_state == "steady", "the end of the stopped resize")

    def pool_is_changed(self):
        patch = models.PoolPatchParameter(metadata=[models.MetadataItem(name="c", value="d")])
        self._client.pool.patch(POOL, patch)
        equal([m.name for m in self._client.pool.get(POOL).metadata], ["c"])
        more = {"target_node_communication_mode": "default"} if hasattr(models, "NodeCommunicationMode") else {}
        self._client.pool.update_properties(
            POOL,
            models.PoolUpdatePropertiesParameter(
                certificate_references=[], application_package_references=[], metadata=[], **more
            ),
        )
        equal(self._client.pool.get(POOL).start_task, None)

    def job_is_created(self):
        self._client.job.add(
            models.JobAddParameter(
                id=JOB,
                priority=5,
                uses_task_dependencies=True,
                pool_info=models.PoolInformation(pool_id=POOL),
                constraints=models.JobConstraints(max_wall_clock_time=timedelta(hours=2), max_task_retry_count=0),
                job_preparation_task=models.JobPreparationTask(
                    command_line="/bin/sh -c 'echo prepared'", resource_files=[]
                ),
                job_release_task=models.JobReleaseTask(command_line="/bin/true"),
                common_environment_settings=[models.EnvironmentSetting(name="JOBS", value="own")],
            )
        )
        found = self._client.job.get(JOB)
        equal((found.state, found.priority, found.constraints.max_wall_clock_time), ("active", 5, timedelta(hours=2)))
        equal(found.on_all_tasks_complete.lower(), "noaction")
        listed = list(self._client.job.list(models.JobListOptions(filter="state eq 'active'", select="id")))
        assert JOB in [job.id for job in listed]

    def tasks_are_added_and_run(self):
        tasks = [
            models.TaskAddParameter(id=f"t{n:03}", command_line="/bin/sh -c 'echo $JOBS'", resource_files=[])
            for n in range(250)
        ]
        result = self._client.task.add_collection(JOB, tasks, threads=2)
        equal(sorted(r.task_id for r in result.value), [t.id for t in tasks])
        equal({r.status.lower() for r in result.value}, {"success"})

        def done():
            counts = self._client.job.get_task_counts(JOB)
            return counts.task_counts.completed == 250

        until(done, "250 completed tasks")
        counts = self._client.job.get_task_counts(JOB)
        equal((counts.task_counts.succeeded, counts.task_counts.failed, counts.task_slot_counts.active), (250, 0, 0))

    def tasks_are_listed_in_pages(self):
        options = models.TaskListOptions(
            filter="state eq 'completed' and executionInfo/exitCode eq 0", select="id,state", max_results=100
        )
        found = list(self._client.task.list(JOB, options))
        equal((len(found), len({t.id for t in found}), found[0].command_line), (250, 250, None))
        task = self._client.task.get(JOB, "t000")
        equal((task.execution_info.exit_code, task.execution_info.result.lower()), (0, "success"))
        assert task.execution_info.start_time <= task.execution_info.end_time
        equal(task.constraints.max_task_retry_count, 0)
        assert task.node_info.node_id
        (status,) = [
            s
            for s in self._client.job.list_preparation_and_release_task_status(JOB)
            if s.node_id == task.node_info.node_id
        ]
        equal(status.job_preparation_task_execution_info.exit_code, 0)
        equal(status.job_preparation_task_execution_info.result.lower(), "success")

    def files_are_read(self):
        files = self._client.file
        names = {f.name: f for f in files.list_from_task(JOB, "t000", recursive=True)}
        assert {"stdout.txt", "stderr.txt", "wd"} <= set(names), sorted(names)
        equal((names["stdout.txt"].properties.content_length, names["wd"].is_directory), (4, True))
        equal(b"".join(files.get_from_task(JOB, "t000", "stdout.txt")), b"own\n")
        ranged = models.FileGetFromTaskOptions(ocp_range="bytes=0-1")
        equal(b"".join(files.get_from_task(JOB, "t000", "stdout.txt", ranged)), b"ow")
        raw = files.get_properties_from_task(JOB, "t000", "stdout.txt", raw=True)
        equal(raw.headers["Content-Length"], 4)
        equal(raw.headers["ocp-batch-file-isdirectory"], False)
        assert raw.headers["ocp-creation-time"] <= datetime.now(UTC) + timedelta(minutes=1)
        node = self._client.task.get(JOB, "t000").node_info.node_id
        listed = list(files.list_from_compute_node(POOL, node, recursive=True))
        path = next(f.name for f in listed if f.name.endswith("t000/stdout.txt"))
        equal(b"".join(files.get_from_compute_node(POOL, node, path)), b"own\n")
        files.get_properties_from_compute_node(POOL, node, path)
        files.delete_from_task(JOB, "t000", "stdout.txt")
        self._refused("FileNotFound", lambda: files.get_from_task(JOB, "t000", "stdout.txt"))

    def tasks_are_ended_and_reactivated(self):
        task = self._client.task
        task.add(JOB, models.TaskAddParameter(id="long", command_line="/bin/sleep 600"))
        until(lambda: task.get(JOB, "long").state == "running", "a running task")
        task.update(JOB, "long", models.TaskConstraints(max_task_retry_count=1))
        equal(task.get(JOB, "long").constraints.max_task_retry_count, 1)
        task.terminate(JOB, "long")
        until(lambda: task.get(JOB, "long").state == "completed", "an ended task")
        equal(task.get(JOB, "long").execution_info.failure_info.code, "TaskEnded")
        task.add(JOB, models.TaskAddParameter(id="fails", command_line="/bin/sh -c 'exit 3'"))
        until(lambda: task.get(JOB, "fails").state == "completed", "a failed task")
        found = task.get(JOB, "fails").execution_info
        equal((found.exit_code, found.result.lower(), found.failure_info.category.lower()), (3, "failure", "usererror"))
        task.reactivate(JOB, "fails")
        until(lambda: task.get(JOB, "fails").state == "completed", "a reactivated task")
        equal(list(task.list_subtasks(JOB, "fails").value or []), [])
        task.delete(JOB, "fails")
        self._refused("TaskNotFound", lambda: task.get(JOB, "fails"))
        depends = models.TaskDependencies(task_ids=["t001"], task_id_ranges=[])
        exits = models.ExitConditions(
            exit_codes=[models.ExitCodeMapping(code=1, exit_options=models.ExitOptions(dependency_action="satisfy"))]
        )
        task.add(
            JOB,
            models.TaskAddParameter(id="after", command_line="/bin/true", depends_on=depends, exit_conditions=exits),
        )
        until(lambda: task.get(JOB, "after").state == "completed", "a dependent task")

    def schedules_live(self):
        schedules = self._client.job_schedule
        spec = models.JobSpecification(pool_info=models.PoolInformation(pool_id=POOL), priority=1)
        schedule = models.Schedule(recurrence_interval=timedelta(hours=1))
        schedules.add(models.JobScheduleAddParameter(id=SCHEDULE, schedule=schedule, job_specification=spec))
        assert schedules.exists(SCHEDULE)
        assert not schedules.exists("none")
        until(lambda: schedules.get(SCHEDULE).execution_info.recent_job, "the first job of the schedule")
        equal([job.id for job in self._client.job.list_from_job_schedule(SCHEDULE)], [f"{SCHEDULE}:job-1"])
        schedules.disable(SCHEDULE)
        equal(schedules.get(SCHEDULE).state, "disabled")
        schedules.enable(SCHEDULE)
        schedules.patch(SCHEDULE, models.JobSchedulePatchParameter(metadata=[models.MetadataItem(name="a", value="b")]))
        schedules.update(SCHEDULE, models.JobScheduleUpdateParameter(schedule=schedule, job_specification=spec))
        assert SCHEDULE in [s.id for s in schedules.list()]
        schedules.terminate(SCHEDULE)
        until(lambda: schedules.get(SCHEDULE).state == "completed", "the end of the schedule")
        schedules.delete(SCHEDULE)
        until(lambda: not schedules.exists(SCHEDULE), "a deleted schedule")

    def autoscale_is_evaluated(self):
        pool = self._client.pool
        pool.enable_auto_scale(POOL, FORMULA, timedelta(minutes=5))
        run = pool.evaluate_auto_scale(POOL, FORMULA)
        assert "$TargetDedicatedNodes=2" in run.results, run.results
        equal(run.error, None)
        found = pool.get(POOL)
        equal((found.enable_auto_scale, found.auto_scale_evaluation_interval), (True, timedelta(minutes=5)))
        wrong = pool.evaluate_auto_scale(POOL, "$TargetDedicatedNodes = min($CPUPercent.GetSample(0));").error
        assert wrong is None or wrong.code
        until(lambda: pool.get(POOL).allocation_state == "steady", "a steady pool")
        pool.disable_auto_scale(POOL)
        equal(pool.get(POOL).enable_auto_scale, False)

    def job_is_changed_and_ended(self):
        job = self._client.job
        job.patch(JOB, models.JobPatchParameter(priority=7))
        equal(job.get(JOB).priority, 7)
        job.update(JOB, models.JobUpdateParameter(pool_info=models.PoolInformation(pool_id=POOL), priority=1))
        job.disable(JOB, "requeue")
        until(lambda: job.get(JOB).state == "disabled", "a disabled job")
        job.enable(JOB)
        until(lambda: job.get(JOB).state == "active", "an active job")
        job.terminate(JOB, terminate_reason="enough")
        until(lambda: job.get(JOB).state == "completed", "a completed job")
        equal(job.get(JOB).execution_info.terminate_reason, "enough")

    def nodes_are_commanded(self):
        node = self._client.compute_node
        node_id = next(iter(node.list(POOL))).id
        node.disable_scheduling(POOL, node_id, "requeue")
        until(
            lambda: (
                node.get(POOL, node_id).state == "offline" or node.get(POOL, node_id).scheduling_state == "disabled"
            ),
            "no scheduling",
        )
        node.enable_scheduling(POOL, node_id)
        node.add_user(POOL, node_id, models.ComputeNodeUser(name="anna", password="Secret-1!", is_admin=True))
        node.update_user(POOL, node_id, "anna", models.NodeUpdateUserParameter(password="Secret-2!"))
        node.delete_user(POOL, node_id, "anna")
        node.reboot(POOL, node_id)
        until(lambda: node.get(POOL, node_id).state == "idle", "a rebooted node")
        node.reimage(POOL, node_id)
        until(lambda: node.get(POOL, node_id).state == "idle", "a reimaged node")
        self._refused("OperationNotValidOnNode", lambda: node.get_remote_login_settings(POOL, node_id))

    def account_is_shown(self):
        assert any("ubuntu" in image.node_agent_sku_id for image in self._client.account.list_supported_images())
        (counts,) = self._client.account.list_pool_node_counts(
            models.AccountListPoolNodeCountsOptions(filter=f"poolId eq '{POOL}'")
        )
        assert counts.dedicated.total >= 2
        equal(list(self._client.application.list()), [])
        self._refused("ApplicationNotFound", lambda: self._client.application.get("none"))
        list(self._client.pool.list_usage_metrics())

    def wrongs_are_refused(self):
        client = self._client
        for code, call in (
            ("PoolNotFound", lambda: client.pool.get("none")),
            ("JobNotFound", lambda: client.job.get("none")),
            ("TaskNotFound", lambda: client.task.get(JOB, "none")),
            ("NodeNotFound", lambda: client.compute_node.get(POOL, "none")),
            ("JobScheduleNotFound", lambda: client.job_schedule.get("none")),
        ):
            equal(self._refused(code, call).response.status_code, 404)
        same = models.JobAddParameter(id=JOB, pool_info=models.PoolInformation(pool_id=POOL))
        equal(self._refused("JobExists", lambda: client.job.add(same)).response.status_code, 409)
        late = models.TaskAddParameter(id="late", command_line="/bin/true")
        equal(self._refused("JobCompleted", lambda: client.task.add(JOB, late)).response.status_code, 409)
        wrong = models.JobListOptions(filter="colour eq 'red'")
        equal(
            self._refused("InvalidQueryParameterValue", lambda: list(client.job.list(wrong))).response.status_code, 400
        )
        stale = models.JobPatchOptions(if_match='"0x1"')
        patch = models.JobPatchParameter(priority=1)
        equal(self._refused("ConditionNotMet", lambda: client.job.patch(JOB, patch, stale)).response.status_code, 412)
        etag = client.job.get(JOB).e_tag
        options = models.JobGetOptions(if_none_match=etag)
        try:
            client.job.get(JOB, options)
        except models.BatchErrorException as error:
            equal(error.response.status_code, 304)
        else:
            raise AssertionError("304 was expected")

    def all_is_deleted(self):
        self._client.job.delete(JOB)
        until(lambda: JOB not in [job.id for job in self._client.job.list()], "a deleted job")
        self._client.pool.delete(POOL)
        until(lambda: not self._client.pool.exists(POOL), "a deleted pool")


if __name__ == "__main__":
    Steps().run(Scenario())
