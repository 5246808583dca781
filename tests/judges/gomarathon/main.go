// Lets the Go client of Marathon (github.com/gambol99/go-marathon v0.7.1) work with a pretend Marathon.
//
//	gomarathon http://127.0.0.1:8080 1.11
//
// Nobody here wrote that client: what contents it, contents a tool of somebody else. One thing it can't do with a
// real one either: it makes an app's name of a task id by cutting at the last dot, which is wrong for the ids of
// 1.8 and later, so its KillTask finds no app there. Its KillTasks does what it should.
package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	marathon "github.com/gambol99/go-marathon"
)

const app = "/judge/web"

func fail(format string, args ...any) {
	fmt.Printf("go-marathon 0.7.1: "+format+"\n", args...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

func until(what string, ready func() bool) {
	for end := time.Now().Add(40 * time.Second); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			fail("gave up waiting until %s", what)
		}
	}
}

func main() {
	base, version := os.Args[1], os.Args[2]
	stable := version != "1.4" && version != "1.5" && version != "1.6" && version != "1.7"
	config := marathon.NewDefaultConfig()
	config.URL = base
	config.EventsTransport = marathon.EventsTransportSSE
	client := must(marathon.NewClient(config))

	info := must(client.Info())
	if !strings.HasPrefix(info.Version, version+".") || must(client.Leader()) != info.Leader {
		fail("version %s, leader %s", info.Version, info.Leader)
	}
	if pong := must(client.Ping()); !pong {
		fail("no pong")
	}

	wanted := marathon.EventIDApplications | marathon.EventIDDeploymentInfo | marathon.EventIDDeploymentSuccess |
		marathon.EventIDGroupChangeSuccess | marathon.EventIDAPIRequest
	// The client before this one may have left a deployment at work on this app, and kills that are none of ours.
	until("nothing is at work", func() bool { return len(must(client.Deployments())) == 0 })
	channel := must(client.AddEventsListener(wanted))
	told := map[string]int{}
	killed := 0
	listen := func() {
		for {
			select {
			case event := <-channel:
				told[event.Name]++
				if update, ok := event.Event.(*marathon.EventStatusUpdate); ok && update.TaskStatus == "TASK_KILLED" {
					killed++
				}
			default:
				return
			}
		}
	}

	definition := marathon.NewDockerApplication()
	definition.Container = nil
	definition.Name(app).Command("python3 -m http.server $PORT0").CPU(0.1).Memory(32).Count(2)
	definition.AddLabel("team", "judges")
	definition.AddPortDefinition(marathon.PortDefinition{Protocol: "tcp", Name: "http"})
	check := marathon.NewDefaultHealthCheck()
	check.Protocol = "MESOS_HTTP"
	path, index, failures := "/", 0, 0
	check.Path, check.PortIndex, check.MaxConsecutiveFailures = &path, &index, &failures
	check.GracePeriodSeconds, check.IntervalSeconds = 5, 1
	definition.AddHealthCheck(*check)
	made := must(client.CreateApplication(definition))
	if made.ID != app || len(made.Deployments) != 1 {
		fail("made %s with %d deployments", made.ID, len(made.Deployments))
	}
	whole := func(count int) *marathon.Application {
		var found *marathon.Application
		until(fmt.Sprintf("%d tasks are healthy", count), func() bool {
			listen()
			found = must(client.Application(app))
			running := 0
			for _, task := range found.Tasks {
				if task.State == "TASK_RUNNING" {
					running++
				}
			}
			return running == count && found.TasksHealthy == count && len(found.Deployments) == 0
		})
		return found
	}
	found := whole(2)
	if !found.AllTaskRunning() || (*found.Labels)["team"] != "judges" {
		fail("not all tasks run, or labels are lost: %v", found.Labels)
	}
	for _, task := range found.Tasks {
		if !task.HasHealthCheckResults() || !task.HealthCheckResults[0].Alive || len(task.Ports) != 1 {
			fail("task %s is not healthy", task.ID)
		}
	}
	listed := must(client.Applications(url.Values{"label": {"team==judges"}, "embed": {"apps.tasks"}}))
	if len(listed.Apps) != 1 || len(listed.Apps[0].Tasks) != 2 {
		fail("listed %d apps", len(listed.Apps))
	}
	if all := must(client.AllTasks(nil)); len(all.Tasks) < 2 {
		fail("listed %d tasks", len(all.Tasks))
	}
	if len(must(client.ApplicationVersions(app)).Versions) == 0 || must(client.Queue()) == nil {
		fail("no versions")
	}
	must(client.Deployments())
	must(client.Groups())

	deployment := must(client.ScaleApplicationInstances(app, 3, false))
	if err := client.WaitOnDeployment(deployment.DeploymentID, 40*time.Second); err != nil {
		fail("the deployment: %v", err)
	}
	found = whole(3)

	// Its own limit, with a real Marathon too.
	victim := found.Tasks[0].ID
	_, err := client.KillTask(victim, nil)
	var refusal *marathon.APIError
	if stable && (!errors.As(err, &refusal) || refusal.ErrCode != marathon.ErrCodeNotFound) {
		fail("KillTask is expected to find no app on %s, and said %v", version, err)
	}
	if !stable && err != nil {
		fail("KillTask: %v", err)
	}
	if stable {
		if err := client.KillTasks([]string{victim}, nil); err != nil {
			fail("KillTasks: %v", err)
		}
	}
	until("a kill is told", func() bool { listen(); return killed >= 1 })
	found = whole(3)
	for _, task := range found.Tasks {
		if task.ID == victim {
			fail("%s was not replaced", victim)
		}
	}
	if err := client.KillTasks([]string{found.Tasks[0].ID}, &marathon.KillTaskOpts{Scale: true}); err != nil {
		fail("KillTasks with scale: %v", err)
	}
	whole(2)
	if _, err := client.KillApplicationTasks(app, nil); err != nil {
		fail("KillApplicationTasks: %v", err)
	}
	until("all kills are told", func() bool { listen(); return killed >= 4 })
	whole(2)
	listen()
	for _, name := range []string{"status_update_event", "deployment_info", "deployment_success",
		"group_change_success", "api_post_event"} {
		if told[name] == 0 {
			fail("%s was not told: %v", name, told)
		}
	}

	must(client.DeleteApplication(app, true))
	until("the app is gone", func() bool {
		_, err := client.Application(app)
		return errors.As(err, &refusal) && refusal.ErrCode == marathon.ErrCodeNotFound
	})
	fmt.Println("go-marathon 0.7.1 is content")
}
