"""`up`, what it leaves alone, what it makes anew, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.conftest import Cli, needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.compose.conftest import Compose

    Make = Callable[[str], Compose]

pytestmark = needs_root
ONE = "services: {web: {image: busybox, SLEEP}}"


def ids(project: Compose) -> list[str]:
    return project("ps", "-aq").stdout.split()


def test_up_twice_changes_nothing_and_down_leaves_nothing(compose: Make) -> None:
    project = compose(ONE)
    assert project.events("up", "-d")[-1] == "Container web-1  Started"
    first = ids(project)
    assert project.events("up", "-d") == ["Container web-1  Running"]
    assert ids(project) == first
    assert {"Container web-1  Removed", f"Network {project.name}_default  Removed"} <= set(project.events("down"))
    assert project.events("down") == []


def test_changed_file_makes_only_what_changed_anew_and_keeps_its_anonymous_volume(compose: Make) -> None:
    text = """
services:
  web: {image: busybox, SLEEP, environment: {A: "1"}, volumes: [/kept]}
  db: {image: busybox, SLEEP}
"""
    project = compose(text)
    project("up", "-d")
    project.inside("web", "echo mine > /kept/file")
    project.write(text.replace('"1"', '"2"'))
    said = project.events("up", "-d")
    assert "Container db-1  Running" in said
    assert "Container web-1  Recreated" in said
    assert project.inside("web", "cat /kept/file; echo $A") == "mine\n2\n"
    project("up", "-d", "-V", "--force-recreate")
    assert project.inside("web", "ls /kept") == ""


def test_container_removed_by_hand_is_made_again(cli: Cli, compose: Make) -> None:
    project = compose(ONE)
    project("up", "-d")
    cli("rm", "-f", project.container())
    assert "Container web-1  Created" in project.events("up", "-d")


def test_scale_and_names_and_labels(cli: Cli, compose: Make) -> None:
    project = compose(ONE)
    project("up", "-d", "--scale", "web=3")
    names = [row["Name"] for row in map(json.loads, project("ps", "--format", "json").stdout.splitlines())]
    assert names == [project.container(number) for number in (1, 2, 3)]
    labels = json.loads(cli("inspect", project.container(2)).stdout)[0]["Config"]["Labels"]
    assert labels["com.docker.compose.service"] == "web"
    assert labels["com.docker.compose.container-number"] == "2"
    assert labels["com.docker.compose.config-hash"] == project("config", "--hash", "web").stdout.split()[1]
    project("scale", "web=1")
    assert len(ids(project)) == 1


def test_dependencies_start_in_order_under_their_conditions(compose: Make) -> None:
    project = compose("""
services:
  web:
    image: busybox
    SLEEP
    depends_on:
      db: {condition: service_healthy}
      once: {condition: service_completed_successfully}
  db:
    image: busybox
    SLEEP
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, retries: 100000}
    post_start: [{command: [touch, /ready]}]
  once: {image: busybox, command: "true"}
""")
    said = project.events("up", "-d")
    assert said.index("Container db-1  Healthy") < said.index("Container web-1  Starting")
    assert said.index("Container once-1  Exited") < said.index("Container web-1  Starting")
    stopped = project.events("stop")
    assert stopped.index("Container web-1  Stopped") < stopped.index("Container db-1  Stopping")


def test_service_never_healthy_fails_up_and_what_runs_stays(compose: Make) -> None:
    project = compose("""
services:
  web: {image: busybox, SLEEP, depends_on: {db: {condition: service_healthy}}}
  db: {image: busybox, SLEEP, healthcheck: {test: "false", interval: 100ms, retries: 2}}
""")
    done = project("up", "-d", code=1)
    assert f"dependency failed to start: container {project.container(service='db')} is unhealthy" in done.stderr
    assert project("ps", "--services").stdout == "db\n"


def test_failures_are_one_line_and_leave_the_next_up_free(cli: Cli, compose: Make) -> None:
    # Of no use to anybody else at this time, and not among those that the kernel gives to clients.
    at = f"127.0.0.1:{15000 + os.getpid() % 15000}"
    web = f"web: {{image: busybox, SLEEP, ports: ['{at}:80']}}"
    project = compose(f"services: {{{web}, db: {{image: busybox, SLEEP, ports: ['{at}:81']}}}}")
    done = project("up", "-d", code=1)
    assert done.stderr == f'pyctr: services "db" and "web" both publish port {at}/tcp\n'
    project.write(f"services: {{{web}}}")
    cli("run", "-d", "--name", "holder", "-p", f"{at}:80", "busybox", "sleep", "1000")
    done = project("up", "-d", code=1)
    assert at.rpartition(":")[2] in done.stderr.splitlines()[-1]
    cli("rm", "-f", "holder")
    project("up", "-d")
    project.write("services: {web: {image: not.here.invalid/nothing, pull_policy: never}}")
    assert project("up", "-d", code=1).stderr == "pyctr: No such image: not.here.invalid/nothing\n"


def test_second_up_waits_for_the_first(compose: Make) -> None:
    project = compose("""
