// Lists every app with its tasks through go-marathon, and nothing else.
package main

import (
	"fmt"
	"net/url"
	"os"

	marathon "github.com/gambol99/go-marathon"
)

func main() {
	config := marathon.NewDefaultConfig()
	config.URL = os.Args[1]
	client, err := marathon.NewClient(config)
	if err != nil {
		panic(err)
	}
	apps, err := client.Applications(url.Values{"embed": {"apps.tasks", "apps.counts", "apps.deployments"}})
	if err != nil {
		panic(err)
	}
	tasks := 0
	for _, app := range apps.Apps {
		tasks += len(app.Tasks)
	}
	fmt.Println(len(apps.Apps), "apps,", tasks, "tasks")
}
