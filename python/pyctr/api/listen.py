"""The socket: where, whose, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import os
import signal
import socket
from typing import TYPE_CHECKING

from pyctr._core import rootless_keeper
from pyctr.errors import Conflict, InvalidArgument, NotFound, PyctrError

if TYPE_CHECKING:
    from pyctr.engine import Engine

GROUP = "pyctr"
_MODE = 0o660
#: sun_path of unix(7).
_PATH_MAX_BYTES = 107


def parse_address(text: str | None, run_root: str) -> str:
    """The path of ``unix://PATH``, else ``RUN_ROOT/pyctr.sock``. Raises InvalidArgument; TCP is refused by name."""
    if not text:
        return os.path.join(run_root, "pyctr.sock")
    scheme, separator, path = text.partition("://")
    if separator and scheme == "tcp":
        raise InvalidArgument(
            f"{text}: TCP is not supported: whoever reaches the port would be root here",
            hint="use a unix socket, over ssh if need be: ssh -L /tmp/pyctr.sock:/run/pyctr/pyctr.sock HOST",
        )
    if not separator or scheme != "unix" or not path.startswith("/"):
        raise InvalidArgument(f"invalid address {text}: unix:///PATH is expected")
    if len(os.fsencode(path)) > _PATH_MAX_BYTES:
        raise InvalidArgument(f"{path}: longer than the {_PATH_MAX_BYTES} bytes of a socket's path")
    return path


def open_listener(path: str, group: str | None = None) -> tuple[socket.socket, str]:
    """Listen, 0660, for root and the group; and what to tell the user. Raises Conflict where somebody listens already."""
    owner, notice = _group_id(group)
    os.makedirs(os.path.dirname(path), 0o711, exist_ok=True)
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Never more open than in the end, not for a moment.
        before = os.umask(0o777 & ~0o600)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        if owner is not None:
            os.chown(path, -1, owner)
        os.chmod(path, _MODE)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PyctrError(f"listen on {path}: {(error.strerror or '').lower()}") from None
    return listener, notice


def _group_id(group: str | None) -> tuple[int | None, str]:
    if rootless_keeper() is not None:  # groups of the host have other numbers here, or none
        if group:
            raise InvalidArgument("--group: the socket of an ordinary user is for that user alone")
        return None, ""
    try:
        return grp.getgrnam(group or GROUP).gr_gid, ""
    except KeyError:
        if group:
            raise NotFound(f"group {group} not found") from None
        return (
            None,
            f"there is no group {GROUP}: the socket is for root alone (groupadd {GROUP}; usermod -aG {GROUP} USER)",
        )


def _remove_dead(path: str) -> None:
    """Remove a socket nobody listens on. Raises Conflict where somebody does, or where it is no socket."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ECONNREFUSED or not _is_socket(path):
            raise Conflict(f"{path}: is in the way ({(error.strerror or '').lower()})") from None
        os.unlink(path)
        return
    finally:
        probe.close()
    raise Conflict(f"{path}: somebody listens there already")


def _is_socket(path: str) -> bool:
    import stat

    return stat.S_ISSOCK(os.lstat(path).st_mode)


def run(engine: Engine, listener: socket.socket, path: str) -> int:
    """Serve until SIGTERM or SIGINT, then remove the socket."""
    from pyctr.api.server import Server

    async def main() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await Server(engine).run(listener, stopped)

    mine = os.stat(path)
    try:
        with contextlib.closing(listener):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
    finally:
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                os.unlink(path)
    # Threads may wait for containers that run for days: their clients are gone, nothing is left to be done.
    os._exit(0)
