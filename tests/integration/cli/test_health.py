"""Health checks, seen from outside."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.conftest import Cli, needs_root
from tests.waiting import wait_until

pytestmark = needs_root
#: The time a check may take is one that a busy machine does not exceed.
QUICK = ["--health-interval", "100ms", "--health-timeout", "60s", "--health-retries", "2"]


def start(cli: Cli, name: str, command: str, *options: str) -> None:
    shell = ["busybox", "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
    cli("run", "-d", "--name", name, "--network", "none", "--health-cmd", command, *QUICK, *options, *shell)


def health(cli: Cli, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(cli("inspect", "-f", "{{json .State.Health}}", name).stdout)
    return shown


def results_at_rest(cli: Cli, name: str, seconds: float) -> list[dict[str, Any]]:
    """The results, once there is no other in some time: what ended before a pause may be told after it."""

    def rests() -> tuple[list[dict[str, Any]]] | None:
        before = health(cli, name)["Log"]
        time.sleep(seconds)
        return (before,) if health(cli, name)["Log"] == before else None

    results: list[dict[str, Any]]
    (results,) = wait_until(rests, "no check is told of any more")
    return results


def test_health_follows_the_command_and_is_told(cli: Cli) -> None:
    start(cli, "checked", "echo checking $HOME; until [ -e /asked ]; do sleep 0.05; done; test -e /well")
    assert "(health: starting)" in cli("ps", "--filter", "name=checked").stdout
    cli("exec", "checked", "touch", "/asked")
    wait_until(lambda: health(cli, "checked")["Status"] == "unhealthy", "unhealthy")
    assert "(unhealthy)" in cli("ps", "--filter", "health=unhealthy").stdout
    cli("exec", "checked", "touch", "/well")
    wait_until(lambda: health(cli, "checked")["Status"] == "healthy", "healthy")
    assert "(healthy)" in cli("ps", "--filter", "name=checked").stdout
    shown = health(cli, "checked")
    assert shown["FailingStreak"] == 0
    assert len(shown["Log"]) <= 5
    assert shown["Log"][-1]["ExitCode"] == 0
    assert shown["Log"][-1]["Output"] == "checking /root\n"
    read = (cli.root / "events.jsonl").read_text
    wait_until(lambda: '"health_status: healthy"' in read(), "the event, which may follow the state")
    journal = read()
    assert journal.index('"health_status: unhealthy"') < journal.index('"health_status: healthy"')
    cli("rm", "-f", "checked")


def test_health_check_that_hangs_is_killed_and_fails(cli: Cli) -> None:
    start(cli, "hanging", "sleep 100", "--health-timeout", "500ms")
    wait_until(lambda: len(health(cli, "hanging")["Log"]) > 1, "two results")
    result = health(cli, "hanging")["Log"][0]
    assert (result["ExitCode"], result["Output"]) == (-1, "Health check exceeded timeout (500ms)")
    # One that was killed may be seen dying yet.
    wait_until(lambda: cli("exec", "hanging", "ps").stdout.count("sleep 100") <= 2, "its shell and itself, once")
    cli("rm", "-f", "hanging")


def test_health_check_that_cannot_run_fails(cli: Cli) -> None:
    cli(
        "run", "-d", "--name", "none", *QUICK, "--health-cmd", "exit 3", "--network", "none", "busybox", "sleep", "1000"
    )
    wait_until(lambda: bool(health(cli, "none")["Log"]), "a result")
    assert health(cli, "none")["Log"][0]["ExitCode"] == 3
    cli("rm", "-f", "none")


def test_health_of_a_paused_container_is_not_asked(cli: Cli) -> None:
    start(cli, "paused", "true")
    wait_until(lambda: health(cli, "paused")["Status"] == "healthy", "healthy")
    cli("pause", "paused")
    before = results_at_rest(cli, "paused", 0.5)
    cli("unpause", "paused")
    wait_until(lambda: health(cli, "paused")["Log"] != before, "a check")
    cli("rm", "-f", "paused")


def test_health_check_that_runs_when_its_container_is_paused_goes_on_with_it(cli: Cli) -> None:
    """What is frozen does not die of SIGKILL where groups are of version 1: nobody may wait for that."""
    start(cli, "caught", "touch /begun; sleep 100", "--health-timeout", "1s")
    wait_until(lambda: cli("exec", "caught", "test", "-e", "/begun", code=None).returncode == 0, "a check")
    cli("pause", "caught")
    before = results_at_rest(cli, "caught", 1.5)
    cli("unpause", "caught")
    wait_until(lambda: health(cli, "caught")["Log"] != before, "its end")
    cli("rm", "-f", "caught")


def test_health_none_disables_it(cli: Cli) -> None:
    cli("run", "-d", "--name", "unchecked", "--no-healthcheck", "--network", "none", "busybox", "sleep", "1000")
    assert "Health" not in json.loads(cli("inspect", "-f", "{{json .State}}", "unchecked").stdout)
    cli("rm", "-f", "unchecked")
