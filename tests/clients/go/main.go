// The Batch client of kermit, which the Terraform provider for Azure is built upon; over TLS, with a bearer token.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/go-autorest/autorest"
	"github.com/jackofallops/kermit/sdk/batch/2022-01.15.0/batch"
)

const (
	pool     = "go-pool"
	job      = "go-job"
	schedule = "go-schedule"
	formula  = "$TargetDedicatedNodes = max(1, 2);"
	deadline = 60 * time.Second
)

type token string

func (t token) OAuthToken() string { return string(t) }

type clients struct {
	account   batch.AccountClient
	apps      batch.ApplicationClient
	pools     batch.PoolClient
	nodes     batch.ComputeNodeClient
	jobs      batch.JobClient
	tasks     batch.TaskClient
	files     batch.FileClient
	schedules batch.JobScheduleClient
}

var ctx = context.Background()

func connect(url, bearer string) clients {
	pem, err := os.ReadFile(os.Getenv("AZURE_BATCH_CERTIFICATE"))
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	sender := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	authorizer := autorest.NewBearerAuthorizer(token(bearer))
	c := clients{
		batch.NewAccountClient(url), batch.NewApplicationClient(url), batch.NewPoolClient(url),
		batch.NewComputeNodeClient(url), batch.NewJobClient(url), batch.NewTaskClient(url),
		batch.NewFileClient(url), batch.NewJobScheduleClient(url),
	}
	for _, each := range []*autorest.Client{
		&c.account.Client, &c.apps.Client, &c.pools.Client, &c.nodes.Client,
		&c.jobs.Client, &c.tasks.Client, &c.files.Client, &c.schedules.Client,
	} {
		each.Sender, each.Authorizer, each.RetryAttempts = sender, authorizer, 1
	}
	return c
}

func to[T any](value T) *T { return &value }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// ok takes the answer of a call that has nothing to say.
func ok(_ autorest.Response, err error) { check(err) }

func got[T any](value T, err error) T {
	check(err)
	return value
}

func equal(found, wanted any) {
	if found != wanted {
		panic(fmt.Errorf("found %v, expected %v", found, wanted))
	}
}

func until(what string, condition func() bool) {
	for start := time.Now(); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Since(start) > deadline {
			panic(fmt.Errorf("%s did not come true within %s", what, deadline))
		}
	}
}

func refused(status int, err error) {
	var detailed autorest.DetailedError
	if !errors.As(err, &detailed) {
		panic(fmt.Errorf("%d was expected, not %v", status, err))
	}
	equal(detailed.StatusCode, status)
}

func (c clients) pool() batch.CloudPool {
	return got(c.pools.Get(ctx, pool, "", "", nil, nil, nil, nil, "", "", nil, nil))
}

func (c clients) job() batch.CloudJob {
	return got(c.jobs.Get(ctx, job, "", "", nil, nil, nil, nil, "", "", nil, nil))
}

func (c clients) task(id string) batch.CloudTask {
	return got(c.tasks.Get(ctx, job, id, "", "", nil, nil, nil, nil, "", "", nil, nil))
}

func (c clients) completed(id string) {
	until(id, func() bool { return c.task(id).State == batch.TaskStateCompleted })
}

func (c clients) steady() {
	until("a steady pool", func() bool { return c.pool().AllocationState == batch.AllocationStateSteady })
}

func (c clients) listNodes() []batch.ComputeNode {
	found := []batch.ComputeNode{}
	list := got(c.nodes.ListComplete(ctx, pool, "", "", nil, nil, nil, nil, nil))
	for ; list.NotDone(); check(list.NextWithContext(ctx)) {
		found = append(found, list.Value())
	}
	return found
}

func (c clients) idle(count int) {
	until("idle nodes", func() bool {
		idle := 0
		for _, node := range c.listNodes() {
			if node.State == batch.ComputeNodeStateIdle {
				idle++
			}
		}
		return idle == count
	})
}

func (c clients) poolIsCreated() {
	ok(c.pools.Add(ctx, batch.PoolAddParameter{
		ID: to(pool), VMSize: to("standard_d2_v3"), TargetDedicatedNodes: to[int32](2), TaskSlotsPerNode: to[int32](4),
		VirtualMachineConfiguration: &batch.VirtualMachineConfiguration{
			ImageReference: &batch.ImageReference{
				Publisher: to("canonical"), Offer: to("ubuntu-24_04-lts"), Sku: to("server"), Version: to("latest"),
			},
			NodeAgentSKUID: to("batch.node.ubuntu 24.04"),
		},
		StartTask: &batch.StartTask{
			CommandLine: to("/bin/sh -c 'echo started'"), ResourceFiles: &[]batch.ResourceFile{}, WaitForSuccess: to(true),
		},
		ResizeTimeout: to("PT10M"),
	}, nil, nil, nil, nil))
	ok(c.pools.Exists(ctx, pool, nil, nil, nil, nil, "", "", nil, nil))
	found := c.pool()
	equal(found.State, batch.PoolStateActive)
	equal(*found.ResizeTimeout, "PT10M")
	equal(found.CreationTime.IsZero(), false)
	list := got(c.pools.ListComplete(ctx, "startswith(id,'go')", "id,state", "", nil, nil, nil, nil, nil))
	equal(*list.Value().ID, pool)
	equal(list.Value().VMSize, (*string)(nil))
}

