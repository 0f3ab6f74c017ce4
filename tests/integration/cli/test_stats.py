"""`stats` and `top` against the kernel's own files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyctr.engine import Engine
from tests.conftest import Cli, needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root


@pytest.fixture
def busy(cli: Cli) -> Iterator[str]:
    """One that uses a whole processor, 20 MB of memory, and holds two processes."""
    script = "head -c 20000000 /dev/zero >/dev/shm/x; sleep 1000 & while :; do :; done"
    container = cli("run", "-d", "--name", "busy", "--network", "none", "-m", "64m", "busybox", "sh", "-c", script)
    # The shell has begun both, and the memory is filled.
    wait_until(lambda: any(line.endswith(" sleep 1000") for line in top(cli)), "its second process")
    yield container.stdout.strip()
    cli("rm", "-f", "busy")


def top(cli: Cli) -> list[str]:
    return cli("top", "busy").stdout.splitlines()


def counter(container: str, v1: str, v2: str, key: str = "") -> int:
    base = Path("/sys/fs/cgroup")
    for path in (
        base / v1.partition("/")[0] / "pyctr" / container / v1.partition("/")[2],
        base / "pyctr" / container / v2,
    ):
        if path.exists():
            text = path.read_text()
            return int(dict(line.split() for line in text.splitlines())[key] if key else text)
    raise AssertionError(f"neither {v1} nor {v2}")


def processor_ns(container: str) -> int:
    """Processor time used; version 2 counts microseconds."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return 1000 * counter(container, "-", "cpu.stat", "usage_usec")
    return counter(container, "cpuacct/cpuacct.usage", "-")


def test_stats_are_the_kernels_counters_within_the_time_of_reading(cli: Cli, busy: str) -> None:
    containers = Engine(str(cli.root), str(cli.run_root)).containers
    first = containers.sample(busy)
    assert first is not None
    for _ in range(10):
        outer, outer_clock = processor_ns(busy), time.monotonic_ns()
        start = containers.sample(busy)
        inner, inner_clock = processor_ns(busy), time.monotonic_ns()
        time.sleep(0.2)
        inner, inner_clock = processor_ns(busy) - inner, time.monotonic_ns() - inner_clock
        now = containers.sample(busy)
        outer, outer_clock = processor_ns(busy) - outer, time.monotonic_ns() - outer_clock
        assert start is not None
        assert now is not None
        # Read within ours and around them: the truth lies between, however busy the machine is.
        assert inner <= now.cpu_ns - start.cpu_ns <= outer
        assert 100 * inner / outer_clock <= now.cpu_percent(start) <= 100 * outer / inner_clock
        usage = counter(busy, "memory/memory.usage_in_bytes", "memory.current")
        assert now.memory <= usage * 1.01
        assert now.memory >= 20_000_000
    assert now.memory_limit == 64 << 20
    assert now.pids == counter(busy, "pids/pids.current", "pids.current")


def test_stats_table_has_dockers_columns(cli: Cli, busy: str) -> None:
    lines = cli("stats", "--no-stream").stdout.splitlines()
    titles = "CONTAINER ID NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
    assert " ".join(lines[0].split()) == titles
    assert lines[1].startswith(busy[:12])

    def reading() -> dict[str, str] | None:
        shown: dict[str, str] = json.loads(cli("stats", "--no-stream", "--format", "json", "busy").stdout)
        return shown if float(shown["CPUPerc"].rstrip("%")) > 0 else None

    shown = wait_until(reading, "it was given the processor between two looks")
    assert sorted(shown) == [
        "BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs",
    ]  # fmt: skip
    assert shown["MemUsage"].endswith(" / 64MiB")
    cli("create", "--name", "idle", "busybox", "true")
    assert "0.00%     0B / 0B" in cli("stats", "--no-stream", "--all").stdout
    cli("rm", "idle")
    assert "No such container: none" in cli("stats", "--no-stream", "none", code=1).stderr


def test_top_shows_the_containers_processes_only(cli: Cli, busy: str) -> None:
    lines = top(cli)
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert len(lines) == 3
    assert cli("top", "busy", "-o", "pid,comm").stdout.splitlines()[0].split() == ["PID", "COMMAND"]
    assert "Couldn't find PID field" in cli("top", "busy", "-o", "comm", code=1).stderr
    cli("kill", "busy")
    cli("wait", "busy")
    assert cli("top", "busy", code=1).stderr == f"pyctr: container {busy} is not running\n"
