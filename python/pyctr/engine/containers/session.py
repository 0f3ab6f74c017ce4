"""A client's side of the monitor protocol (docs/design.md), and the monitor's birth."""

from __future__ import annotations

import errno
import fcntl
import os

from pyctr._core import Channel, json_dumps, json_loads
from pyctr.errors import CommandNotExecutable, CommandNotFound, KernelError, NotFound, PyctrError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

PROTOCOL_VERSION = 1
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
#: The descriptors the monitor finds its first client and its lock on.
#: Every signal a program may have ignored or blocked; the monitor starts with none of that.
_SIGNALS = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]
#: What ctrl- can be held with (moby term/ascii).
_CONTROL_KEYS = "abcdefghijklmnopqrstuvwxyz@[\\]^_"
_spawned: set[int] = set()


class Attach:
    """Stdio a client lends: descriptors, None for a stream not attached.

    `sig_proxy` passes signals on to the container; `detach_keys` end the attachment and leave the container running.
    """

    __slots__ = ("detach_keys", "sig_proxy", "stderr", "stdin", "stdout")

    def __init__(
        self,
        *,
        stdin: int | None = 0,
        stdout: int | None = 1,
        stderr: int | None = 2,
        detach_keys: str = DEFAULT_DETACH_KEYS,
        sig_proxy: bool = True,
    ) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.detach_keys = detach_keys or DEFAULT_DETACH_KEYS
        self.sig_proxy = sig_proxy
        check_detach_keys(self.detach_keys)


def check_detach_keys(text: str) -> None:
    """``ctrl-p,ctrl-q``: single characters or ctrl- with a letter or one of ``@[\\]^_``."""
    for key in text.split(","):
        control = key.removeprefix("ctrl-")
        known = len(control) == 1 and control in _CONTROL_KEYS
        if not (len(key) == 1 or (key.startswith("ctrl-") and known)):
            refusal = PyctrError(f"invalid detach keys ({text}): Unknown character: '{key}'")
            refusal.exit_code = 1  # for run too: Docker hears of it when it attaches
            raise refusal


class Session:
    """One conversation with a monitor."""

    __slots__ = ("channel", "container_id")

    def __init__(self, channel: Channel, container_id: str) -> None:
        self.channel = channel
        self.container_id = container_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """Send one packet, with descriptors; a monitor that is gone shows at the next receive, not here."""
        try:
            self.channel.send(json_dumps(message), fds or [])
        except KernelError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise

    def attach(self, attach: Attach, size: tuple[int, int] | None = None) -> None:
        """Lend stdio; `size` is rows and columns."""
        streams = {"stdin": attach.stdin, "stdout": attach.stdout, "stderr": attach.stderr}
        message: dict[str, Any] = {"op": "attach", "version": PROTOCOL_VERSION, "detach_keys": attach.detach_keys}
        message |= {name: fd is not None for name, fd in streams.items()}
        if size is not None:
            message["size"] = list(size)
        self.send(message, [fd for fd in streams.values() if fd is not None])

    def watch(self) -> None:
        """Ask for the start's outcome only."""
        self.send({"op": "watch", "version": PROTOCOL_VERSION})

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next event; None when `timeout_s` passed. Signal handlers run while waiting (PEP 475).

        Raises StateError when the monitor is gone.
        """
        if timeout_s is not None and not wait_readable(self.channel.fileno(), timeout_s):
            return None
        data = self.channel.recv()
        if data is None:
            raise StateError(f"monitor of container {self.container_id[:12]}: gone without a word")
        event: dict[str, Any] = json_loads(data)
        if event.get("event") == "error":
            raise start_error(event)
        return event

    def expect(self, *names: str, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next event of these names; others are passed over."""
        while True:
            event = self.receive(timeout_s)
            if event is None or event.get("event") in names:
                return event


def start_error(event: dict[str, Any]) -> PyctrError:
    """The monitor's refusal as an exception with its exit code."""
    kinds = {126: CommandNotExecutable, 127: CommandNotFound}
    return kinds.get(event.get("code", 125), PyctrError)(event.get("message", "the start failed"))


def wait_readable(fd: int, timeout_s: float) -> bool:
    """Whether there is something to read before the time is over."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(timeout_s, 0) * 1000))


def connect(run_dir: str, container_id: str) -> Session:
    """Connect to a running container's monitor; raises StateError where none listens."""
    try:
        return Session(Channel.connect(run_dir + "/sock"), container_id)
    except NotFound:
        raise StateError(f"container {container_id} is not running") from None


def spawn_monitor(runtime: str, arguments: list[str], fds: list[int]) -> int:
    """Start ``pyctr-runtime ARGUMENTS`` in a session of its own with `fds` on 3, 4, …; returns its pid.

    The environment is not passed on: it may hold credentials, and /proc/PID/environ lasts as long as the container.
    """
    reap()
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]  # so that no dup2 hits another
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
        *((os.POSIX_SPAWN_DUP2, copy, number) for number, copy in enumerate(copies, 3)),
    ]
    try:
        pid = os.posix_spawn(
            runtime,
            [runtime, *arguments],
            {},
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_SIGNALS,
        )
    except OSError as error:
        failure = KernelError(f"spawn {runtime}: {os.strerror(error.errno or 0).lower()}")
        failure.errno = error.errno
        raise failure from None
    finally:
        for fd in copies:
            os.close(fd)
    _spawned.add(pid)
    return pid


def reap() -> None:
    """Collect monitors that ended: a program that lives long must not gather zombies."""
    for pid in tuple(_spawned):
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                _spawned.discard(pid)
        except ChildProcessError:  # another thread was faster
            _spawned.discard(pid)
