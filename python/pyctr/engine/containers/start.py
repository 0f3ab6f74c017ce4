"""From a record to a running container: the spec and the monitor's request written, the monitor spawned."""

from __future__ import annotations

import os

from pyctr._core import Channel, json_dumps, write_atomic
from pyctr.engine.containers.network import prepare_network
from pyctr.engine.containers.request import plan_request
from pyctr.engine.containers.session import Session, spawn_monitor
from pyctr.engine.spec.plan import Joined, plan_spec
from pyctr.errors import InvalidArgument, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store
    from pyctr.engine.host import HostFacts


class Prepared:
    """A container ready to be spawned: our end of its channel, on which a client may already speak."""

    __slots__ = ("_lock", "_runtime", "_theirs", "directory", "record", "session")

    def __init__(self, engine: Engine, record: dict[str, Any], lock: int) -> None:
        ours, self._theirs = Channel.pair()  # theirs is a bare descriptor, for the monitor only
        self.record = record
        self.session = Session(ours, record["Id"])
        self.directory = engine.containers.store.path(record["Id"])
        self._runtime = engine.runtime
        self._lock = lock

    def spawn(self) -> Session:
        """Start the monitor; lock and channel are its own from here on."""
        try:
            spawn_monitor(self._runtime, ["monitor", self.directory], [self._theirs, self._lock])
        except BaseException:
            self.session.channel.close()
            raise
        finally:
            os.close(self._theirs)
            os.close(self._lock)
        return self.session


def prepare(
    engine: Engine,
    record: dict[str, Any],
    facts: HostFacts,
    lock: int,
    lower: list[str] | None = None,
    *,
    restarts: int = 0,
) -> Prepared:
    """Write spec.json and monitor.json of a container whose lock is held; takes over `lock`, also when it raises.

    `restarts` is how often it was started again already, where it is now.
    """
    store: Store = engine.containers.store
    container_id = record["Id"]
    directory, run_dir = store.path(container_id), store.run_path(container_id)
    try:
        if lower is None:
            lower = [f"{store.root}/layers/{layer}" for layer in dict.fromkeys(reversed(record["Pyctr"]["layers"]))]
        os.makedirs(run_dir, 0o711, exist_ok=True)
        joined = resolve_joined(store, record)
        make_sources(record)
        restore_volumes(store, record)
        join_files(store, record)
        plan, joined.environment = prepare_network(store, record)
        spec = plan_spec(record, facts, joined, container_dir=directory)
        # Planned anew at every start: nothing that must survive a power cut.
        write_atomic(directory + "/spec.json", json_dumps(spec), sync=False)
        request = plan_request(store, record, lower, plan, restarts=restarts)
        write_atomic(directory + "/monitor.json", json_dumps(request), sync=False)
        return Prepared(engine, record, lock)
    except BaseException:
        os.close(lock)
        raise


def resolve_joined(store: Store, record: dict[str, Any]) -> Joined:
    """The processes whose namespaces are joined, and the shared /dev/shm; raises StateError where none runs."""
    host = record["HostConfig"]
    joined = Joined()
    for kind, field in (("network", "NetworkMode"), ("pid", "PidMode"), ("ipc", "IpcMode")):
        mode, _, other = host[field].partition(":")
        if mode == "container":
            joined.pids[kind] = running_pid(store, other)
            if kind == "ipc":
                joined.shm_path = store.run_path(other) + "/shm"
    if host["IpcMode"] == "shareable":
        joined.shm_path = store.run_path(record["Id"]) + "/shm"
        try:
            os.mkdir(joined.shm_path)
            os.chmod(joined.shm_path, 0o1777)  # noqa: S103 (what /dev/shm is)
        except FileExistsError:
            pass
    return joined


def running_pid(store: Store, container_id: str) -> int:
    """PID 1 of a running container, as the host sees it."""
    from pyctr.engine.containers.state import current_state

    state = current_state(store, container_id)
    if state.get("status") not in ("running", "paused"):
        raise StateError(f"cannot join namespace of a non running container: container {container_id} is not running")
    return int(state["pid"])


def make_sources(record: dict[str, Any]) -> None:
    """-v makes a missing source a directory, as Docker does; --mount does not, unless told to."""
    strict = {
        mount["Target"]
        for mount in record["HostConfig"].get("Mounts") or ()
        if not mount.get("BindOptions", {}).get("CreateMountpoint")
    }
    for point in record["Mounts"]:
        if point["Type"] == "bind" and point["Destination"] not in strict and not os.path.lexists(point["Source"]):
            try:
                os.makedirs(point["Source"], 0o755, exist_ok=True)
            except OSError as error:
                reason = os.strerror(error.errno or 0).lower()
                raise InvalidArgument(
                    f"error while creating mount source path '{point['Source']}': mkdir {point['Source']}: {reason}"
                ) from None


def restore_volumes(store: Store, record: dict[str, Any]) -> None:
    """A volume that was taken away while nobody looked (a disk that was wiped) is made again, empty."""
    for point in record["Mounts"]:
        if point["Type"] == "volume" and not os.path.isdir(point["Source"]):
            from pyctr.engine.volumes.store import create_volume

            create_volume(store, point["Name"])


def join_files(store: Store, record: dict[str, Any]) -> None:
    """A joined network brings its owner's names along (moby shares HostsPath, HostnamePath, ResolvConfPath)."""
    mode, _, other = record["HostConfig"]["NetworkMode"].partition(":")
    if mode != "container":
        return
    from pyctr.engine.containers.store import read_bytes
    from pyctr.engine.spec.mounts import ETC_FILES

    for name in ETC_FILES:
        content = read_bytes(f"{store.path(other)}/{name}")
        write_atomic(f"{store.path(record['Id'])}/{name}", content, mode=0o644, sync=False)
