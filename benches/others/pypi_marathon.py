"""Lists every app with its tasks through the PyPI package `marathon`, and nothing else."""

import sys

from marathon import MarathonClient

apps = MarathonClient(sys.argv[1]).list_apps(embed_tasks=True)
print(len(apps), "apps,", sum(len(app.tasks) for app in apps), "tasks")
