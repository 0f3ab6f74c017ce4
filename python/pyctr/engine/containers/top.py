"""`top`: the host's `ps`, of which only the container's processes are shown (moby daemon/top_unix.go)."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from pyctr._core import cgroup_processes
from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import InvalidArgument, PyctrError, StateError

if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store


def list_processes(store: Store, container_id: str, arguments: list[str]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of ``ps ARGUMENTS`` (``-ef`` without any). Raises StateError where it does not run."""
    state = current_state(store, container_id)
    if state.get("status") not in ACTIVE:
        raise StateError(f"container {container_id} is not running")
    if state["status"] == "restarting":
        raise StateError(f"Container {container_id} is restarting, wait until the container is running")
    try:
        done = subprocess.run(["ps", *(arguments or ["-ef"])], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PyctrError("ps: not installed on this host") from None
    if done.returncode != 0:
        raise InvalidArgument(f"ps: {done.stderr.strip() or done.stdout.strip()}".splitlines()[0])
    write_event(store.root, "top", store.record(container_id))
    return select(done.stdout, processes_of(state))


def processes_of(state: dict[str, Any]) -> set[int]:
    """The pids of a running container: those of its control group, or where it has none of its pid namespace."""
    if state["cgroup_paths"]:
        return set(cgroup_processes(state["cgroup_paths"]))
    own = namespace_of(state["pid"])
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and own and namespace_of(int(name)) == own}


def namespace_of(pid: int) -> str:
    """The pid namespace of a process; empty if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def select(output: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
    """Titles, and the rows of these pids; the last column has blanks in it."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    place = titles.index("PID")
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return titles, [row for row in rows if len(row) > place and row[place].isdigit() and int(row[place]) in pids]
