"""Contenders run in turn (A B C A B C …), so that a machine that drifts drifts for all; ratios are of medians."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing(_: int) -> None:
    """No preparation."""


@dataclass
class Contender:
    """One way to do it: a name, argv for the n-th run, and the ratio promised against it."""

    name: str
    argv: Callable[[int], list[str]]
    promise: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    #: Before and after the n-th run, untimed.
    before: Callable[[int], None] = nothing
    after: Callable[[int], None] = nothing
    times_ms: list[float] = field(default_factory=list)


def timed(argv: list[str], env: dict[str, str]) -> float:
    """Milliseconds from spawn to exit; an exit code other than 0 ends the benchmark."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {**os.environ, **env}, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    taken = (time.perf_counter() - began) * 1000
    if status != 0:
        raise SystemExit(f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}")
    return taken


def one_run(contender: Contender, number: int) -> float:
    """One run with what comes before and after it; milliseconds of the run alone."""
    try:
        contender.before(number)
        return timed(contender.argv(number), contender.env)
    finally:
        contender.after(number)


def race(
    title: str, ours: Contender, peers: list[Contender], rounds: int, pause_s: float = 0, *, warm_up: bool = True
) -> None:
    """Run all in turn and print a line a peer."""
    contenders = [ours, *peers]
    if warm_up:
        for contender in contenders:
            one_run(contender, 10_000)
    for number in range(rounds):
        for contender in contenders:
            if pause_s:
                time.sleep(pause_s)
            contender.times_ms.append(one_run(contender, number))
    print(f"\n{title}")
    print(f"  {'ours':22} median {statistics.median(ours.times_ms):7.2f}  min {min(ours.times_ms):7.2f}")
    for peer in peers:
        ratio = statistics.median(ours.times_ms) / statistics.median(peer.times_ms)
        verdict = (
            ""
            if peer.promise is None
            else f"  promised <= {peer.promise}: {'met' if ratio <= peer.promise else 'MISSED'}"
        )
        print(
            f"  {peer.name:22} median {statistics.median(peer.times_ms):7.2f}  min {min(peer.times_ms):7.2f}"
            f"  ratio {ratio:.3f}{verdict}"
        )


def find(name: str) -> str | None:
    """A program, also where root's PATH would have it."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
