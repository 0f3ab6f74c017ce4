"""`cp`: trees between a container and the host as tar streams (docker/cli, docs of `docker cp`).

A container's paths are resolved below a descriptor of its root, so no link in it leads out (CVE-2018-15664). A running one is
seen as it sees itself, mounts included; a stopped one is its layers merged, with its volumes at their places.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from typing import TYPE_CHECKING

from pyctr._core import archive_path, mount_layers, stat_path, unpack_archive
from pyctr.engine import times
from pyctr.engine.containers.changes import directories
from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import InvalidArgument, NotFound, PyctrError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyctr._core import WrittenLayer
    from pyctr.engine import Engine


class Tree:
    """A root to look below: a descriptor, or a path of the host. `describe` words what is missing."""

    __slots__ = ("describe", "root")

    def __init__(self, root: str | int, describe: Callable[[str], str]) -> None:
        self.root = root
        self.describe = describe

    def mode(self, path: str, *, follow: bool) -> int:
        """st_mode of what a path leads to. Raises NotFound."""
        try:
            return stat_path(self.root, path, follow=follow)[0]
        except NotFound:
            raise NotFound(self.describe(path)) from None

    def find(self, path: str) -> int | None:
        """The same, links followed; None where nothing is."""
        try:
            return stat_path(self.root, path)[0]
        except NotFound:
            return None


def host() -> Tree:
    """The caller's own files."""
    return Tree("/", lambda path: f"lstat {path}: no such file or directory")


