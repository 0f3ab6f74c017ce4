"""Rolling updates by `deploy.update_config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.compose.conftest import Compose

pytestmark = needs_root
TEXT = """
services:
  web:
    image: busybox
    init: true
    stop_grace_period: 1s
    command: COMMAND
    deploy: {replicas: 2, update_config: CONFIG}
"""


def text(command: str, config: str) -> str:
    return TEXT.replace("COMMAND", command).replace("CONFIG", config)


def test_start_first_takes_the_old_one_away_when_the_new_one_runs(compose: Callable[[str], Compose]) -> None:
    config = "{order: start-first, monitor: 200ms}"
    project = compose(text("sleep 1000", config))
    project("up", "-d")
    before = set(project("ps", "-q").stdout.split())
    project.write(text("sleep 1001", config))
    project("up", "-d")
    after = set(project("ps", "-aq").stdout.split())
    assert len(after) == 2
    assert not before & after
    names = project("ps", "--format", "{{.Name}} {{.Command}}").stdout
    assert names == f'{project.container(1)} "sleep 1001"\n{project.container(2)} "sleep 1001"\n'


def test_failed_update_stops_at_the_first_and_says_so(compose: Callable[[str], Compose]) -> None:
    project = compose(text("sleep 1000", "{monitor: 60s}"))
    project("up", "-d")
    project.write(text("sh -c 'exit 3'", "{monitor: 60s}"))
    done = project("up", "-d", code=1)
    assert f"update failed: container {project.container(1)} exited (3)" in done.stderr
    assert project("ps", "--format", "{{.Name}}").stdout == f"{project.container(2)}\n"


def test_failed_update_is_rolled_back(compose: Callable[[str], Compose]) -> None:
    config = "{monitor: 60s, failure_action: rollback}"
    project = compose(text("sleep 1000", config))
    project("up", "-d")
    before = set(project("ps", "-q").stdout.split())
    project.write(text("sh -c 'exit 3'", config))
    done = project("up", "-d", code=1)
    assert "rolling back" in done.stderr
    assert set(project("ps", "-q").stdout.split()) == before
    assert set(project("ps", "-aq").stdout.split()) == before
    names = project("ps", "--format", "{{.Name}}").stdout.split()
    assert names == [project.container(1), project.container(2)]