services:
  web: {image: busybox, SLEEP, depends_on: {db: {condition: service_healthy}}}
  db: {image: busybox, SLEEP, healthcheck: {test: "test -e /ready", interval: 100ms, retries: 100000}}
""")
    first = project.start("up", "-d")
    wait_until(lambda: project("ps", "--services").stdout == "db\n", "db runs")
    second = project.start("up", "-d")
    second.until("waiting", "err")
    project.inside("db", "touch /ready")
    assert first.end()[0] == 0
    code, _, errors = second.end()
    assert code == 0
    assert "web-1  Running" in errors


def test_interrupted_while_waiting_ends_at_once_and_goes_on_next_time(compose: Make) -> None:
    project = compose("""
services:
  web: {image: busybox, SLEEP, depends_on: {db: {condition: service_healthy}}}
  db: {image: busybox, SLEEP, healthcheck: {test: "test -e /ready", interval: 100ms, retries: 100000}}
""")
    process = project.start("up", "-d")
    wait_until(lambda: project("ps", "--services").stdout == "db\n", "db runs")
    process.signal()
    assert process.end()[0] == 130
    project.inside("db", "touch /ready")
    assert "Container web-1  Started" in project.events("up", "-d")


def test_interrupted_down_does_not_wait_for_the_grace_period(compose: Make) -> None:
    project = compose("""
services:
  web: {image: busybox, command: ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"], stop_grace_period: 10m}
""")
    project("up", "-d")
    process = project.start("down")
    process.until("web-1  Stopping", "err")
    process.signal()
    assert process.end()[0] == 130
    assert project("ps", "--services").stdout == "web\n"
    assert "Container web-1  Removed" in project.events("down", "-t", "0")


def test_orphans_are_told_of_and_removed_on_request(compose: Make) -> None:
    project = compose("services: {web: {image: busybox, SLEEP}, old: {image: busybox, SLEEP}}")
    project("up", "-d")
    project.write(ONE)
    assert f"Found orphan containers ([{project.container(service='old')}])" in project("up", "-d").stderr
    assert "Container old-1  Removed" in project.events("up", "-d", "--remove-orphans")


def test_dry_run_prints_and_does_nothing(compose: Make) -> None:
    project = compose(ONE)
    said = project("up", "--dry-run").stderr
    assert f" DRY-RUN MODE -  Container {project.container()}  Creating\n" in said
    assert ids(project) == []


def test_service_named_outside_its_profile_comes_with_all_it_needs(compose: Make) -> None:
    project = compose("""
services:
  web:
    image: busybox
    SLEEP
    profiles: [extra]
    env_file: web.env
    volumes: ["data:/data"]
    secrets: [token]
    depends_on: [db]
  db: {image: busybox, SLEEP, profiles: [extra], networks: [back]}
  alone: {image: busybox, SLEEP, network_mode: none}
volumes: {data: }
networks: {back: }
secrets: {token: {file: web.env}}
""")
    (project.directory / "web.env").write_text("GREETING=hello\n")
    assert "Container alone-1  Started" in project.events("up", "-d")
    said = project.events("up", "-d", "web")
    assert {"Network back  Created", "Network default  Created", "Volume data  Created"} <= {
        line.replace(f"{project.name}_", "") for line in said
    }
    assert said[-1] == "Container web-1  Started"
    assert project.inside("web", "echo $GREETING; cat /run/secrets/token; ls -d /data").split() == [
        "hello", "GREETING=hello", "/data",
    ]  # fmt: skip
    project("--profile", "extra", "down", "-v", "-t", "0")


def test_network_that_cannot_be_made_is_named(compose: Make) -> None:
    project = compose("""
services: {web: {image: busybox, SLEEP, networks: [n]}}
networks: {n: {ipam: {config: [{subnet: 300.1.1.0/24}]}}}
""")
    last = project("up", "-d", code=1).stderr.splitlines()[-1]
    assert last == f"pyctr: failed to create network {project.name}_n: invalid CIDR address: 300.1.1.0/24"
