#!/usr/bin/env python3
"""Lets the Python client of Marathon (PyPI `marathon` 0.13.0) work with a pretend Marathon.

    pypi_marathon.py http://127.0.0.1:8080 1.11

Nobody here wrote that client: what contents it, contents a tool of somebody else. Ends with 'pypi marathon
0.13.0 is content' or with what it said. Two things it can't do with a real one either: from 1.9 on, groups have
an `enforceRole` that it does not know, and its `get_group` and `list_groups` fail; and from 1.6 on, it can't read
the events of deployments, which no longer carry the whole world before and after, so it is not given them here.
"""
import collections, collections.abc, sys, threading, time
from importlib.metadata import version

# The client was written for Pythons older than 3.10, which had this name here too.
collections.Iterable = collections.abc.Iterable

from marathon import MarathonClient, NotFoundError
from marathon.models import MarathonApp, MarathonHealthCheck

APP = "/judge/web"


def until(what, ready, seconds=40):
    end = time.monotonic() + seconds
    while not (seen := ready()):
        assert time.monotonic() < end, f"gave up waiting until {what}"
        time.sleep(0.1)
    return seen


def main(base, wanted):
    assert version("marathon") == "0.13.0", version("marathon")
    minor = [int(n) for n in wanted.split(".")]
    client = MarathonClient(base)
    info = client.get_info()
    assert info.version.startswith(wanted + "."), info.version
    assert info.leader in base and client.get_leader()["leader"] == info.leader
    assert client.ping() in (b"pong", '"pong"', "pong", b'"pong"'), client.ping()

    # Events, on a connection of their own, from before anything happens.
    events, joined = [], threading.Event()
    kinds = ["event_stream_attached", "status_update_event", "group_change_success", "api_post_event",
             "app_terminated_event"]

    def listen():
        for event in MarathonClient(base).event_stream(event_types=kinds):
            events.append(event)
            joined.set()
    threading.Thread(target=listen, daemon=True).start()
    # It hands on what it has read in pieces of 512 bytes: some noise is needed before the first event comes.
    def noise():
        for n in range(3):
            client.create_app(f"/judge/noise-{n}", MarathonApp(cmd="sleep 1000", instances=0, cpus=0.1, mem=32))
            client.delete_app(f"/judge/noise-{n}", force=True)
        return joined.wait(1)
    until("an event comes", noise)
    assert type(events[0]).__name__ == "MarathonEventStreamAttached", events[0]

    check = MarathonHealthCheck(protocol="MESOS_HTTP", path="/", port_index=0, grace_period_seconds=5,
                                interval_seconds=1, max_consecutive_failures=0)
    made = client.create_app(APP, MarathonApp(cmd="python3 -m http.server $PORT0", instances=2, cpus=0.1, mem=32,
                                              labels={"team": "judges"}, health_checks=[check]))
    assert made.id == APP and len(made.deployments) == 1, made

    def whole(count):
        def ready():
            app = client.get_app(APP)
            running = [t for t in app.tasks if t.state == "TASK_RUNNING"]
            return app if len(running) == count and app.tasks_healthy == count and not app.deployments else None
        return until(f"{count} tasks are healthy", ready)

    app = whole(2)
    assert app.labels == {"team": "judges"} and app.tasks_running == 2 and app.tasks_unhealthy == 0
    assert all(t.health_check_results[0].alive and t.started_at for t in app.tasks)
    assert [a.id for a in client.list_apps(label="team==judges", embed_tasks=True)] == [APP]
    assert len(client.list_tasks(APP)) == 2 and len(client.list_endpoints()) >= 2
    assert client.list_versions(APP) and client.list_deployments() == [] and client.list_queue() == []
    assert client.get_metrics()

    assert client.scale_app(APP, instances=3)["deploymentId"]
    app = whole(3)

    victim = sorted(t.id for t in app.tasks)[0]
    killed = client.kill_task(APP, victim)
    assert killed.id == victim, killed
    until("the task is replaced", lambda: victim not in [t.id for t in client.list_tasks(APP)
                                                         if t.state == "TASK_RUNNING"])
    app = whole(3)
    assert client.kill_given_tasks([t.id for t in app.tasks][:1]) is True
    until("a kill is told", lambda: len([e for e in events if getattr(e, "task_status", "") == "TASK_KILLED"]) >= 2)
    app = whole(3)
    answer = client.kill_given_tasks([app.tasks[0].id], scale=True)
    assert answer is True, answer
    whole(2)

    told = {type(e).__name__ for e in events}
    for name in ("MarathonStatusUpdateEvent", "MarathonGroupChangeSuccess", "MarathonApiPostEvent"):
        assert name in told, f"{name} was not told: {sorted(told)}"

    # Its own limit, with a real Marathon too.
    try:
        client.get_group("/judge")
        knows = True
    except TypeError as error:
        knows = False
        assert "enforce_role" in str(error), error
    assert knows == (minor < [1, 9]), f"groups of {wanted}: {'read' if knows else 'not read'}"

    assert client.delete_app(APP)["deploymentId"]
    until("the app is gone", lambda: not client.list_apps(app_id=APP))
    try:
        client.get_app(APP)
        raise AssertionError("the app is still there")
    except NotFoundError as error:
        assert error.error_message == f"App '{APP}' does not exist", error.error_message
    print("pypi marathon 0.13.0 is content")


if __name__ == "__main__":
    main(*sys.argv[1:])