@contextlib.contextmanager
def container_tree(engine: Engine, ref: str, path: str, *, writing: bool) -> Iterator[tuple[Tree, str]]:
    """A container's tree and a path in it. A stopped one cannot be started meanwhile."""
    store = engine.containers.store
    container_id = engine.containers.resolve(ref)
    record = store.record(container_id)
    path = os.path.normpath("/" + path.lstrip("/")) + ("/" if path.endswith(("/", "/.")) else "")
    point = mount_of(record, path)
    if writing and record["HostConfig"]["ReadonlyRootfs"] and point is None:
        raise StateError("container rootfs is marked read-only")
    if writing and point is not None and not point["RW"]:
        raise StateError("mounted volume is marked read-only")

    write_event(engine.root, "extract-to-dir" if writing else "archive-path", record, path=path)

    def describe(missing: str) -> str:
        return f"Could not find the file {missing} in container {ref}"

    state = current_state(store, container_id)
    if state.get("status") in ACTIVE and state.get("pid"):
        fd = os.open(f"/proc/{state['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield Tree(fd, describe), path
        finally:
            os.close(fd)
        return
    lock = store.lock(container_id)
    if lock is None:
        raise StateError(f"container {container_id} is starting or being removed")
    try:
        if point is not None:
            yield Tree(point["Source"], describe), path[len(point["Destination"]) :] or "/"
            return
        upper, lower = directories(engine, record)
        fd = mount_layers(lower, upper, store.path(container_id) + "/work")
        try:
            yield Tree(fd, describe), path
        finally:
            os.close(fd)
    finally:
        os.close(lock)


def mount_of(record: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The volume or directory mounted deepest above a path."""
    points = [
        point
        for point in record["Mounts"]
        if point["Type"] != "tmpfs" and (path + "/").startswith(point["Destination"].rstrip("/") + "/")
    ]
    return max(points, key=lambda point: len(point["Destination"]), default=None)


def copy_from(engine: Engine, ref: str, path: str, target: str, *, follow: bool, archive: bool) -> int:
    """Copy out of a container to the host; bytes."""
    owner = None if archive else (os.geteuid(), os.getegid())
    with container_tree(engine, ref, path, writing=False) as (tree, inside):
        return transfer(
            tree, spelled(inside, path), host(), os.path.join(os.getcwd(), target), follow=follow, owner=owner
        )


def copy_to(engine: Engine, ref: str, source: str, path: str, *, follow: bool, archive: bool) -> int:
    """Copy from the host into a container; bytes."""
    owner = None if archive else (0, 0)
    with container_tree(engine, ref, path, writing=True) as (tree, inside):
        return transfer(host(), os.path.join(os.getcwd(), source), tree, inside, follow=follow, owner=owner)


def spelled(cleaned: str, path: str) -> str:
    """A cleaned path with the ``/.`` that means a directory's content, if it was there."""
    return cleaned.rstrip("/") + "/." if path == "." or path.endswith("/.") else cleaned


def transfer(
    source: Tree, source_path: str, target: Tree, target_path: str, *, follow: bool, owner: tuple[int, int] | None
) -> int:
    """Docker's rules of what is copied where; the bytes of the stream between."""
    contents = source_path.endswith("/.")
    path = source_path[:-2] if contents else source_path.rstrip("/")
    mode = source.mode(path or "/", follow=follow or contents or source_path.endswith("/"))
    is_directory = stat.S_ISDIR(mode)
    directory, name = place(target, target_path, is_directory=is_directory)
    if name is None and not contents:
        name = os.path.basename(path) or None
    # Into a directory that exists goes what is in the source; under a new name the source itself, whatever it was called.
    return stream(
        lambda sink: archive_path(
            source.root, path or "/", sink, name=name, follow=follow or contents, contents=is_directory and name is None
        ),
        lambda fd: unpack_archive(fd, target.root, directory, owner=owner),
    )


def place(target: Tree, path: str, *, is_directory: bool) -> tuple[str, str | None]:
    """The directory to unpack in, and the name to use there (None: the source's own)."""
    found = target.find(path.rstrip("/") or "/")
    if found is not None and stat.S_ISDIR(found):
        return path, None
    if found is not None and is_directory:
        raise InvalidArgument("cannot copy directory")
    if path.endswith("/"):
        if found is not None:
            raise InvalidArgument(f"not a directory: {path}")
        if not is_directory:
            raise NotFound(f"the destination directory must exist: {path}")
    directory, name = os.path.split(path.rstrip("/"))
    parent = target.find(directory or "/")
    if parent is None or not stat.S_ISDIR(parent):
        raise NotFound(target.describe(directory or "/"))
    return directory or "/", name


def stream(write: Callable[[int], WrittenLayer], read: Callable[[int], int]) -> int:
    """Join a writer of an archive and its reader by a pipe; the bytes that went through it.

    Who fails first is told: the other only sees the pipe end.
    """
    reader, writer = os.pipe()
    failures: list[BaseException] = []
    written: list[int] = []

    def produce() -> None:
        try:
            written.append(write(writer).size)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits)
            failures.append(error)
        finally:
            os.close(writer)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        read(reader)
    except PyctrError as error:
        os.close(reader)
        thread.join()
        raise next((failure for failure in failures if not is_broken_pipe(failure)), error) from None
    except BaseException:
        os.close(reader)
        thread.join()
        raise
    os.close(reader)
    thread.join()
    if failures:
        raise failures[0]
    return written[0]


def is_broken_pipe(error: BaseException) -> bool:
    """Whether a writer failed only because its reader had."""
    import errno

    return getattr(error, "errno", None) == errno.EPIPE


def get_archive(engine: Engine, ref: str, path: str, sink: int, *, follow: bool = False) -> WrittenLayer:
    """Write a path of a container as a tar to a descriptor."""
    with container_tree(engine, ref, path, writing=False) as (tree, inside):
        contents = path == "." or path.endswith("/.")
        wanted = inside.rstrip("/") or "/"
        mode = tree.mode(wanted, follow=follow or contents)
        is_directory = stat.S_ISDIR(mode)
        name = os.path.basename(wanted) or None
        return archive_path(
            tree.root, wanted, sink, name=name, follow=follow, contents=is_directory and (contents or not name)
        )


def path_status(engine: Engine, ref: str, path: str) -> dict[str, Any]:
    """What is at a path, as the API tells it: name, size, mode (Go's bits), mtime, linkTarget. Raises NotFound."""
    with container_tree(engine, ref, path, writing=False) as (tree, inside):
        wanted = inside.rstrip("/") or "/"
        try:
            mode, size, link, changed_ns = stat_path(tree.root, wanted, follow=False)
        except NotFound:
            raise NotFound(tree.describe(wanted)) from None
    return {
        "name": os.path.basename(wanted) or "/",
        "size": size,
        "mode": go_mode(mode),
        "mtime": times.format_time(changed_ns),
        "linkTarget": link,
    }


def go_mode(mode: int) -> int:
    """st_mode as Go's fs.FileMode: permissions, and the kind in the upper bits."""
    kinds = {
        stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
        stat.S_IFBLK: 1 << 26, stat.S_IFCHR: 1 << 26 | 1 << 21,
    }  # fmt: skip
    found = mode & 0o777 | kinds.get(stat.S_IFMT(mode), 0)
    bits = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
    return found | sum(go for bit, go in bits if mode & bit)


def put_archive(engine: Engine, ref: str, path: str, source: int, *, archive: bool = True) -> int:
    """Unpack a tar read from a descriptor into a directory of a container; how many entries."""
    with container_tree(engine, ref, path, writing=True) as (tree, inside):
        found = tree.find(inside.rstrip("/") or "/")
        if found is None:
            raise NotFound(tree.describe(inside))
        if not stat.S_ISDIR(found):
            raise InvalidArgument(f'destination "{ref}:{path}" must be a directory')
        return unpack_archive(source, tree.root, inside, owner=None if archive else (0, 0))
