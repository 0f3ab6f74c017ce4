"""`develop.watch`: each action, by what it does to the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.compose.conftest import Compose

pytestmark = needs_root

TEXT = """
services:
  built:
    build: ./context
    command: ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
    develop: {watch: [{path: ./context, action: rebuild}]}
  restarted:
    image: busybox
    SLEEP
    develop: {watch: [{path: ./restart, action: restart}]}
  both:
    image: busybox
    SLEEP
    develop: {watch: [{path: ./both, action: sync+restart, target: /app}]}
  told:
    image: busybox
    SLEEP
    develop: {watch: [{path: ./told, action: sync+exec, target: /app, exec: {command: [cp, /app/a, /copied]}}]}
  first:
    image: busybox
    SLEEP
    develop: {watch: [{path: ./first, action: sync, target: /app, initial_sync: true}]}
"""


def pid(project: Compose, service: str) -> str:
    return project.cli("inspect", "-f", "{{.State.Pid}}", project.container(service=service)).stdout.strip()


def test_each_action_does_what_it_says_and_no_more(compose: Callable[[str], Compose]) -> None:
    project = compose(TEXT)
    for name in ("context", "restart", "both", "told", "first"):
        (project.directory / name).mkdir()
    project.change("context/Dockerfile", "FROM busybox\nCOPY a /a\n")
    project.change("context/a", "old")
    (project.directory / "first/a").write_text("there from the start")
    project("up", "-d")
    ids = {service: project("ps", "-q", service).stdout for service in ("built", "restarted", "both", "told")}
    pids = {service: pid(project, service) for service in ids}
    process = project.start("watch", "--no-up")
    process.until("Watch enabled\n")
    wait_until(
        lambda: project("exec", "-T", "first", "cat", "/app/a", code=None).stdout == "there from the start",
        "the initial sync",
    )
    project.change("context/a", "new")
    process.until('service(s) ["built"] successfully built\n')
    assert project.inside("built", "cat /a") == "new"
    assert project("ps", "-q", "built").stdout != ids["built"]

    project.change("restart/a", "one")
    process.until('service(s) ["restarted"] restarted\n')
    assert pid(project, "restarted") != pids["restarted"]
    assert project.inside("restarted", "ls -d /app* | wc -l") == "0\n"

    project.change("both/a", "two")
    process.until('service(s) ["both"] restarted\n')
    assert pid(project, "both") != pids["both"]
    assert project.inside("both", "cat /app/a") == "two"

    project.change("told/a", "three")
    wait_until(lambda: project("exec", "-T", "told", "cat", "/copied", code=None).stdout == "three", "the command ran")
    assert pid(project, "told") == pids["told"], "sync+exec restarts nothing"
    assert sorted(project("ps", "-q", "restarted", "both", "told").stdout.split()) == sorted(
        ids[each].strip() for each in ("restarted", "both", "told")
    ), "only a rebuild makes containers anew"
    process.signal()
    code, _, errors = process.end()
    assert code == 0
    assert "WARNING" not in errors
    project("down", "--rmi", "local")


def test_failed_rebuild_is_told_and_watching_goes_on(compose: Callable[[str], Compose]) -> None:
    project = compose("""
services:
  web: {build: ./context, SLEEP, develop: {watch: [{path: ./context, action: rebuild}]}}
""")
    (project.directory / "context").mkdir()
    project.change("context/Dockerfile", "FROM busybox\nRUN echo 1 > /n\n")
    process = project.start("watch", "--quiet")
    process.until("Watch enabled\n")
    assert project.inside("web", "cat /n") == "1\n"
    project.change("context/Dockerfile", "FROM busybox\nRUN exit 3\n")
    process.until("WARNING: web: Dockerfile:2", "err")
    assert project.inside("web", "cat /n") == "1\n", "the old container goes on"
    project.change("context/Dockerfile", "FROM busybox\nRUN echo 2 > /n\n")
    process.until('service(s) ["web"] successfully built\n')
    assert project.inside("web", "cat /n") == "2\n"
    process.signal()
    assert process.end()[0] == 0
    project("down", "--rmi", "local")
