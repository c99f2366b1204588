import com.microsoft.azure.batch.BatchClient;
import com.microsoft.azure.batch.DetailLevel;
import com.microsoft.azure.batch.auth.BatchSharedKeyCredentials;
import com.microsoft.azure.batch.protocol.models.*;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.joda.time.Period;

/** com.microsoft.azure:azure-batch, the client for Java. */
public final class Scenario {
    private static final String POOL = "java-pool";
    private static final String JOB = "java-job";
    private static final String SCHEDULE = "java-schedule";
    private static final String FORMULA = "$TargetDedicatedNodes = max(1, 2);";
    private static final long DEADLINE = 60_000;

    private final String url = System.getenv("AZURE_BATCH_ENDPOINT");
    private final String account = System.getenv("AZURE_BATCH_ACCOUNT");
    private final BatchClient client = open(System.getenv("AZURE_BATCH_ACCESS_KEY"));
    private boolean failed;

    private interface Action {
        void run() throws Exception;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    public static void main(String[] arguments) {
        Scenario scenario = new Scenario();
        scenario.step("pool is created", scenario::poolIsCreated);
        scenario.step("nodes become idle", scenario::nodesBecomeIdle);
        scenario.step("pool is resized", scenario::poolIsResized);
        scenario.step("pool is changed", scenario::poolIsChanged);
        scenario.step("job is created", scenario::jobIsCreated);
        scenario.step("tasks are added and run", scenario::tasksAreAddedAndRun);
        scenario.step("tasks are listed in pages", scenario::tasksAreListedInPages);
        scenario.step("files are read", scenario::filesAreRead);
        scenario.step("tasks are ended and reactivated", scenario::tasksAreEndedAndReactivated);
        scenario.step("schedules live", scenario::schedulesLive);
        scenario.step("autoscale is evaluated", scenario::autoscaleIsEvaluated);
        scenario.step("nodes are commanded", scenario::nodesAreCommanded);
        scenario.step("job is changed and ended", scenario::jobIsChangedAndEnded);
        scenario.step("account is shown", scenario::accountIsShown);
        scenario.step("wrongs are refused", scenario::wrongsAreRefused);
        scenario.step("all is deleted", scenario::allIsDeleted);
        System.exit(scenario.failed ? 1 : 0);
    }

    private BatchClient open(String key) {
        return BatchClient.open(new BatchSharedKeyCredentials(url, account, key));
    }

    private void step(String name, Action action) {
        try {
            action.run();
            System.out.println("ok " + name);
        } catch (Exception error) {
            failed = true;
            System.out.println("not ok " + name + ": " + String.valueOf(error).replaceAll("\\s+", " "));
            error.printStackTrace();
        }
    }

