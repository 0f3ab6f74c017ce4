"""Health checks, seen from outside."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.conftest import Cli, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = needs_root
QUICK = ["--health-interval", "100ms", "--health-timeout", "500ms", "--health-retries", "2"]


def start(cli: Cli, name: str, command: str, *options: str) -> None:
    shell = ["busybox", "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
    cli("run", "-d", "--name", name, "--network", "none", "--health-cmd", command, *QUICK, *options, *shell)


def health(cli: Cli, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(cli("inspect", "-f", "{{json .State.Health}}", name).stdout)
    return shown


def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def test_health_follows_the_command_and_is_told(cli: Cli) -> None:
    start(cli, "checked", "echo checking $HOME; test -e /well")
    assert "(health: starting)" in cli("ps", "--filter", "name=checked").stdout
    until(lambda: health(cli, "checked")["Status"] == "unhealthy", "unhealthy")
    assert "(unhealthy)" in cli("ps", "--filter", "health=unhealthy").stdout
    cli("exec", "checked", "touch", "/well")
    until(lambda: health(cli, "checked")["Status"] == "healthy", "healthy")
    assert "(healthy)" in cli("ps", "--filter", "name=checked").stdout
    shown = health(cli, "checked")
    assert shown["FailingStreak"] == 0
    assert len(shown["Log"]) <= 5
    assert shown["Log"][-1]["ExitCode"] == 0
    assert shown["Log"][-1]["Output"] == "checking /root\n"
    journal = (cli.root / "events.jsonl").read_text()
    assert journal.index('"health_status: unhealthy"') < journal.index('"health_status: healthy"')
    cli("rm", "-f", "checked")


def test_health_check_that_hangs_is_killed_and_fails(cli: Cli) -> None:
    start(cli, "hanging", "sleep 100")
    until(lambda: len(health(cli, "hanging")["Log"]) > 1, "two results")
    result = health(cli, "hanging")["Log"][0]
    assert (result["ExitCode"], result["Output"]) == (-1, "Health check exceeded timeout (500ms)")
    assert cli("exec", "hanging", "ps").stdout.count("sleep 100") <= 2, "its shell and itself, once"
    cli("rm", "-f", "hanging")


def test_health_check_that_cannot_run_fails(cli: Cli) -> None:
    cli("run", "-d", "--name", "none", *QUICK, "--health-cmd", "exit 3", "--network", "none", "busybox", "sleep", "100")
    until(lambda: bool(health(cli, "none")["Log"]), "a result")
    assert health(cli, "none")["Log"][0]["ExitCode"] == 3
    cli("rm", "-f", "none")


def test_health_of_a_paused_container_is_not_asked(cli: Cli) -> None:
    start(cli, "paused", "true")
    until(lambda: health(cli, "paused")["Status"] == "healthy", "healthy")
    cli("pause", "paused")
    before = health(cli, "paused")["Log"][-1]
    time.sleep(0.5)
    assert health(cli, "paused")["Log"][-1] == before
    cli("unpause", "paused")
    until(lambda: health(cli, "paused")["Log"][-1] != before, "a check")
    cli("rm", "-f", "paused")


def test_health_none_disables_it(cli: Cli) -> None:
    cli("run", "-d", "--name", "unchecked", "--no-healthcheck", "--network", "none", "busybox", "sleep", "100")
    assert "Health" not in json.loads(cli("inspect", "-f", "{{json .State}}", "unchecked").stdout)
    cli("rm", "-f", "unchecked")
