"""What runs again: after its process, its monitor, the machine (simulated), a power cut (docs/restarts.md)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

import pyctr
from tests.conftest import Cli, need_tool, needs_root, sockets_of
from tests.waiting import PATIENCE_S, state_letter, wait_gone, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root
_LOOP = ["busybox", "sh", "-c", "while :; do sleep 0.1; done"]


@pytest.fixture(autouse=True)
def emptied(cli: Cli) -> Iterator[None]:
    yield
    ids = cli("ps", "-aq").stdout.split()
    if ids:
        cli("rm", "-f", *ids)


def state(cli: Cli, container: str) -> dict[str, Any]:
    """state.json as it is: no command looks, so none repairs."""
    found: dict[str, Any] = json.loads((cli.root / "containers" / container / "state.json").read_text())
    return found


def wait_for(cli: Cli, container: str, **wanted: object) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        now = state(cli, container)
        return now if all(now[key] == value for key, value in wanted.items()) else None

    there: dict[str, Any] = wait_until(found, str(wanted))
    return there


def run(cli: Cli, *options: str, command: list[str] = _LOOP) -> str:
    return cli("run", "-d", "--network", "none", *options, *command).stdout.strip()


def end_everything(cli: Cli) -> None:
    """What a reboot does: no process is left, and nothing below the run root."""
    for directory in (cli.root / "containers").iterdir():
        path = directory / "state.json"
        if not path.exists():
            continue
        before = json.loads(path.read_text())
        if before["status"] == "running":
            os.kill(before["monitor_pid"], signal.SIGKILL)
            wait_gone(before["pid"])
        wait_gone(before["monitor_pid"])  # which clears up after `stop` has come back
    shutil.rmtree(cli.run_root)


def test_process_killed_again_and_again_is_started_again(cli: Cli) -> None:
    container = run(cli, "--restart", "always")
    for count in range(1, 4):
        os.kill(state(cli, container)["pid"], signal.SIGKILL)
        assert wait_for(cli, container, status="running", restart_count=count)["pid"] > 0
    assert cli("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", container).stdout == "3 running\n"


def test_monitor_killed_again_and_again_the_next_command_starts_it_again(cli: Cli) -> None:
    container = run(cli, "--restart", "unless-stopped")
    for count in range(1, 4):
        before = state(cli, container)
        os.kill(before["monitor_pid"], signal.SIGKILL)
        wait_gone(before["monitor_pid"])
        assert cli("ps", "-q", "--no-trunc").stdout == container + "\n"
        found = state(cli, container)
        assert (found["status"], found["restart_count"]) == ("running", count)
        assert found["pid"] != before["pid"]
        assert state_letter(before["pid"]) in ("", "Z"), "dead, whether or not somebody has reaped it"
    assert cli("exec", container, "echo", "alive").stdout == "alive\n"
    os.kill(state(cli, container)["monitor_pid"], signal.SIGKILL)
    assert cli("stop", "-t", "0", container).stdout == container + "\n"
    assert state(cli, container)["status"] == "exited"


def test_monitor_killed_twenty_looking_at_once_start_it_once(cli: Cli) -> None:
    container = run(cli, "--restart", "always")
    monitor = state(cli, container)["monitor_pid"]
    os.kill(monitor, signal.SIGKILL)
    wait_gone(monitor)
    looking = [subprocess.Popen(cli.command("ps", "-q"), env=cli.env, stdout=subprocess.DEVNULL) for _ in range(8)]
    assert [process.wait(180) for process in looking] == [0] * 8
    assert state(cli, container)["restart_count"] == 1
    assert len(cli("top", container).stdout.splitlines()) in (2, 3)


def test_monitor_killed_on_failure_counts_towards_the_limit(cli: Cli) -> None:
    container = run(cli, "--restart", "on-failure:1")
    for expected in ("running", "exited"):
        os.kill(state(cli, container)["monitor_pid"], signal.SIGKILL)
        wait_gone(state(cli, container)["monitor_pid"])
        assert cli("inspect", "-f", "{{.State.Status}}", container).stdout == expected + "\n"
    assert cli("inspect", "-f", "{{.State.ExitCode}} {{.State.Error}}", container).stdout == "137 monitor died\n"
    shown = cli("events", "--since", "10m", "--until", "0s", "-f", f"container={container}", "--format", "{{.Action}}")
    assert shown.stdout.split() == ["create", "start", "die", "start", "die"]


def test_monitor_killed_wait_hears_of_that_end(cli: Cli) -> None:
    container = run(cli, "--restart", "always")
    before = sockets_of(cli, container)
    with subprocess.Popen(cli.command("wait", container), env=cli.env, stdout=subprocess.PIPE, text=True) as waiting:
        wait_until(lambda: sockets_of(cli, container) > before, "it is connected")
        os.kill(state(cli, container)["monitor_pid"], signal.SIGKILL)
        assert waiting.communicate(timeout=PATIENCE_S)[0] == "137\n"


def test_boot_starts_what_should_run_in_order(cli: Cli) -> None:
    names = {}
    for name, *options in (
        ("always", "--restart", "always"),
        ("unless", "--restart", "unless-stopped"),
        ("failed", "--restart", "on-failure"),
        ("never",),
        ("stopped-always", "--restart", "always"),
        ("stopped-unless", "--restart", "unless-stopped"),
    ):
        names[name] = run(cli, "--name", name, *options)
    cli("create", "--name", "created", "--restart", "always", *_LOOP)
    cli("stop", "-t", "0", "stopped-always", "stopped-unless")
    end_everything(cli)
    # Looking starts nothing, and does not lose what is to be started.
    assert cli("ps", "-q").stdout == ""
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "always", "never").stdout == "exited 255\n" * 2
    assert cli("system", "boot").stdout.split() == ["always", "unless", "failed", "stopped-always"]
    assert cli("system", "boot").stdout == ""
    assert sorted(cli("ps", "--format", "{{.Names}}").stdout.split()) == [
        "always",
        "failed",
        "stopped-always",
        "unless",
    ]
    # The reboots follow one another.
    end_everything(cli)
    assert cli("system", "boot").stdout.split() == ["always", "unless", "failed", "stopped-always"]


def test_boot_starts_a_container_after_those_it_needs_and_tells_failures(cli: Cli) -> None:
    cli("run", "-d", "--name", "base", "--restart", "always", "--network", "none", *_LOOP)
    cli("run", "-d", "--name", "user", "--restart", "always", "--network", "container:base", *_LOOP)
    cli("run", "-d", "--name", "broken", "--restart", "always", "--network", "none", *_LOOP)
    # Recreated, so that it is younger than what needs it.
    end_everything(cli)
    cli("ps", "-a")
    broken = cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "broken").stdout.strip()
    shutil.rmtree(broken)
    path = cli.root / "containers" / cli("inspect", "-f", "{{.Id}}", "base").stdout.strip() / "config.json"
    path.write_text(path.read_text().replace('"Created":"2', '"Created":"3', 1))
    done = cli("system", "boot", code=1)
    assert done.stdout.split() == ["base", "user"]
    assert done.stderr.startswith("pyctr: start broken: ")
    assert done.stderr.count("\n") == 1


def service(
    cli: Cli,
    name: str,
    health: str = "",
    *,
    needs: str = "",
    script: str = "while :; do sleep 0.05; done",
    retries: int = 3,
) -> None:
    """A container as compose makes one: ``needs`` is the label of what it depends on."""
    labels = (f"com.docker.compose.service={name}", f"com.docker.compose.depends_on={needs}")
    options = [word for label in ("com.docker.compose.project=p", *labels) for word in ("--label", label)]
    options += (
        ["--health-cmd", health, "--health-interval", "200ms", "--health-retries", str(retries)] if health else []
    )
    run(cli, "--name", name, "--restart", "always", *options, command=["busybox", "sh", "-c", script])


def test_boot_waits_for_the_health_that_compose_asks_for(cli: Cli) -> None:
    # The youngest first: only what they depend on can put them in order.
    service(cli, "app", needs="db:service_healthy:false")
    service(cli, "ill-app", needs="ill:service_healthy:true,app:service_started:false")
    script = "rm -f /ready; sleep 0.5; touch /ready; while :; do sleep 0.05; done"
    service(cli, "db", "test -e /ready", script=script, retries=1000)
    service(cli, "ill", "false")
    service(cli, "alone")
    end_everything(cli)
    began = f"{time.time():.9f}"
    done = cli("system", "boot", code=1)
    order = done.stdout.split()
    assert sorted(order) == ["alone", "app", "db", "ill", "ill-app"]
    assert order.index("alone") < order.index("app"), "nobody waits for the health of what it does not need"
    told = set(done.stderr.splitlines())  # of waiting only where there was nothing else to do
    assert "pyctr: start ill-app: container ill, which it depends on, is unhealthy; started all the same" in told
    assert told <= {
        "pyctr: start ill-app: container ill, which it depends on, is unhealthy; started all the same",
        "pyctr: app waits for container db to get healthy",
        "pyctr: ill-app waits for container ill to get healthy",
    }
    shown = "{{.Actor.Attributes.name}} {{.Action}}"
    happened = cli("events", "--since", began, "--until", "0s", "--format", shown).stdout.splitlines()
    assert happened.index("db health_status: healthy") < happened.index("app start")


def test_boot_does_not_wait_for_ever_for_an_end_that_does_not_come(cli: Cli) -> None:
    service(cli, "app", needs="endless:service_completed_successfully:false")
    service(cli, "endless")
    end_everything(cli)
    done = cli("system", "boot", "--wait-timeout", "1", code=1)
    assert done.stdout.split() == ["endless", "app"]
    assert done.stderr == (
        "pyctr: app waits for container endless to end\n"
        "pyctr: start app: waited 1 s for container endless to end; started all the same\n"
    )
    done = cli("system", "boot", "--wait-timeout", "soon", code=1)
    assert done.stderr == 'pyctr: invalid argument "soon" for "--wait-timeout" flag: not a number of seconds\n'


def test_rm_container_of_an_earlier_boot_is_wait_gone(cli: Cli) -> None:
    run(cli, "--rm", "--name", "temporary")
    end_everything(cli)
    assert cli("system", "boot").stdout == ""
    assert cli("ps", "-aq").stdout == ""


@pytest.mark.parametrize("content", ["", "{", "\0" * 300])
def test_state_that_a_power_cut_broke_is_an_end_nobody_saw(cli: Cli, content: str) -> None:
    container = run(cli, "--restart", "always", "--name", "cut")
    end_everything(cli)
    (cli.root / "containers" / container / "state.json").write_text(content)
    assert "Exited (255)" in cli("ps", "-a").stdout
    assert cli("system", "boot").stdout == "cut\n"
    assert state(cli, container)["status"] == "running"


def test_record_that_a_power_cut_broke_shows_as_dead_and_can_be_removed(cli: Cli) -> None:
    whole = run(cli, "--name", "whole")
    broken = cli("create", "--name", "broken", *_LOOP).stdout.strip()
    (cli.root / "containers" / broken / "config.json").write_text("")
    assert cli("ps", "-q", "--no-trunc").stdout == whole + "\n"
    assert cli("ps", "-a", "--format", "{{.Names}} {{.Status}}", "--filter", "status=dead").stdout == "broken Dead\n"
    assert cli("system", "boot").stdout == ""
    cli("rm", "-f", "broken")
    assert cli("ps", "-aq", "--no-trunc").stdout == whole + "\n"


@pytest.mark.parametrize("call", ["rename,renameat,renameat2", "write", "openat"])
def test_monitor_stopped_after_each_step_of_a_life_is_put_right(cli: Cli, call: str) -> None:
    """strace ends the monitor at its Nth such call: whatever N, afterwards the container runs, or is as it was."""
    need_tool("strace")
    container = cli("create", "--name", "steps", "--restart", "always", "--network", "none", *_LOOP).stdout.strip()
    wrapper = cli.root / "traced"
    for number in (1, 2, 3, 5, 8, 13):
        inject = f"--inject={call}:signal=SIGKILL:when={number}"
        runtime = f"{os.path.dirname(pyctr.__file__)}/_bin/pyctr-runtime"
        wrapper.write_text(f'#!/bin/sh\nexec strace -qq -e trace={call} {inject} -o /dev/null {runtime} "$@"\n')
        wrapper.chmod(0o755)
        code = (
            "from pyctr.engine import Engine; from pyctr.errors import PyctrError\n"
            f"engine = Engine(runtime={str(wrapper)!r})\n"
            "try: engine.containers.start('steps')\n"
            "except PyctrError: pass"
        )
        subprocess.run([cli.command()[0], "-c", code], env=cli.env, timeout=180, check=True, capture_output=True)
        shown = cli("ps", "-a", "--format", "{{.State}}", "--no-trunc").stdout.split()
        assert shown in (["created"], ["exited"], ["running"])
        cli("start", "steps")
        found = state(cli, container)
        assert (found["status"], os.path.exists(f"/proc/{found['pid']}")) == ("running", True)
        cli("kill", "steps", code=None)  # the traced monitor may have run until now, and end in this
        cli("stop", "-t", "0", "steps")
        wait_until(
            lambda: not (cli.run_root / container).exists(), "all cleared up"
        )  # `stop` does not wait for the monitor to clear up


def test_install_writes_a_unit_that_systemd_accepts(cli: Cli, tmp_path: Path) -> None:
    unit = tmp_path / "units" / "pyctr.service"
    assert cli("system", "install", "--directory", str(unit.parent)).stdout == f"{unit}\n"
    text = unit.read_text()
    assert f" --root {cli.root} --run-root {cli.run_root} system boot\n" in text
    assert os.path.samefile(unit.parent / "multi-user.target.wants" / "pyctr.service", unit)
    cli("system", "install", "--directory", str(unit.parent))
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        assert "pyctr.service" not in verified.stderr, verified.stderr
    cli("system", "install", "--remove", "--directory", str(unit.parent))
    assert not unit.exists()
    assert list((unit.parent / "multi-user.target.wants").iterdir()) == []
    refused = cli("--root", "/tmp/a'b", "system", "install", "--directory", str(tmp_path), code=1)
    assert "a systemd unit cannot name this path" in refused.stderr