func (c clients) nodesBecomeIdle() {
	c.idle(2)
	node := c.listNodes()[0]
	equal(*node.StartTaskInfo.ExitCode, int32(0))
	equal(*got(c.nodes.Get(ctx, pool, *node.ID, "", nil, nil, nil, nil)).ID, *node.ID)
}

func (c clients) poolIsResized() {
	three := batch.PoolResizeParameter{TargetDedicatedNodes: to[int32](3)}
	ok(c.pools.Resize(ctx, pool, three, nil, nil, nil, nil, "", "", nil, nil))
	c.steady()
	c.idle(3)
	remove := batch.NodeRemoveParameter{NodeList: &[]string{*c.listNodes()[0].ID}}
	ok(c.pools.RemoveNodes(ctx, pool, remove, nil, nil, nil, nil, "", "", nil, nil))
	c.idle(2)
	ok(c.pools.Resize(ctx, pool, three, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.pools.StopResize(ctx, pool, nil, nil, nil, nil, "", "", nil, nil))
	c.steady()
}

func (c clients) poolIsChanged() {
	patch := batch.PoolPatchParameter{Metadata: &[]batch.MetadataItem{{Name: to("c"), Value: to("d")}}}
	ok(c.pools.Patch(ctx, pool, patch, nil, nil, nil, nil, "", "", nil, nil))
	equal(*(*c.pool().Metadata)[0].Name, "c")
	ok(c.pools.UpdateProperties(ctx, pool, batch.PoolUpdatePropertiesParameter{
		CertificateReferences:        &[]batch.CertificateReference{},
		ApplicationPackageReferences: &[]batch.ApplicationPackageReference{},
		Metadata:                     &[]batch.MetadataItem{},
	}, nil, nil, nil, nil))
	equal(c.pool().StartTask, (*batch.StartTask)(nil))
}

func (c clients) jobIsCreated() {
	ok(c.jobs.Add(ctx, batch.JobAddParameter{
		ID: to(job), Priority: to[int32](5), PoolInfo: &batch.PoolInformation{PoolID: to(pool)},
		Constraints:               &batch.JobConstraints{MaxWallClockTime: to("PT2H"), MaxTaskRetryCount: to[int32](0)},
		JobPreparationTask:        &batch.JobPreparationTask{CommandLine: to("/bin/true")},
		CommonEnvironmentSettings: &[]batch.EnvironmentSetting{{Name: to("JOBS"), Value: to("own")}},
	}, nil, nil, nil, nil))
	equal(*c.job().Priority, int32(5))
	equal(*c.job().Constraints.MaxWallClockTime, "PT2H")
}

func (c clients) tasksAreAddedAndRun() {
	for first := 0; first < 250; first += 50 {
		tasks := []batch.TaskAddParameter{}
		for n := first; n < first+50; n++ {
			tasks = append(tasks, batch.TaskAddParameter{
				ID: to(fmt.Sprintf("t%03d", n)), CommandLine: to("/bin/sh -c 'echo $JOBS'"),
			})
		}
		added := got(c.tasks.AddCollection(ctx, job, batch.TaskAddCollectionParameter{Value: &tasks}, nil, nil, nil, nil))
		equal(len(*added.Value), 50)
		for _, entry := range *added.Value {
			equal(strings.ToLower(string(entry.Status)), "success")
		}
	}
	until("250 completed tasks", func() bool {
		return *got(c.jobs.GetTaskCounts(ctx, job, nil, nil, nil, nil)).TaskCounts.Succeeded == 250
	})
}

func (c clients) tasksAreListedInPages() {
	found := 0
	list := got(c.tasks.ListComplete(ctx, job, "state eq 'completed'", "id,state", "", to[int32](100), nil, nil, nil, nil))
	for ; list.NotDone(); check(list.NextWithContext(ctx)) {
		equal(list.Value().CommandLine, (*string)(nil))
		found++
	}
	equal(found, 250)
	equal(*c.task("t000").ExecutionInfo.ExitCode, int32(0))
	status := got(c.jobs.ListPreparationAndReleaseTaskStatus(ctx, job, "", "", nil, nil, nil, nil, nil))
	equal(*status.Values()[0].JobPreparationTaskExecutionInfo.ExitCode, int32(0))
}

func (c clients) filesAreRead() {
	// Files are not listed: this client cannot read sizes that are text, as the service (and the emulator) writes them.
	file := got(c.files.GetFromTask(ctx, job, "t000", "stdout.txt", nil, nil, nil, nil, "", nil, nil))
	equal(string(got(io.ReadAll(*file.Value))), "own\n")
	part := got(c.files.GetFromTask(ctx, job, "t000", "stdout.txt", nil, nil, nil, nil, "bytes=0-1", nil, nil))
	equal(string(got(io.ReadAll(*part.Value))), "ow")
	shown := got(c.files.GetPropertiesFromTask(ctx, job, "t000", "stdout.txt", nil, nil, nil, nil, nil, nil))
	equal(shown.ContentLength, int64(4))
	ok(c.files.DeleteFromTask(ctx, job, "t000", "stdout.txt", nil, nil, nil, nil, nil))
	_, err := c.files.DeleteFromTask(ctx, job, "t000", "stdout.txt", nil, nil, nil, nil, nil)
	refused(404, err)
}

func (c clients) tasksAreEndedAndReactivated() {
	long := batch.TaskAddParameter{ID: to("long"), CommandLine: to("/bin/sleep 600")}
	ok(c.tasks.Add(ctx, job, long, nil, nil, nil, nil))
	until("a running task", func() bool { return c.task("long").State == batch.TaskStateRunning })
	update := batch.TaskUpdateParameter{Constraints: &batch.TaskConstraints{MaxTaskRetryCount: to[int32](1)}}
	ok(c.tasks.Update(ctx, job, "long", update, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.tasks.Terminate(ctx, job, "long", nil, nil, nil, nil, "", "", nil, nil))
	c.completed("long")
	equal(*c.task("long").ExecutionInfo.FailureInfo.Code, "TaskEnded")
	ok(c.tasks.Reactivate(ctx, job, "long", nil, nil, nil, nil, "", "", nil, nil))
	until("a reactivated task", func() bool { return c.task("long").State == batch.TaskStateRunning })
	ok(c.tasks.Delete(ctx, job, "long", nil, nil, nil, nil, "", "", nil, nil))
}

func (c clients) schedulesLive() {
	ok(c.schedules.Add(ctx, batch.JobScheduleAddParameter{
		ID:               to(schedule),
		Schedule:         &batch.Schedule{RecurrenceInterval: to("PT1H")},
		JobSpecification: &batch.JobSpecification{PoolInfo: &batch.PoolInformation{PoolID: to(pool)}},
	}, nil, nil, nil, nil))
	until("a first job", func() bool {
		found := got(c.schedules.Get(ctx, schedule, "", "", nil, nil, nil, nil, "", "", nil, nil))
		return found.ExecutionInfo != nil && found.ExecutionInfo.RecentJob != nil
	})
	jobs := got(c.jobs.ListFromJobSchedule(ctx, schedule, "", "", "", nil, nil, nil, nil, nil))
	equal(*jobs.Values()[0].ID, schedule+":job-1")
	ok(c.schedules.Disable(ctx, schedule, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.schedules.Enable(ctx, schedule, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.schedules.Terminate(ctx, schedule, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.schedules.Delete(ctx, schedule, nil, nil, nil, nil, "", "", nil, nil))
}

func (c clients) autoscaleIsEvaluated() {
	enable := batch.PoolEnableAutoScaleParameter{AutoScaleFormula: to(formula)}
	ok(c.pools.EnableAutoScale(ctx, pool, enable, nil, nil, nil, nil, "", "", nil, nil))
	evaluate := batch.PoolEvaluateAutoScaleParameter{AutoScaleFormula: to(formula)}
	run := got(c.pools.EvaluateAutoScale(ctx, pool, evaluate, nil, nil, nil, nil))
	equal(strings.Contains(*run.Results, "$TargetDedicatedNodes=2"), true)
	c.steady()
	ok(c.pools.DisableAutoScale(ctx, pool, nil, nil, nil, nil))
}

func (c clients) nodesAreCommanded() {
	node := *c.listNodes()[0].ID
	ok(c.nodes.DisableScheduling(ctx, pool, node, nil, nil, nil, nil, nil))
	ok(c.nodes.EnableScheduling(ctx, pool, node, nil, nil, nil, nil))
	user := batch.ComputeNodeUser{Name: to("anna"), Password: to("Secret-1!"), IsAdmin: to(true)}
	ok(c.nodes.AddUser(ctx, pool, node, user, nil, nil, nil, nil))
	ok(c.nodes.DeleteUser(ctx, pool, node, "anna", nil, nil, nil, nil))
	ok(c.nodes.Reboot(ctx, pool, node, nil, nil, nil, nil, nil))
	c.idle(2)
	_, err := c.nodes.GetRemoteLoginSettings(ctx, pool, node, nil, nil, nil, nil)
	refused(409, err)
}

func (c clients) jobIsChangedAndEnded() {
	patch := batch.JobPatchParameter{Priority: to[int32](7)}
	ok(c.jobs.Patch(ctx, job, patch, nil, nil, nil, nil, "", "", nil, nil))
	equal(*c.job().Priority, int32(7))
	disable := batch.JobDisableParameter{DisableTasks: batch.DisableJobOptionRequeue}
	ok(c.jobs.Disable(ctx, job, disable, nil, nil, nil, nil, "", "", nil, nil))
	until("a disabled job", func() bool { return c.job().State == batch.JobStateDisabled })
	ok(c.jobs.Enable(ctx, job, nil, nil, nil, nil, "", "", nil, nil))
	end := &batch.JobTerminateParameter{TerminateReason: to("enough")}
	ok(c.jobs.Terminate(ctx, job, end, nil, nil, nil, nil, "", "", nil, nil))
	until("a completed job", func() bool { return c.job().State == batch.JobStateCompleted })
	equal(*c.job().ExecutionInfo.TerminateReason, "enough")
}

func (c clients) accountIsShown() {
	images := got(c.account.ListSupportedImages(ctx, "", nil, nil, nil, nil, nil))
	equal(images.Values()[0].OsType, batch.OSTypeLinux)
	counts := got(c.account.ListPoolNodeCounts(ctx, "", nil, nil, nil, nil, nil))
	equal(*counts.Values()[0].Dedicated.Total >= 2, true)
	equal(len(got(c.apps.List(ctx, nil, nil, nil, nil, nil)).Values()), 0)
}

func (c clients) wrongsAreRefused() {
	_, err := c.pools.Get(ctx, "none", "", "", nil, nil, nil, nil, "", "", nil, nil)
	refused(404, err)
	again := batch.JobAddParameter{ID: to(job), PoolInfo: &batch.PoolInformation{PoolID: to(pool)}}
	_, err = c.jobs.Add(ctx, again, nil, nil, nil, nil)
	refused(409, err)
	_, err = c.jobs.List(ctx, "colour eq 'red'", "", "", nil, nil, nil, nil, nil)
	refused(400, err)
	_, err = c.jobs.Patch(ctx, job, batch.JobPatchParameter{Priority: to[int32](1)}, nil, nil, nil, nil, "0x1", "", nil, nil)
	refused(412, err)
	_, err = connect(os.Getenv("AZURE_BATCH_ENDPOINT"), "wrong").jobs.List(ctx, "", "", "", nil, nil, nil, nil, nil)
	refused(401, err)
}

func (c clients) allIsDeleted() {
	ok(c.jobs.Delete(ctx, job, nil, nil, nil, nil, "", "", nil, nil))
	ok(c.pools.Delete(ctx, pool, nil, nil, nil, nil, "", "", nil, nil))
	until("no pools", func() bool {
		return len(got(c.pools.List(ctx, "", "", "", nil, nil, nil, nil, nil)).Values()) == 0
	})
}

func step(name string, action func()) (passed bool) {
	defer func() {
		if trouble := recover(); trouble != nil {
			fmt.Printf("not ok %s: %s\n", name, strings.Join(strings.Fields(fmt.Sprint(trouble)), " "))
		}
	}()
	action()
	fmt.Printf("ok %s\n", name)
	return true
}

func main() {
	c := connect(os.Getenv("AZURE_BATCH_ENDPOINT"), os.Getenv("AZURE_BATCH_TOKEN"))
	passed := true
	for _, each := range []struct {
		name   string
		action func()
	}{
		{"pool is created", c.poolIsCreated},
		{"nodes become idle", c.nodesBecomeIdle},
		{"pool is resized", c.poolIsResized},
		{"pool is changed", c.poolIsChanged},
		{"job is created", c.jobIsCreated},
		{"tasks are added and run", c.tasksAreAddedAndRun},
		{"tasks are listed in pages", c.tasksAreListedInPages},
		{"files are read", c.filesAreRead},
		{"tasks are ended and reactivated", c.tasksAreEndedAndReactivated},
		{"schedules live", c.schedulesLive},
		{"autoscale is evaluated", c.autoscaleIsEvaluated},
		{"nodes are commanded", c.nodesAreCommanded},
		{"job is changed and ended", c.jobIsChangedAndEnded},
		{"account is shown", c.accountIsShown},
		{"wrongs are refused", c.wrongsAreRefused},
		{"all is deleted", c.allIsDeleted},
	} {
		passed = step(each.name, each.action) && passed
	}
	if !passed {
		os.Exit(1)
	}
}
