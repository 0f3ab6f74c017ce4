"""Containers on disk: directories, names, locks (docs/design.md, "On disk").

Every step is one atomic system call, so a process killed at any moment leaves nothing, or something the next
command recognises: a directory ``.<id>.tmp`` or ``.<id>.old`` whose lock nobody holds, a name without its container.
"""

from __future__ import annotations

import fcntl
import os
import time

from pyctr._core import json_dumps, json_loads, remove_tree, write_atomic
from pyctr.errors import Conflict, CorruptData, InvalidArgument, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_HEX = frozenset("0123456789abcdef")
#: A directory without a lock file belongs to a creator between two system calls, unless it is this old.
_ABANDONED_AFTER_S = 60
_LOCK_PATIENCE_S = 5.0
#: A look costs 20 µs, and a monitor's end takes some milliseconds.
_LOCK_PAUSE_S = 0.004
#: Exit code of a life whose end nobody saw, as Docker's after an unclean shutdown.
UNKNOWN_EXIT = 255


def check_name(name: str) -> str:
    """A container name without Docker's leading slash; raises InvalidArgument."""
    bare = name.removeprefix("/")
    if len(bare) < 2 or not set(bare) <= _NAME_CHARACTERS or bare[0] in "_.-" or len(bare) > 200:
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare


