"""An ordinary user's command line enters the namespaces in which that user is root (docs/rootless.md).

A keeper, `pyctr-runtime keeper`, holds them; the first command starts it, and it ends by itself. From then on everything else
here runs as it does for root.
"""

from __future__ import annotations

import contextlib
import os
import stat

from pyctr._core import Channel, rootless_enter
from pyctr.errors import NotFound, PyctrError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine import Engine

SOCKET, LOCK = "keeper.sock", "keeper.lock"
#: The connection that keeps the namespaces, for as long as this process lives.
_held: list[Channel] = []


def open_engine(root: str | None, run_root: str | None, *, config_file: str | None = None) -> Engine:
    """The engine of an ordinary user, whose own directories are the defaults."""
    from pyctr.engine import Engine

    return Engine(
        root or os.environ.get("PYCTR_ROOT") or default_root(),
        run_root or os.environ.get("PYCTR_RUN_ROOT") or default_run_root(),
        config_file=config_file or own_config(),
    )


def enter(engine: Engine) -> None:
    """Enter the namespaces of an engine's run root, as an ordinary user in a process of one thread.

    Raises StateError where the run root is not this user's alone, and what the kernel refuses.
    """
    make_private(engine.run_root)
    make_root(engine.root)
    path = f"{engine.run_root}/{SOCKET}"
    try:
        channel = Channel.connect(path)
        rootless_enter(channel, path)
    except (NotFound, StateError):  # none there, or one that was just about to end
        channel = start_keeper(engine, path)
    _held.append(channel)


def default_root() -> str:
    """Where an ordinary user's state is kept (XDG Base Directory Specification)."""
    return (os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")) + "/pyctr"


def default_run_root() -> str:
    """Where the sockets of running containers are."""
    directory = os.environ.get("XDG_RUNTIME_DIR")
    return f"{directory}/pyctr" if directory else f"/tmp/pyctr-{os.geteuid()}"  # noqa: S108 (checked by make_private)


def own_config() -> str | None:
    """The user's own configuration file, where there is one that nobody chose another instead of."""
    path = (os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) + "/pyctr/daemon.json"
    return path if "PYCTR_CONFIG" not in os.environ and os.path.exists(path) else None


def make_private(path: str) -> None:
    """Make a directory that nobody else can look into, or find it so. Raises StateError."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            with contextlib.suppress(FileExistsError):  # somebody was faster
                os.mkdir(path, 0o700)
        status = os.lstat(path)
    except OSError as error:
        raise PyctrError(f"make {error.filename}: {(error.strerror or '').lower()}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise StateError(
            f"use {path}: not a directory of this user's alone",
            hint=f"chmod 700 {path}, or name another with --run-root or PYCTR_RUN_ROOT",
        )


def make_root(path: str) -> None:
    """Make the directory of images and containers if it is missing: others must not reach the setuid files in it."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
    except OSError as error:
        raise PyctrError(f"make {error.filename}: {(error.strerror or '').lower()}") from None


def start_keeper(engine: Engine, path: str) -> Channel:
    """Start a keeper unless somebody else has meanwhile, and enter its namespaces; the connection to it."""
    import fcntl

    from pyctr.engine.containers.session import spawn_monitor

    lock = os.open(f"{engine.run_root}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # under which keepers begin and end
        try:
            channel = Channel.connect(path)
        except NotFound:
            channel, theirs = Channel.pair()
            try:
                spawn_monitor(engine.runtime, ["keeper", engine.run_root, *plan_maps()], [theirs])
            finally:
                os.close(theirs)
        rootless_enter(channel, path)
        return channel
    finally:
        os.close(lock)


def plan_maps() -> tuple[str, str]:
    """The maps of user and group ids, ``INSIDE:OUTSIDE:COUNT,…``: the user is 0, the subordinate ids follow from 1 on.

    Without a range of either kind there is only the user.
    """
    import pwd

    from pyctr.engine.host import read_ranges

    uid, gid = os.geteuid(), os.getegid()
    names = [str(uid)]
    with contextlib.suppress(KeyError):
        names.append(pwd.getpwuid(uid).pw_name)
    uids, gids = read_ranges("/etc/subuid", *names), read_ranges("/etc/subgid", *names)
    if not uids or not gids:
        return f"0:{uid}:1", f"0:{gid}:1"
    return plan_map(uid, uids), plan_map(gid, gids)


def plan_map(own: int, ranges: list[tuple[int, int]]) -> str:
    """A map of an id and ranges (start, count) of further ones."""
    parts, inside = [f"0:{own}:1"], 1
    for start, count in ranges:
        parts.append(f"{inside}:{start}:{count}")
        inside += count
    return ",".join(parts)
