"""The end of a container whose monitor was killed and could not write its last word: whoever looks next kills what is left
and writes it instead."""

from __future__ import annotations

import os
import select
import time

from pyctr._core import remove_tree, send_signal
from pyctr.engine import times
from pyctr.engine.containers.state import ACTIVE
from pyctr.engine.containers.store import UNKNOWN_EXIT, read_state, try_lock
from pyctr.engine.signals import SIGKILL
from pyctr.errors import CorruptData, KernelError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

_KILLED = 128 + SIGKILL
_GRACE_MS = 5000


def repair(store: Store, container_id: str) -> None:
    """Bury a container whose monitor died. Does nothing when another command is at it, or a new monitor took over."""
    lock = try_lock(store.path(container_id) + "/lock")
    if lock is None:
        return
    try:
        restarts = repair_locked(store, container_id)
    finally:
        os.close(lock)
    if restarts is not None and store.revive is not None:
        store.revive(container_id, restarts)


def is_of_earlier_boot(store: Store, container_id: str) -> bool:
    """Of a container whose state claims that it runs: a run-time directory does not outlive the machine."""
    return not os.path.exists(store.run_path(container_id))


def ended(state: dict[str, Any], *, rebooted: bool) -> dict[str, Any]:
    """The state of a container whose monitor died, or did with the machine."""
    return state | {
        "status": "exited",
        "pid": 0,
        "exit_code": UNKNOWN_EXIT if rebooted else _KILLED,
        "error": "" if rebooted else "monitor died",
        "finished_at": times.now(),
    }


def repair_locked(store: Store, container_id: str) -> int | None:
    """`repair`, for who holds the lock: how many restarts there were, if there is to be another, else None."""
    state = read_state(store.path(container_id))
    if state.get("status") not in ACTIVE:
        return None
    rebooted = is_of_earlier_boot(store, container_id)
    had_process = bool(state.get("pid"))  # not in the pause before a restart, and that end is told already
    if not rebooted:
        kill_process(state.get("pid") or 0, state.get("pid_start"))
    bury(store, container_id, state)
    state = ended(state, rebooted=rebooted)
    try:
        store.write(container_id, "state.json", state)
    except KernelError:
        # A full disk keeps nobody from looking at the container, or removing it; who looks next does this again.
        if not rebooted:
            os.makedirs(store.run_path(container_id), 0o700, exist_ok=True)
        return None
    record = store.record(container_id)
    if had_process and not rebooted:
        tell_death(store, record, state)
    if record["HostConfig"]["AutoRemove"]:
        from pyctr.engine.containers.remove import remove_locked

        remove_locked(store, container_id, record, volumes=True)
        return None
    again = not rebooted and not state.get("stopped_by_user") and is_due(record["HostConfig"]["RestartPolicy"], state)
    return int(state.get("restart_count") or 0) + 1 if again else None


def tell_death(store: Store, record: dict[str, Any], state: dict[str, Any]) -> None:
    """The ``die`` that a monitor which was killed could not write."""
    from pyctr.engine.containers.events import write_event

    began, gone = (times.parse_time(state.get(key) or times.ZERO) for key in ("started_at", "finished_at"))
    lasted_s = max(gone - began, 0) // 1_000_000_000
    write_event(store.root, "die", record, execDuration=str(lasted_s), exitCode=str(state["exit_code"]))


def is_due(policy: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether a restart policy wants a container started that ended with this state (moby restartmanager)."""
    name, limit = policy["Name"], policy["MaximumRetryCount"]
    if name == "on-failure":
        return bool(state.get("exit_code")) and (not limit or (state.get("restart_count") or 0) < limit)
    return name == "always" or (name == "unless-stopped" and not state.get("stopped_by_user"))


def bury(store: Store, container_id: str, state: dict[str, Any]) -> None:
    """Processes of the container's control groups, the groups themselves, the run-time directory."""
    from pyctr.engine.containers.network import release_network

    try:
        path = store.read(container_id, "spec.json")["linux"]["cgroupsPath"]
    except (NotFound, CorruptData, LookupError):  # never started, or half written by a machine that lost power
        path = ""
    directories = set(control_groups(path)) if path.startswith("/") else set()
    directories |= set((state.get("cgroup_paths") or {}).values())
    for directory in sorted(directories):
        if os.path.basename(directory) == container_id or directory.endswith(f"-{container_id}.scope"):
            empty_control_group(directory)
    release_network(store, container_id)
    remove_tree(store.run_path(container_id))


def kill_process(pid: int, start: int | None) -> None:
    """SIGKILL `pid` if it is still the process that was started, and wait for its end. A pid may have been reused."""
    if pid <= 0 or start is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        send_signal(pid, start, SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(_GRACE_MS)
    except NotFound:
        return
    finally:
        os.close(pidfd)


def control_groups(path: str) -> list[str]:
    """The directories a control group path has in the hierarchies mounted here."""
    root = "/sys/fs/cgroup"
    try:
        bases = [root, *(f"{root}/{name}" for name in os.listdir(root))]
    except FileNotFoundError:
        return []
    return [base + path for base in bases if os.path.isdir(base + path)]


def empty_control_group(directory: str) -> None:
    """Kill every process in a control group and remove it, children first."""
    try:
        with os.scandir(directory) as iterator:
            entries = list(iterator)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            empty_control_group(entry.path)
    deadline = time.monotonic() + _GRACE_MS / 1000
    while True:
        for text in read_processes(directory):
            try:
                os.kill(int(text), SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def read_processes(directory: str) -> list[str]:
    """The pids in a control group."""
    try:
        with open(directory + "/cgroup.procs", encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []
