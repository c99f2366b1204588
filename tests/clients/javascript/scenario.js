// @azure/batch, the client for JavaScript; the package that is driven is the program's argument.
"use strict";

const assert = require("node:assert/strict");
const { BatchServiceClient, BatchSharedKeyCredentials } = require(process.argv[2]);

const { AZURE_BATCH_ENDPOINT: url, AZURE_BATCH_ACCOUNT: account, AZURE_BATCH_ACCESS_KEY: key } = process.env;
const client = new BatchServiceClient(new BatchSharedKeyCredentials(account, key), url, { noRetryPolicy: true });
const [POOL, JOB, SCHEDULE] = ["js-pool", "js-job", "js-schedule"];
const FORMULA = "$TargetDedicatedNodes = max(1, 2);";
const DEADLINE = 60_000;

async function until(condition, what) {
  const deadline = Date.now() + DEADLINE;
  while (Date.now() < deadline) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come true within ${DEADLINE / 1000} s`);
}

async function refused(code, status, call) {
  try {
    await call();
  } catch (error) {
    assert.deepEqual([error.statusCode, error.body && error.body.code], [status, code], String(error));
    return;
  }
  assert.fail(`${code} was expected, and nothing was refused`);
}

async function all(list, next) {
  const found = [];
  let page = await list();
  for (;;) {
    found.push(...page);
    if (!page.odatanextLink) return found;
    page = await next(page.odatanextLink);
  }
}

async function text(download) {
  const blocks = [];
  for await (const block of download.readableStreamBody) blocks.push(block);
  return Buffer.concat(blocks).toString();
}

const nodes = () => all(() => client.computeNode.list(POOL), (link) => client.computeNode.listNext(link));
const idle = (count) =>
  until(async () => (await nodes()).filter((n) => n.state === "idle").length === count, `${count} idle nodes`);
const steady = () => until(async () => (await client.pool.get(POOL)).allocationState === "steady", "a steady pool");
const completed = (task) =>
  until(async () => (await client.task.get(JOB, task)).state === "completed", `the end of ${task}`);

const scenario = {
  "pool is created": async () => {
    await client.pool.add({
      id: POOL,
      vmSize: "standard_d2_v3",
      virtualMachineConfiguration: {
        imageReference: { publisher: "canonical", offer: "ubuntu-24_04-lts", sku: "server", version: "latest" },
        nodeAgentSKUId: "batch.node.ubuntu 24.04",
      },
      targetDedicatedNodes: 2,
      taskSlotsPerNode: 4,
      taskSchedulingPolicy: { nodeFillType: "Spread" },
      startTask: {
        commandLine: "/bin/sh -c 'echo started'",
        resourceFiles: [],
        environmentSettings: [{ name: "A", value: "b" }],
        userIdentity: { autoUser: { scope: "pool", elevationLevel: "admin" } },
        waitForSuccess: true,
      },
      metadata: [{ name: "a", value: "b" }],
      resizeTimeout: "PT10M",
    });
    assert.equal((await client.pool.exists(POOL)).body, true);
    assert.equal((await client.pool.exists("none")).body, false);
    const found = await client.pool.get(POOL);
    assert.deepEqual([found.state, found.targetDedicatedNodes, found.resizeTimeout], ["active", 2, "PT10M"]);
    assert.ok(found.creationTime instanceof Date && !Number.isNaN(found.creationTime.getTime()));
    const options = { poolListOptions: { filter: `startswith(id,'${POOL}')`, select: "id,state" } };
    const [listed] = await client.pool.list(options);
    assert.deepEqual([listed.id, listed.vmSize], [POOL, undefined]);
  },
  "nodes become idle": async () => {
    await idle(2);
    const [node] = await nodes();
    assert.deepEqual([node.startTaskInfo.state, node.startTaskInfo.exitCode], ["completed", 0]);
    assert.equal((await client.computeNode.get(POOL, node.id)).id, node.id);
  },
  "pool is resized": async () => {
    await client.pool.resize(POOL, { targetDedicatedNodes: 3, resizeTimeout: "PT5M" });
    await steady();
    await idle(3);
    await client.pool.removeNodes(POOL, { nodeList: [(await nodes())[0].id] });
    await idle(2);
    await client.pool.resize(POOL, { targetDedicatedNodes: 3 });
    await client.pool.stopResize(POOL);
    await steady();
  },
  "pool is changed": async () => {
    await client.pool.patch(POOL, { metadata: [{ name: "c", value: "d" }] });
    assert.equal((await client.pool.get(POOL)).metadata[0].name, "c");
    await client.pool.updateProperties(POOL, {
      certificateReferences: [],
      applicationPackageReferences: [],
      metadata: [],
    });
    assert.equal((await client.pool.get(POOL)).startTask, undefined);
  },
  "job is created": async () => {
    await client.job.add({
      id: JOB,
      priority: 5,
      usesTaskDependencies: true,
      poolInfo: { poolId: POOL },
      constraints: { maxWallClockTime: "PT2H", maxTaskRetryCount: 0 },
      jobPreparationTask: { commandLine: "/bin/sh -c 'echo prepared'", resourceFiles: [] },
      jobReleaseTask: { commandLine: "/bin/true" },
      commonEnvironmentSettings: [{ name: "JOBS", value: "own" }],
    });
    const found = await client.job.get(JOB);
    assert.deepEqual([found.state, found.priority, found.constraints.maxWallClockTime], ["active", 5, "PT2H"]);
  },
  "tasks are added and run": async () => {
    const ids = Array.from({ length: 250 }, (_, n) => `t${String(n).padStart(3, "0")}`);
    for (let first = 0; first < ids.length; first += 100) {
      const part = ids.slice(first, first + 100);
      const tasks = part.map((id) => ({ id, commandLine: "/bin/sh -c 'echo $JOBS'", resourceFiles: [] }));
      const added = await client.task.addCollection(JOB, tasks);
      assert.deepEqual(added.value.map((entry) => entry.taskId), part);
      assert.ok(added.value.every((entry) => entry.status.toLowerCase() === "success"));
    }
    const counts = () => client.job.getTaskCounts(JOB);
    await until(async () => (await counts()).taskCounts.completed === 250, "250 completed tasks");
    const { taskCounts, taskSlotCounts } = await counts();
    assert.deepEqual([taskCounts.succeeded, taskCounts.failed, taskSlotCounts.active], [250, 0, 0]);
  },
  "tasks are listed in pages": async () => {
    const filter = "state eq 'completed' and executionInfo/exitCode eq 0";
    const options = { taskListOptions: { filter, select: "id,state", maxResults: 100 } };
    const found = await all(() => client.task.list(JOB, options), (link) => client.task.listNext(link));
    assert.deepEqual([new Set(found.map((task) => task.id)).size, found[0].commandLine], [250, undefined]);
    const task = await client.task.get(JOB, "t000");
    assert.equal(task.executionInfo.exitCode, 0);
    assert.ok(task.executionInfo.startTime <= task.executionInfo.endTime);
    const [status] = await client.job.listPreparationAndReleaseTaskStatus(JOB);
    assert.equal(status.jobPreparationTaskExecutionInfo.exitCode, 0);
  },
  "files are read": async () => {
    const list = { recursive: true };
    const names = new Map((await client.file.listFromTask(JOB, "t000", list)).map((file) => [file.name, file]));
    assert.deepEqual([names.get("stdout.txt").properties.contentLength, names.get("wd").isDirectory], [4, true]);
    assert.equal(await text(await client.file.getFromTask(JOB, "t000", "stdout.txt")), "own\n");
    const part = { fileGetFromTaskOptions: { ocpRange: "bytes=0-1" } };
    assert.equal(await text(await client.file.getFromTask(JOB, "t000", "stdout.txt", part)), "ow");
    const properties = await client.file.getPropertiesFromTask(JOB, "t000", "stdout.txt");
    assert.equal(properties.contentLength, 4);
    assert.equal(String(properties.ocpBatchFileIsdirectory).toLowerCase(), "false"); // "False" on Azure too
    const node = (await client.task.get(JOB, "t000")).nodeInfo.nodeId;
    const there = await all(
      () => client.file.listFromComputeNode(POOL, node, list),
      (link) => client.file.listFromComputeNodeNext(link),
    );
    const path = there.map((file) => file.name).find((name) => name.endsWith("t000/stdout.txt"));
    assert.equal(await text(await client.file.getFromComputeNode(POOL, node, path)), "own\n");
    await client.file.getPropertiesFromComputeNode(POOL, node, path);
    await client.file.deleteFromTask(JOB, "t000", "stdout.txt");
    await refused("FileNotFound", 404, () => client.file.deleteFromTask(JOB, "t000", "stdout.txt"));
  },
  "tasks are ended and reactivated": async () => {
    await client.task.add(JOB, { id: "long", commandLine: "/bin/sleep 600" });
    await until(async () => (await client.task.get(JOB, "long")).state === "running", "a running task");
    await client.task.update(JOB, "long", { constraints: { maxTaskRetryCount: 1 } });
    await client.task.terminate(JOB, "long");
    await completed("long");
    assert.equal((await client.task.get(JOB, "long")).executionInfo.failureInfo.code, "TaskEnded");
    await client.task.add(JOB, { id: "fails", commandLine: "/bin/sh -c 'exit 3'" });
    await completed("fails");
    await client.task.reactivate(JOB, "fails");
    await completed("fails");
    assert.deepEqual((await client.task.listSubtasks(JOB, "fails")).value, []);
    await client.task.deleteMethod(JOB, "fails");
    await refused("TaskNotFound", 404, () => client.task.get(JOB, "fails"));
  },
  "schedules live": async () => {
    const schedules = client.jobSchedule;
    const jobSpecification = { poolInfo: { poolId: POOL }, priority: 1 };
    const schedule = { recurrenceInterval: "PT1H" };
    await schedules.add({ id: SCHEDULE, schedule, jobSpecification });
    assert.equal((await schedules.exists(SCHEDULE)).body, true);
    await until(async () => (await schedules.get(SCHEDULE)).executionInfo.recentJob, "a first job");
    assert.deepEqual((await client.job.listFromJobSchedule(SCHEDULE)).map((job) => job.id), [`${SCHEDULE}:job-1`]);
    await schedules.disable(SCHEDULE);
    await schedules.enable(SCHEDULE);
    await schedules.patch(SCHEDULE, { metadata: [{ name: "a", value: "b" }] });
    await schedules.update(SCHEDULE, { schedule, jobSpecification });
    await schedules.terminate(SCHEDULE);
    await schedules.deleteMethod(SCHEDULE);
    await until(async () => !(await schedules.exists(SCHEDULE)).body, "a deleted schedule");
  },
  "autoscale is evaluated": async () => {
    await client.pool.enableAutoScale(POOL, { autoScaleFormula: FORMULA, autoScaleEvaluationInterval: "PT5M" });
    const run = await client.pool.evaluateAutoScale(POOL, FORMULA);
    assert.match(run.results, /\$TargetDedicatedNodes=2/);
    await steady();
    await client.pool.disableAutoScale(POOL);
    assert.equal((await client.pool.get(POOL)).enableAutoScale, false);
  },
  "nodes are commanded": async () => {
    const [{ id }] = await nodes();
    const node = client.computeNode;
    await node.disableScheduling(POOL, id, { nodeDisableSchedulingOption: "requeue" });
    await node.enableScheduling(POOL, id);
    await node.addUser(POOL, id, { name: "anna", password: "Secret-1!", isAdmin: true });
    await node.updateUser(POOL, id, "anna", { password: "Secret-2!" });
    await node.deleteUser(POOL, id, "anna");
    await node.reboot(POOL, id);
    await until(async () => (await node.get(POOL, id)).state === "idle", "a rebooted node");
    await refused("OperationNotValidOnNode", 409, () => node.getRemoteLoginSettings(POOL, id));
  },
  "job is changed and ended": async () => {
    await client.job.patch(JOB, { priority: 7 });
    assert.equal((await client.job.get(JOB)).priority, 7);
    await client.job.update(JOB, { poolInfo: { poolId: POOL }, priority: 1 });
    await client.job.disable(JOB, "requeue");
    await until(async () => (await client.job.get(JOB)).state === "disabled", "a disabled job");
    await client.job.enable(JOB);
    await client.job.terminate(JOB, { terminateReason: "enough" });
    await until(async () => (await client.job.get(JOB)).state === "completed", "a completed job");
    assert.equal((await client.job.get(JOB)).executionInfo.terminateReason, "enough");
  },
  "account is shown": async () => {
    assert.ok((await client.account.listSupportedImages()).some((image) => image.nodeAgentSKUId.includes("ubuntu")));
    const options = { accountListPoolNodeCountsOptions: { filter: `poolId eq '${POOL}'` } };
    const [counts] = await client.account.listPoolNodeCounts(options);
    assert.ok(counts.dedicated.total >= 2);
    assert.equal((await client.application.list()).length, 0);
    await client.pool.listUsageMetrics();
  },
  "wrongs are refused": async () => {
    await refused("PoolNotFound", 404, () => client.pool.get("none"));
    await refused("JobNotFound", 404, () => client.job.get("none"));
    await refused("JobExists", 409, () => client.job.add({ id: JOB, poolInfo: { poolId: POOL } }));
    await refused("JobCompleted", 409, () => client.task.add(JOB, { id: "late", commandLine: "/bin/true" }));
    const wrong = { jobListOptions: { filter: "colour eq 'red'" } };
    await refused("InvalidQueryParameterValue", 400, () => client.job.list(wrong));
    const stale = { jobPatchOptions: { ifMatch: "0x1" } };
    await refused("ConditionNotMet", 412, () => client.job.patch(JOB, { priority: 1 }, stale));
    const stranger = new BatchSharedKeyCredentials(account, Buffer.from("wrong").toString("base64"));
    const outside = new BatchServiceClient(stranger, url, { noRetryPolicy: true });
    await refused("AuthenticationFailed", 403, () => outside.job.list());
  },
  "all is deleted": async () => {
    await client.job.deleteMethod(JOB);
    await until(async () => !(await client.job.list()).some((job) => job.id === JOB), "a deleted job");
    await client.pool.deleteMethod(POOL);
    await until(async () => !(await client.pool.exists(POOL)).body, "a deleted pool");
  },
};

(async () => {
  for (const [name, step] of Object.entries(scenario)) {
    try {
      await step();
      console.log(`ok ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`not ok ${name}: ${String(error).replace(/\s+/g, " ").slice(0, 500)}`);
      console.error(error);
    }
  }
})();