class Store:
    """The containers below one root."""

    __slots__ = ("containers_dir", "names_dir", "revive", "root", "run_root", "volumes_dir")

    def __init__(self, root: str, run_root: str) -> None:
        self.root = root
        self.run_root = run_root
        self.containers_dir = root + "/containers"
        self.names_dir = root + "/names"
        self.volumes_dir = root + "/volumes"
        #: Starts a container again whose monitor was killed (docs/restarts.md); None: it stays down.
        self.revive: Callable[[str, int], None] | None = None

    def path(self, container_id: str) -> str:
        """The directory of a container."""
        return f"{self.containers_dir}/{container_id}"

    def run_path(self, container_id: str) -> str:
        """Its run-time directory, which holds the monitor's socket."""
        return f"{self.run_root}/{container_id}"

    def sessions_path(self, container_id: str) -> str:
        """Where its sessions of `exec` are while it runs."""
        return self.run_path(container_id) + "/exec"

    # -- creating ------------------------------------------------------------------------------------------------

    def new_directory(self) -> tuple[str, int]:
        """Make ``.<id>.tmp`` with its lock held; returns the id and the lock's descriptor."""
        while True:
            container_id = os.urandom(32).hex()
            if container_id[:12].isdigit():  # a short id that is a number would be taken for one (moby stringid)
                continue
            directory = self.temporary_path(container_id)
            try:
                os.mkdir(directory, 0o710)
            except FileNotFoundError:
                # In this order: another creator that finds the second has both.
                for parent in (self.names_dir, self.containers_dir):
                    os.makedirs(parent, 0o711, exist_ok=True)
                continue
            lock = os.open(directory + "/lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.fstat(lock).st_nlink:  # somebody swept between the two lines above, and took this one for dead
                os.close(lock)
                continue
            fd = os.open(directory + "/id", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            os.write(fd, container_id.encode())
            os.close(fd)
            return container_id, lock

    def temporary_path(self, container_id: str) -> str:
        """Where a container is while it is being made."""
        return f"{self.containers_dir}/.{container_id}.tmp"

    def removed_path(self, container_id: str) -> str:
        """Where it is while it is being removed: told apart, because only what never was takes its volumes along."""
        return f"{self.containers_dir}/.{container_id}.old"

    def publish(self, container_id: str) -> None:
        """Rename a complete container into place."""
        os.rename(self.temporary_path(container_id), self.path(container_id))

    def discard(self, container_id: str) -> None:
        """Remove a container that was not published, and the anonymous volumes made for it."""
        directory = self.temporary_path(container_id)
        try:
            record = json_loads(read_bytes(directory + "/config.json"))
            volumes = record["Pyctr"]["anonymous_volumes"]
        except (FileNotFoundError, ValueError, LookupError):
            volumes = ()
        for name in volumes:
            remove_tree(f"{self.volumes_dir}/{name}")
        remove_tree(directory)

    # -- names ---------------------------------------------------------------------------------------------------

    def take_name(self, name: str, container_id: str, *, directory: str | None = None) -> None:
        """Take a name; raises Conflict.

        A name is a hard link to the file ``id`` of the container's directory (`directory` while it is not published):
        exclusive as O_EXCL is, and nobody ever reads half a name.
        """
        source = f"{directory or self.path(container_id)}/id"
        target = f"{self.names_dir}/{name}"
        try:
            os.link(source, target)
        except FileExistsError:
            owner = self.name_owner(name)
            if owner and not self.free_stale_name(name, owner):
                raise name_conflict(name, owner) from None
            try:
                os.link(source, target)
            except FileExistsError:
                raise name_conflict(name, self.name_owner(name) or "") from None

    def name_owner(self, name: str) -> str | None:
        """The id a name stands for."""
        try:
            return read_bytes(f"{self.names_dir}/{name}").decode("ascii").strip()
        except FileNotFoundError:
            return None

    def free_stale_name(self, name: str, owner: str) -> bool:
        """Give back the name of a container whose creator or remover was killed; whether it is free now."""
        if os.path.exists(self.path(owner)):
            return False
        for path in (self.temporary_path(owner), self.removed_path(owner)):
            self.sweep(os.path.basename(path))
            if os.path.exists(path):
                return False  # its creator or remover is at work
        if os.path.exists(self.path(owner)):
            return False  # published between the two looks
        self.release_name(name, owner)
        return True

    def release_name(self, name: str, owner: str) -> None:
        """Unlink a name if it still belongs to `owner`.

        Only the owner's remover and the freers of stale names unlink; the freers take turns, so what is read is what is
        unlinked.
        """
        if not name:  # a damaged record's
            return
        directory = os.open(self.names_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if self.name_owner(name) == owner:
                os.unlink(f"{self.names_dir}/{name}")
        except FileNotFoundError:
            pass
        finally:
            os.close(directory)

    # -- finding -------------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Every container's id; sweeps up what killed commands left, which shows in the same listing."""
        try:
            names = os.listdir(self.containers_dir)
        except FileNotFoundError:
            return []
        for name in names:
            if name[0] == ".":
                self.sweep(name)
        return [name for name in names if name[0] != "."]

    def sweep(self, entry: str) -> None:
        """Remove one ``.<id>.tmp`` or ``.<id>.old`` whose owner is dead."""
        directory = f"{self.containers_dir}/{entry}"
        lock = try_lock(directory + "/lock")
        if lock is None:
            try:
                locked = os.path.exists(directory + "/lock")
                if locked or time.time() - os.stat(directory).st_mtime < _ABANDONED_AFTER_S:
                    return
            except FileNotFoundError:
                return
        if entry.endswith(".tmp"):
            self.discard(entry[1:-4])
        else:
            remove_tree(directory)
        if lock is not None:
            os.close(lock)

    def finish_removal(self, container_id: str) -> None:
        """A --rm container's monitor takes config.json away first; finish for one that was killed right after."""
        lock = try_lock(self.path(container_id) + "/lock")
        if lock is None:
            return
        try:
            if os.path.exists(self.path(container_id) + "/config.json"):
                return
            try:
                volumes = (self.read(container_id, "monitor.json").get("remove") or {}).get("volumes", ())
            except (NotFound, CorruptData):
                volumes = ()
            os.rename(self.path(container_id), self.removed_path(container_id))
            for path in (self.run_path(container_id), *volumes, self.removed_path(container_id)):
                remove_tree(path)
        finally:
            os.close(lock)

    def resolve(self, reference: str) -> str:
        """The id of a name, an id or a unique prefix; raises NotFound, InvalidArgument where several match."""
        bare = reference.removeprefix("/")
        if len(bare) == 64 and set(bare) <= _HEX and os.path.exists(self.path(bare)):
            return bare
        if bare and set(bare) <= _NAME_CHARACTERS and bare[0] != ".":
            owner = self.name_owner(bare)
            if owner and os.path.exists(self.path(owner)):
                return owner
        if bare and set(bare) <= _HEX:
            found = [name for name in self.ids() if name.startswith(bare)]
            if len(found) > 1:
                raise InvalidArgument(f"Multiple IDs found with provided prefix: {bare}")
            if found:
                return found[0]
        raise NotFound(f"No such container: {reference}")

    def record(self, container_id: str) -> dict[str, Any]:
        """What was asked for: config.json."""
        return self.read(container_id, "config.json")

    def read(self, container_id: str, name: str) -> dict[str, Any]:
        """A JSON file of a container; raises NotFound when the container is gone."""
        path = f"{self.path(container_id)}/{name}"
        try:
            data = read_bytes(path)
        except FileNotFoundError:
            raise NotFound(f"No such container: {container_id}") from None
        try:
            value: dict[str, Any] = json_loads(data)
        except ValueError as error:
            raise CorruptData(f"read {path}: {error}") from None
        return value

    def write(self, container_id: str, name: str, value: dict[str, Any]) -> None:
        """Replace a JSON file of a container."""
        write_atomic(f"{self.path(container_id)}/{name}", json_dumps(value))

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every container that stays while we look."""
        for container_id in self.ids():
            try:
                yield container_id, self.record(container_id)
            except NotFound:
                self.finish_removal(container_id)

    # -- locks ---------------------------------------------------------------------------------------------------

    def is_locked(self, container_id: str) -> bool:
        """Whether somebody holds the container: its monitor, a start, a removal.

        Asked with a shared lock, so that two who ask do not see each other.
        """
        lock = -1
        # Steps of builds have leases of addresses too, and are no containers otherwise.
        for directory in ("containers", "build/run"):
            try:
                lock = os.open(f"{self.root}/{directory}/{container_id}/lock", os.O_RDWR | os.O_CLOEXEC)
                break
            except FileNotFoundError:
                continue
        if lock < 0:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def lock(self, container_id: str) -> int | None:
        """Take a container nobody runs; None while it is running. Raises NotFound, StateError when it stays busy."""
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        pause_s = 0.001
        while True:
            lock = try_lock(self.path(container_id) + "/lock")
            if lock is not None:
                if os.path.exists(self.path(container_id)):
                    return lock
                os.close(lock)
                raise NotFound(f"No such container: {container_id}")
            if not os.path.exists(self.path(container_id)):
                raise NotFound(f"No such container: {container_id}")
            if read_state(self.path(container_id)).get("status") in ("running", "paused", "restarting"):
                return None
            if time.monotonic() > deadline:
                raise StateError(f"lock container {container_id[:12]}: another command is at work on it")
            time.sleep(pause_s)  # somebody looked, or a start or removal is under way
            pause_s = min(pause_s * 2, _LOCK_PAUSE_S)


def name_conflict(name: str, owner: str) -> Conflict:
    """Docker's words."""
    return Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{owner}". You have to remove (or '
        "rename) that container to be able to reuse that name."
    )


def try_lock(path: str) -> int | None:
    """A descriptor with the exclusive lock, or None when it is held or the file is missing."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def read_bytes(path: str) -> bytes:
    """A file's content: open, read and close, without Python's buffered file around them."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 65536)
        if len(data) == 65536:
            while chunk := os.read(fd, 1 << 20):
                data += chunk
        return data
    finally:
        os.close(fd)


def read_state(directory: str) -> dict[str, Any]:
    """state.json; empty where the container never started. One that a power cut broke tells of an end nobody saw."""
    path = directory + "/state.json"
    try:
        value: dict[str, Any] = json_loads(read_bytes(path))
        return value
    except FileNotFoundError:
        return {}
    except ValueError:
        from pyctr.engine.times import format_time

        moment = format_time(os.stat(path).st_mtime_ns)
        end = {"status": "exited", "pid": 0, "exit_code": UNKNOWN_EXIT, "error": "state.json is damaged"}
        return {"version": 1, **end, "started_at": moment, "finished_at": moment}
