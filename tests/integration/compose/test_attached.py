"""`up` without ``-d``, and ``--wait``: what is shown, what ends it, and with which code."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from tests.conftest import needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Cli
    from tests.integration.compose.conftest import Compose

    Make = Callable[[str], Compose]

pytestmark = needs_root
#: One that stays, one that ends well, one that ends badly.
THREE = """
services:
  web: {image: busybox, SLEEP}
  ok: {image: busybox, command: [sleep, "0.1"]}
  bad: {image: busybox, command: ["sh", "-c", "sleep 1; exit 3"]}
"""
TWO = THREE[: THREE.index("  bad:")]


def test_attached_up_shows_output_stops_on_interrupt_and_second_one_kills(compose: Make) -> None:
    project = compose("""
services:
  web: {image: busybox, command: ["sh", "-c", "trap '' TERM; echo hello from web; while :; do sleep 0.1; done"]}
  db: {image: busybox, command: [echo, short]}
""")
    process = project.start("up")
    process.until("web-1  | hello from web\n")
    process.until("db-1   | short\n")
    process.until("db-1 exited with code 0\n")
    process.signal()
    process.until("Gracefully Stopping... press Ctrl+C again to force\n")
    process.until("web-1  Stopping", "err")
    process.signal()
    code, _, errors = process.end()
    assert code == 130
    assert "web-1  Killed" in errors
    assert project("ps", "-q").stdout == ""


def test_exit_code_from_is_that_of_the_service(compose: Make) -> None:
    project = compose(
        "services: {web: {image: busybox, SLEEP}, t: {image: busybox, command: sh -c 'sleep 0.2; exit 7'}}"
    )
    project("up", "--exit-code-from", "t", code=7)
    assert project("ps", "-q").stdout == ""


@pytest.mark.parametrize(
    ("text", "option", "code"),
    [(TWO, "--abort-on-container-exit", 0), (THREE, "--abort-on-container-failure", 3)],
    ids=["exit", "failure"],
)
def test_one_that_ends_ends_all(compose: Make, text: str, option: str, code: int) -> None:
    project = compose(text)
    assert "Aborting on container exit..." in project("up", option, code=code).stderr
    assert project("ps", "-q").stdout == ""


def test_up_ends_with_the_containers_it_shows(compose: Make) -> None:
    project = compose(THREE)
    done = project("up", "--no-attach", "web")
    assert done.stdout.splitlines()[0] == "Attaching to bad-1, ok-1"
    assert "bad-1 exited with code 3" in done.stdout
    assert project("ps", "--services").stdout == "web\n", "what is not shown goes on"
    assert project("up", "--attach", "ok", "ok").stdout == "Attaching to ok-1\nok-1 exited with code 0\n"
    for option in ("--attach", "--no-attach"):
        done = project("up", option, "nobody", code=1)
        assert done.stderr == "pyctr: cannot attach to services not included in up: nobody\n"


def test_output_is_shown_whatever_the_log_driver(compose: Make) -> None:
    project = compose("""
services:
  web:
    image: busybox
    logging: {driver: none}
    command: ["sh", "-c", "trap exit TERM; while :; do echo from web; sleep 0.1; done"]
""")
    process = project.start("up")
    process.until("web-1  | from web\n")
    assert "Can't retrieve logs" in project("logs").stderr
    process.signal()
    assert process.end()[0] == 130


def test_output_before_anybody_listens_is_shown_whatever_the_log_driver(compose: Make) -> None:
    project = compose("""
services:
  web:
    image: busybox
    logging: {driver: none}
    command: ["sh", "-c", "echo first; echo second; printf third >&2"]
  db:
    image: busybox
    logging: {driver: syslog, options: {syslog-address: "udp://127.0.0.1:9"}}
    command: [seq, "30000"]
  last: {image: busybox, command: "true", depends_on: {db: {condition: service_completed_successfully}}}
""")
    lines = project("up").stdout.splitlines()
    assert [line for line in lines if line.startswith("web-1") and "third" not in line] == [
        "web-1   | first",
        "web-1   | second",
        "web-1 exited with code 0",
    ]
    assert "web-1   | third" in lines
    assert [line for line in lines if line.startswith("db-1 ")] == [
        *(f"db-1    | {number}" for number in range(1, 30001)),
        "db-1 exited with code 0",
    ]


def test_output_of_every_life_is_shown_without_a_log(cli: Cli, compose: Make) -> None:
    project = compose("""
services:
  web:
    image: busybox
    logging: {driver: none}
    restart: on-failure:1
    volumes: ["./:/here"]
    command: ["sh", "-c", "touch /here/life; while test -e /here/life; do sleep 0.05; done; echo a life; exit 3"]
""")
    process = project.start("up")

    def listens(times: int) -> bool:
        mine = ("--filter", f"container={project.container()}", "--filter", "event=attach")
        return cli("events", "--since", "0", "--until", "0s", *mine).stdout.count("\n") == times

    for life in (1, 2):  # only when somebody listens may it speak
        wait_until(functools.partial(listens, life), "listens")
        wait_until((project.directory / "life").exists, "lives")
        (project.directory / "life").unlink()
    code, said, _ = process.end()
    assert code == 0
    assert said.count("web-1  | a life\n") == 2
    assert said.endswith("web-1 exited with code 3\n")


def test_wait_fails_for_what_ends_at_once_or_does_not_get_healthy(compose: Make) -> None:
    project = compose("services: {web: {image: busybox, command: [sh, -c, exit 4]}, db: {image: busybox, SLEEP}}")
    done = project("up", "--wait", code=1)
    assert done.stderr.splitlines()[-1] == f"pyctr: container {project.container()} exited (4)"
    project("up", "--wait", "db")
    project.write('services: {web: {image: busybox, SLEEP, healthcheck: {test: "false", interval: 1s, retries: 99}}}')
    done = project("up", "--wait", "--wait-timeout", "1", code=1)
    assert done.stderr.splitlines()[-1].endswith(f"{project.container()}: application not healthy after 1s")
    assert project("up", "--wait", "--attach", "web", code=1).stderr.startswith("pyctr: --wait cannot be combined")
