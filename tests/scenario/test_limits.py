"""The tutorial's chapter on limits: refused in docker's words, seen in the kernel, held to under stress-ng."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool, needs_root
from tests.waiting import PATIENCE_S, wait_equal, wait_until

if TYPE_CHECKING:
    from tests.conftest import Cli
    from tests.scenario.pair import Pair

pytestmark = needs_root
_NONE = ("--network", "none")


@pytest.mark.parametrize(
    "options",
    [
        ("-m", "4m"), ("--memory-swap", "10m"), ("-m", "10m", "--memory-swap", "9m"), ("--cpus", "900"),
        ("-m", "10m", "--memory-reservation", "20m"), ("--cpuset-cpus", "900"), ("--cpuset-cpus", "x"),
        ("--cpuset-mems", "900"), ("--memory-swappiness", "101"), ("--blkio-weight", "5"), ("--cpu-period", "10"),
        ("--cpu-quota", "10"), ("--cpus", "1", "--cpu-quota", "50000"), ("--oom-score-adj", "2000"), ("-m", "x"),
        ("--device-read-bps", "/dev/null"), ("--shm-size", "-1"), ("--ulimit", "nofile=2:1"), ("--ulimit", "bad=1"),
    ],
)  # fmt: skip
def test_wrong_limits_are_refused_in_the_same_words(pair: Pair, options: tuple[str, ...]) -> None:
    pair.same("create", *options, "busybox", "true", first_line=True)


def test_memory_limit_ends_who_exceeds_it(pair: Pair) -> None:
    eater = ("busybox", "sh", "-c", "tail -c 100m /dev/zero")
    pair.both("run", "--name", "eater", "-m", "20m", "--memory-swap", "20m", *_NONE, *eater)
    ours, theirs = pair.both("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "eater")
    assert ours[1] == "true 137\n"
    assert theirs[1].split()[1] == "137"


def counter(cli: Cli, name: str) -> Path:
    """The file that has the processor time a container used."""
    container = cli("inspect", "-f", "{{.Id}}", name).stdout.strip()
    for path in (
        Path(f"/sys/fs/cgroup/cpuacct/pyctr/{container}/cpuacct.usage"),
        Path(f"/sys/fs/cgroup/pyctr/{container}/cpu.stat"),
    ):
        if path.exists():
            return path
    raise AssertionError("no cpu counter")


def cpu_ns(file: Path) -> int:
    text = file.read_text()
    return int(text) if text.strip().isdigit() else 1000 * int(text.split()[1])


def burn(cli: Cli, name: str, *options: str) -> None:
    cli("run", "-d", "--name", name, *_NONE, *options, "busybox", "sh", "-c", "while :; do :; done")


def test_shares_divide_one_processor(pair: Pair) -> None:
    """1024 : 512 : 512 on one CPU, which others may use too: what counts is how the three divide what they get."""
    cli = pair.ours
    for name, shares in (("big", "1024"), ("one", "512"), ("two", "512")):
        burn(cli, name, "--cpu-shares", shares, "--cpuset-cpus", "0")
    files = [counter(cli, name) for name in ("big", "one", "two")]
    right = pytest.approx([50, 25, 25], abs=4)

    def shares() -> list[float]:
        """Of three seconds of processor time; one that was read late, on a busy machine, is no reason to fail."""
        before = [cpu_ns(file) for file in files]
        used = [0, 0, 0]

        def enough() -> bool:
            used[:] = [cpu_ns(file) - start for file, start in zip(files, before, strict=True)]
            return sum(used) > 3_000_000_000

        wait_until(enough, "three seconds of processor time")
        return [100 * part / sum(used) for part in used]

    wait_equal(shares, right, "they divide the processor as they should")


def test_cpus_and_stats_agree(pair: Pair) -> None:
    burn(pair.ours, "half", "--cpus", "0.5")
    file = counter(pair.ours, "half")

    def shown() -> float:
        # Whoever is interrupted between clock and counter sees too little: the limit is held to.
        clock, before = time.monotonic_ns(), cpu_ns(file)
        shown = json.loads(pair.ours("stats", "--no-stream", "--format", "json", "half").stdout)
        after = cpu_ns(file)
        share = 100 * (after - before) / (time.monotonic_ns() - clock)
        assert share < 53
        return float(shown["CPUPerc"].rstrip("%"))

    wait_until(lambda: shown() < 75, "a reading that nobody interrupted")


def test_stress_ng_is_held_to_its_memory(pair: Pair) -> None:
    """The tutorial's stress-ng, the host's own program, two workers of 256 MB in a container of 64 MB."""
    program = need_tool("stress-ng")
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = [program, *(word for line in libraries.splitlines() for word in line.split() if word.startswith("/"))]
    mounts = [option for path in paths for option in ("-v", f"{Path(path).resolve()}:{path}:ro")]
    command = ("busybox", program, "--vm", "2", "--vm-bytes", "256m", "--temp-path", "/tmp", "-t", "300")
    pair.ours("run", "-d", "--name", "stress", "-m", "64m", "--memory-swap", "64m", *_NONE, *mounts, *command)
    highest, deadline = 0, time.monotonic() + PATIENCE_S
    while highest <= 5 and time.monotonic() < deadline:
        sample = json.loads(pair.ours("stats", "--no-stream", "--format", "json", "stress").stdout)
        assert sample["MemUsage"].endswith(" / 64MiB"), pair.ours("logs", "stress")
        highest = max(highest, int(float(sample["MemPerc"].rstrip("%"))))
    assert 5 < highest <= 100


def test_pids_limit_stops_a_fork_bomb_and_the_rest_goes_on(pair: Pair) -> None:
    bomb = "i=0; while [ $i -lt 10000 ]; do sleep 1000 & i=$((i+1)); done"
    pair.ours("run", "-d", "--name", "bomb", "--pids-limit", "50", *_NONE, "busybox", "sh", "-c", bomb)
    wait_until(lambda: "can't fork" in pair.ours("logs", "bomb").stderr, "the limit is met")
    assert int(pair.ours("stats", "--no-stream", "--format", "{{.PIDs}}", "bomb").stdout) <= 50
    pair.ours("rm", "-f", "bomb")