    private static void until(String what, Condition condition) throws Exception {
        long deadline = System.currentTimeMillis() + DEADLINE;
        while (!condition.holds()) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException(what + " did not come true in time");
            }
            Thread.sleep(100);
        }
    }

    private static void equal(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new IllegalStateException("found " + found + ", expected " + wanted);
        }
    }

    private static void refused(String code, int status, Action action) throws Exception {
        try {
            action.run();
        } catch (BatchErrorException error) {
            equal(error.body().code(), code);
            equal(error.response().code(), status);
            return;
        }
        throw new IllegalStateException(code + " was expected, and nothing was refused");
    }

    private static DetailLevel detail(String filter, String select) {
        return new DetailLevel.Builder().withFilterClause(filter).withSelectClause(select).build();
    }

    private void idle(int count) throws Exception {
        until(count + " idle nodes", () -> client.computeNodeOperations().listComputeNodes(POOL).stream()
            .filter(node -> node.state() == ComputeNodeState.IDLE).count() == count);
    }

    private void steady() throws Exception {
        until("a steady pool",
            () -> client.poolOperations().getPool(POOL).allocationState() == AllocationState.STEADY);
    }

    private void task(String id, TaskState state) throws Exception {
        until(id + " " + state, () -> client.taskOperations().getTask(JOB, id).state() == state);
    }

    private void poolIsCreated() throws Exception {
        VirtualMachineConfiguration machine = new VirtualMachineConfiguration()
            .withImageReference(new ImageReference().withPublisher("canonical").withOffer("ubuntu-24_04-lts")
                .withSku("server").withVersion("latest"))
            .withNodeAgentSKUId("batch.node.ubuntu 24.04");
        StartTask start = new StartTask().withCommandLine("/bin/sh -c 'echo started'").withWaitForSuccess(true)
            .withResourceFiles(new ArrayList<>())
            .withUserIdentity(new UserIdentity().withAutoUser(new AutoUserSpecification()
                .withScope(AutoUserScope.POOL).withElevationLevel(ElevationLevel.ADMIN)));
        client.poolOperations().createPool(new PoolAddParameter().withId(POOL).withVmSize("standard_d2_v3")
            .withVirtualMachineConfiguration(machine).withTargetDedicatedNodes(2).withTaskSlotsPerNode(4)
            .withTaskSchedulingPolicy(new TaskSchedulingPolicy().withNodeFillType(ComputeNodeFillType.PACK))
            .withStartTask(start).withResizeTimeout(Period.minutes(10))
            .withMetadata(List.of(new MetadataItem().withName("a").withValue("b"))));
        equal(client.poolOperations().existsPool(POOL), true);
        equal(client.poolOperations().existsPool("none"), false);
        CloudPool found = client.poolOperations().getPool(POOL);
        equal(found.state(), PoolState.ACTIVE);
        equal(found.resizeTimeout().toStandardMinutes().getMinutes(), 10);
        equal(found.startTask().userIdentity().autoUser().elevationLevel(), ElevationLevel.ADMIN);
        equal(found.taskSchedulingPolicy().nodeFillType(), ComputeNodeFillType.PACK);
        List<CloudPool> listed = client.poolOperations().listPools(detail("startswith(id,'java')", "id,state"));
        equal(listed.size(), 1);
        equal(listed.get(0).vmSize(), null);
    }

    private void nodesBecomeIdle() throws Exception {
        idle(2);
        ComputeNode node = client.computeNodeOperations().listComputeNodes(POOL).get(0);
        equal(node.startTaskInfo().state(), StartTaskState.COMPLETED);
        equal(node.startTaskInfo().result(), TaskExecutionResult.SUCCESS);
        equal(node.schedulingState(), SchedulingState.ENABLED);
        equal(client.computeNodeOperations().getComputeNode(POOL, node.id()).id(), node.id());
    }

    private void poolIsResized() throws Exception {
        client.poolOperations().resizePool(POOL, 3, 0, Period.minutes(5));
        steady();
        idle(3);
        client.poolOperations().removeNodeFromPool(
            POOL, client.computeNodeOperations().listComputeNodes(POOL).get(0).id());
        idle(2);
        client.poolOperations().resizePool(POOL, 3, 0);
        client.poolOperations().stopResizePool(POOL);
        steady();
    }

    private void poolIsChanged() throws Exception {
        client.poolOperations().patchPool(POOL,
            new PoolPatchParameter().withMetadata(List.of(new MetadataItem().withName("c").withValue("d"))));
        equal(client.poolOperations().getPool(POOL).metadata().get(0).name(), "c");
        client.poolOperations().updatePoolProperties(POOL, null, List.of(), List.of(), List.of());
        equal(client.poolOperations().getPool(POOL).startTask(), null);
    }

    private void jobIsCreated() throws Exception {
        client.jobOperations().createJob(new JobAddParameter().withId(JOB).withPriority(5)
            .withUsesTaskDependencies(true).withPoolInfo(new PoolInformation().withPoolId(POOL))
            .withConstraints(new JobConstraints().withMaxWallClockTime(Period.hours(2)).withMaxTaskRetryCount(0))
            .withJobPreparationTask(new JobPreparationTask().withCommandLine("/bin/true").withResourceFiles(List.of()))
            .withJobReleaseTask(new JobReleaseTask().withCommandLine("/bin/true"))
            .withOnAllTasksComplete(OnAllTasksComplete.NO_ACTION)
            .withCommonEnvironmentSettings(List.of(new EnvironmentSetting().withName("JOBS").withValue("own"))));
        CloudJob found = client.jobOperations().getJob(JOB);
        equal(found.state(), JobState.ACTIVE);
        equal(found.priority(), 5);
        equal(found.onAllTasksComplete(), OnAllTasksComplete.NO_ACTION);
        equal(found.constraints().maxWallClockTime().toStandardHours().getHours(), 2);
    }

    private void tasksAreAddedAndRun() throws Exception {
        List<TaskAddParameter> tasks = new ArrayList<>();
        for (int number = 0; number < 250; number++) {
            tasks.add(new TaskAddParameter().withId(String.format("t%03d", number))
                .withCommandLine("/bin/sh -c 'echo $JOBS'").withResourceFiles(List.of()));
        }
        // Not all at once: with more than one request the client can miss the end of its own thread and wait for ever.
        for (int first = 0; first < tasks.size(); first += 100) {
            client.taskOperations().createTasks(JOB, tasks.subList(first, Math.min(first + 100, tasks.size())));
        }
        until("250 completed tasks", () -> client.jobOperations().getTaskCounts(JOB).completed() == 250);
        TaskCountsResult counts = client.jobOperations().getTaskCountsResult(JOB);
        equal(counts.taskCounts().succeeded(), 250);
        equal(counts.taskSlotCounts().active(), 0);
    }

    private void tasksAreListedInPages() throws Exception {
        List<CloudTask> found = client.taskOperations().listTasks(
            JOB, detail("state eq 'completed' and executionInfo/exitCode eq 0", "id,state"));
        equal(found.size(), 250);
        equal(found.get(0).commandLine(), null);
        CloudTask task = client.taskOperations().getTask(JOB, "t000");
        equal(task.executionInfo().result(), TaskExecutionResult.SUCCESS);
        equal(task.constraints().maxTaskRetryCount(), 0);
        JobPreparationAndReleaseTaskExecutionInformation status =
            client.jobOperations().listPreparationAndReleaseTaskStatus(JOB).get(0);
        equal(status.jobPreparationTaskExecutionInfo().state(), JobPreparationTaskState.COMPLETED);
        equal(status.jobPreparationTaskExecutionInfo().exitCode(), 0);
    }

    private void filesAreRead() throws Exception {
        Map<String, NodeFile> names = client.fileOperations().listFilesFromTask(JOB, "t000", true, null).stream()
            .collect(Collectors.toMap(NodeFile::name, file -> file));
        equal(names.get("stdout.txt").properties().contentLength(), 4L);
        equal(names.get("wd").isDirectory(), true);
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        client.fileOperations().getFileFromTask(JOB, "t000", "stdout.txt", content);
        equal(content.toString(), "own\n");
        FileProperties shown = client.fileOperations().getFilePropertiesFromTask(JOB, "t000", "stdout.txt");
        equal(shown.contentLength(), 4L);
        equal(shown.creationTime().isAfter(0), true);
        String node = client.taskOperations().getTask(JOB, "t000").nodeInfo().nodeId();
        String path = client.fileOperations().listFilesFromComputeNode(POOL, node, true, null).stream()
            .map(NodeFile::name).filter(name -> name.endsWith("t000/stdout.txt")).findFirst().orElseThrow();
        client.fileOperations().getFileFromComputeNode(POOL, node, path, new ByteArrayOutputStream());
        client.fileOperations().getFilePropertiesFromComputeNode(POOL, node, path);
        client.fileOperations().deleteFileFromTask(JOB, "t000", "stdout.txt");
        refused("FileNotFound", 404, () -> client.fileOperations().deleteFileFromTask(JOB, "t000", "stdout.txt"));
    }

    private void tasksAreEndedAndReactivated() throws Exception {
        client.taskOperations().createTask(
            JOB, new TaskAddParameter().withId("long").withCommandLine("/bin/sleep 600"));
        task("long", TaskState.RUNNING);
        client.taskOperations().updateTask(JOB, "long", new TaskConstraints().withMaxTaskRetryCount(1));
        client.taskOperations().terminateTask(JOB, "long");
        task("long", TaskState.COMPLETED);
        equal(client.taskOperations().getTask(JOB, "long").executionInfo().failureInfo().code(), "TaskEnded");
        client.taskOperations().createTask(
            JOB, new TaskAddParameter().withId("fails").withCommandLine("/bin/sh -c 'exit 3'"));
        task("fails", TaskState.COMPLETED);
        TaskExecutionInformation ended = client.taskOperations().getTask(JOB, "fails").executionInfo();
        equal(ended.failureInfo().category(), ErrorCategory.USER_ERROR);
        client.taskOperations().reactivateTask(JOB, "fails");
        task("fails", TaskState.COMPLETED);
        equal(client.taskOperations().listSubtasks(JOB, "fails").size(), 0);
        client.taskOperations().deleteTask(JOB, "fails");
        refused("TaskNotFound", 404, () -> client.taskOperations().getTask(JOB, "fails"));
    }

    private void schedulesLive() throws Exception {
        JobSpecification specification =
            new JobSpecification().withPoolInfo(new PoolInformation().withPoolId(POOL)).withPriority(1);
        Schedule schedule = new Schedule().withRecurrenceInterval(Period.hours(1));
        client.jobScheduleOperations().createJobSchedule(SCHEDULE, schedule, specification);
        equal(client.jobScheduleOperations().existsJobSchedule(SCHEDULE), true);
        until("a first job", () ->
            client.jobScheduleOperations().getJobSchedule(SCHEDULE).executionInfo().recentJob() != null);
        equal(client.jobOperations().listJobs(SCHEDULE).get(0).id(), SCHEDULE + ":job-1");
        client.jobScheduleOperations().disableJobSchedule(SCHEDULE);
        client.jobScheduleOperations().enableJobSchedule(SCHEDULE);
        client.jobScheduleOperations().patchJobSchedule(SCHEDULE, schedule, specification);
        client.jobScheduleOperations().updateJobSchedule(SCHEDULE, schedule, specification);
        equal(client.jobScheduleOperations().listJobSchedules().get(0).state(), JobScheduleState.ACTIVE);
        client.jobScheduleOperations().terminateJobSchedule(SCHEDULE);
        client.jobScheduleOperations().deleteJobSchedule(SCHEDULE);
        until("a deleted schedule", () -> !client.jobScheduleOperations().existsJobSchedule(SCHEDULE));
    }

    private void autoscaleIsEvaluated() throws Exception {
        client.poolOperations().enableAutoScale(POOL, FORMULA, Period.minutes(5));
        AutoScaleRun run = client.poolOperations().evaluateAutoScale(POOL, FORMULA);
        equal(run.results().contains("$TargetDedicatedNodes=2"), true);
        equal(client.poolOperations().getPool(POOL).autoScaleEvaluationInterval().toStandardMinutes().getMinutes(), 5);
        steady();
        client.poolOperations().disableAutoScale(POOL);
        equal(client.poolOperations().getPool(POOL).enableAutoScale(), false);
    }

    private void nodesAreCommanded() throws Exception {
        String node = client.computeNodeOperations().listComputeNodes(POOL).get(0).id();
        client.computeNodeOperations().disableComputeNodeScheduling(
            POOL, node, DisableComputeNodeSchedulingOption.REQUEUE);
        client.computeNodeOperations().enableComputeNodeScheduling(POOL, node);
        client.computeNodeOperations().addComputeNodeUser(
            POOL, node, new ComputeNodeUser().withName("anna").withPassword("Secret-1!").withIsAdmin(true));
        client.computeNodeOperations().updateComputeNodeUser(POOL, node, "anna", "Secret-2!");
        client.computeNodeOperations().deleteComputeNodeUser(POOL, node, "anna");
        client.computeNodeOperations().rebootComputeNode(POOL, node, ComputeNodeRebootOption.REQUEUE);
        idle(2);
        client.computeNodeOperations().deallocateComputeNode(POOL, node, ComputeNodeDeallocateOption.REQUEUE);
        until("a deallocated node", () -> client.computeNodeOperations().getComputeNode(POOL, node).state()
            == ComputeNodeState.DEALLOCATED);
        client.computeNodeOperations().startComputeNode(POOL, node);
        idle(2);
        refused("OperationNotValidOnNode", 409,
            () -> client.computeNodeOperations().getComputeNodeRemoteLoginSettings(POOL, node));
    }

    private void jobIsChangedAndEnded() throws Exception {
        client.jobOperations().patchJob(JOB, new JobPatchParameter().withPriority(7));
        equal(client.jobOperations().getJob(JOB).priority(), 7);
        client.jobOperations().updateJob(JOB,
            new JobUpdateParameter().withPoolInfo(new PoolInformation().withPoolId(POOL)).withPriority(1));
        client.jobOperations().disableJob(JOB, DisableJobOption.REQUEUE);
        until("a disabled job", () -> client.jobOperations().getJob(JOB).state() == JobState.DISABLED);
        client.jobOperations().enableJob(JOB);
        client.jobOperations().terminateJob(JOB, "enough");
        until("a completed job", () -> client.jobOperations().getJob(JOB).state() == JobState.COMPLETED);
        equal(client.jobOperations().getJob(JOB).executionInfo().terminateReason(), "enough");
    }

    private void accountIsShown() throws Exception {
        equal(client.accountOperations().listSupportedImages().get(0).osType(), OSType.LINUX);
        List<PoolNodeCounts> counts = client.accountOperations().listPoolNodeCounts();
        equal(counts.stream().anyMatch(each -> each.poolId().equals(POOL) && each.dedicated().total() >= 2), true);
        equal(client.applicationOperations().listApplications().size(), 0);
    }

    private void wrongsAreRefused() throws Exception {
        refused("PoolNotFound", 404, () -> client.poolOperations().getPool("none"));
        refused("JobNotFound", 404, () -> client.jobOperations().getJob("none"));
        refused("JobExists", 409, () -> client.jobOperations().createJob(JOB, new PoolInformation().withPoolId(POOL)));
        refused("JobCompleted", 409, () -> client.taskOperations().createTask(
            JOB, new TaskAddParameter().withId("late").withCommandLine("/bin/true")));
        refused("InvalidQueryParameterValue", 400, () -> client.jobOperations().listJobs(detail("colour eq 'red'", null)));
        String wrong = Base64.getEncoder().encodeToString("wrong".getBytes());
        refused("AuthenticationFailed", 403, () -> open(wrong).jobOperations().listJobs());
    }

    private void allIsDeleted() throws Exception {
        client.jobOperations().deleteJob(JOB);
        until("a deleted job", () -> client.jobOperations().listJobs().stream().noneMatch(job -> job.id().equals(JOB)));
        client.poolOperations().deletePool(POOL);
        until("a deleted pool", () -> !client.poolOperations().existsPool(POOL));
    }
}
