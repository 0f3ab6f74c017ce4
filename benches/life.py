"""Rows of a container's life: exec, ps with 1,000 containers, logging, and what a monitor costs."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.peers import running_dockerd

from benches.race import Contender, find, race

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.peers import Peer

_CONTAINERS = 1000
_WATCHED_S = 60
_LOG_BYTES = 200_000_000


def rows(base: Path, rounds: int) -> None:
    """All rows, below a directory of their own."""
    env = {"PYCTR_ROOT": str(base / "root"), "PYCTR_RUN_ROOT": str(base / "run")}
    command = find_pyctr()

    def ours(*words: str, text: bool = True) -> str:
        done = subprocess.run([*command, *words], env={**os.environ, **env}, capture_output=True, check=True)
        return done.stdout.decode() if text else ""

    ours("image", "bootstrap", "busybox")
    image = subprocess.run([*command, "save", "busybox"], env={**os.environ, **env}, capture_output=True, check=True)
    try:
        with running_dockerd() as docker:
            docker("load", input=image.stdout)
            exec_row(command, env, ours, docker, rounds)
            log_row(command, env, docker, max(rounds // 7, 1))
        monitor_row(ours, base / "run")
        ps_row(command, env, base, rounds)
    finally:
        ids = ours("ps", "-q").split()
        if ids:
            ours("rm", "-f", *ids)


def find_pyctr() -> list[str]:
    """The console script beside this interpreter."""
    return [str(Path(sys.executable).with_name("pyctr"))]


def exec_row(command: list[str], env: dict[str, str], ours: Callable[..., str], docker: Peer, rounds: int) -> None:
    """`exec NAME true` in a container that runs."""
    loop = ("--network", "none", "busybox", "sleep", "10000")
    ours("run", "-d", "--name", "bench", *loop)
    docker("run", "-d", "--name", "bench", *loop)
    client = find("docker") or "docker"
    race(
        "exec NAME true",
        Contender("pyctr exec", lambda _: [*command, "exec", "bench", "true"], env=env),
        [Contender("docker exec", lambda _: [client, *docker.command[1:], "exec", "bench", "true"], promise=0.3)],
        rounds,
    )
    docker("rm", "-f", "bench")


def log_row(command: list[str], env: dict[str, str], docker: Peer, rounds: int) -> None:
    """A container that writes lines of 100 bytes as fast as it is read, detached: until it has ended."""
    line = "x" * 99
    script = f"yes {line} | head -c {_LOG_BYTES}"
    words = ["run", "--rm", "-d", "--network", "none", "busybox", "sh", "-c", script]

    def waiting(prefix: list[str]) -> Callable[[int], list[str]]:
        shown = " ".join(f"'{word}'" for word in prefix)
        return lambda _: ["/bin/sh", "-c", f'{shown} wait $({shown} "$@") >/dev/null', "sh", *words]

    client = find("docker") or "docker"
    race(
        f"log throughput, json-file, {_LOG_BYTES // 1_000_000} MB in lines of 100 bytes",
        Contender("pyctr", waiting(command), env=env),
        [Contender("docker", waiting([client, *docker.command[1:]]), promise=0.5)],
        rounds,
        warm_up=False,
    )


def monitor_row(ours: Callable[..., str], run_root: Path) -> None:
    """Private memory, threads and wake-ups of an idle monitor."""
    container = ours("inspect", "-f", "{{.Id}}", "bench").strip()
    pid = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if watches(pid, container))
    before = wake_ups(pid)
    time.sleep(_WATCHED_S)
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    private_kib = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty"))
    threads = len(os.listdir(f"/proc/{pid}/task"))
    print(f"\nidle monitor, {_WATCHED_S} s (promised: 1024 KiB, 1 thread, 0 wake-ups)")
    print(f"  private {private_kib} KiB, threads {threads}, wake-ups {wake_ups(pid) - before}")
    if not run_root.exists():
        raise SystemExit("the monitor's run root is gone")


def watches(pid: int, container: str) -> bool:
    """Whether a process is a container's monitor."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:2] == [b"monitor"] and container.encode() in words[2]


def wake_ups(pid: int) -> int:
    """How often a process was switched to."""
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def ps_row(command: list[str], env: dict[str, str], base: Path, rounds: int) -> None:
    """CPU of `ps` and `ps -a` with 1,000 containers, as a multiple of a bare interpreter's."""
    from pyctr.engine import Engine

    engine = Engine(str(base / "root"), str(base / "run"))
    for _ in range(_CONTAINERS):
        engine.containers.create("busybox", ["true"], {"network": ["none"]})
    bare = [sys.executable, "-I", "-c", "pass"]
    figures = {}
    for name, argv in (("python3 -I -c pass", bare), ("ps", [*command, "ps"]), ("ps -a", [*command, "ps", "-a"])):
        figures[name] = [processor_ms(argv, env) for _ in range(rounds)]
    base_ms = statistics.median(figures["python3 -I -c pass"])
    print(f"\nps with {_CONTAINERS:,} containers, CPU (promised: 3 times python3 -I -c pass)")
    for name, times_ms in figures.items():
        median = statistics.median(times_ms)
        print(f"  {name:22} median {median:7.2f}  min {min(times_ms):7.2f}  {median / base_ms:.2f} times")


def processor_ms(argv: list[str], env: dict[str, str]) -> float:
    """User and system time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
