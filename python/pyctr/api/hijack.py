"""The raw connection of attach and exec: the client's bytes to pipes lent to a monitor, and back (docs/api.md, "Attach")."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
from typing import TYPE_CHECKING

from pyctr.engine.containers.session import Attach

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
STDOUT, STDERR = 1, 2
_CHUNK = 1 << 15
#: Of input the container has not read yet; then the client has to wait.
_PENDING_MAX = 1 << 18


def frame(stream: int, data: bytes) -> bytes:
    """A piece of output with its header."""
    return struct.pack(">BxxxL", stream, len(data)) + data


class Pipes:
    """Pipes for the streams wanted: one end of each to lend, one to pump."""

    def __init__(self, *, stdin: bool, stdout: bool, stderr: bool, tty: bool, detach_keys: str = "") -> None:
        self.tty = tty
        self._lock = threading.Lock()
        self.input: int | None = None
        #: Descriptor → number of the stream it carries.
        self.outputs: dict[int, int] = {}
        given: dict[str, int | None] = {"stdin": None, "stdout": None, "stderr": None}
        if stdin:
            given["stdin"], self.input = os.pipe()
            os.set_blocking(self.input, False)
        for name, number, wanted in (("stdout", STDOUT, stdout), ("stderr", STDERR, stderr and not tty)):
            if wanted:
                reader, given[name] = os.pipe()
                self.outputs[reader] = number
        self._lent: list[int] = [fd for fd in given.values() if fd is not None]
        self.attach = Attach(**given, detach_keys=detach_keys, sig_proxy=False)

    def lent(self) -> None:
        """The other ends are the monitor's now (or nobody's): ours are closed, so that its closing is seen here."""
        with self._lock:  # who starts the container and who serves the client may both get here
            fds, self._lent = self._lent, []
        for fd in fds:
            os.close(fd)

    def close_input(self) -> None:
        """The container's input ends."""
        if self.input is not None:
            os.close(self.input)
            self.input = None

    def close(self) -> None:
        """Everything."""
        self.lent()
        self.close_input()
        for fd in self.outputs:
            os.close(fd)
        self.outputs = {}

    def shape(self, number: int, data: bytes) -> bytes:
        """Output as it goes to the client."""
        return data if self.tty else frame(number, data)


class Pump:
    """Carries bytes between a socket and pipes until the outputs end or the client has gone."""

    def __init__(self, sock: socket.socket, pipes: Pipes, early: bytes) -> None:
        self.sock = sock
        self.pipes = pipes
        self.pending = early
        self.reading = True
        self.gone = False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Pump; True of `until` ends it where there is no output to wait for."""
        self.sock.setblocking(True)
        input_only = not self.pipes.outputs
        while not self.gone and (self.pipes.outputs or (input_only and not until())):
            poll = select.poll()
            for fd in self.pipes.outputs:
                poll.register(fd, select.POLLIN)
            wants_more = self.reading and len(self.pending) < _PENDING_MAX
            poll.register(self.sock, select.POLLIN if wants_more else 0)
            if self.pipes.input is not None and self.pending:
                poll.register(self.pipes.input, select.POLLOUT)
            elif self.pipes.input is not None and not self.reading:
                self.pipes.close_input()
            for fd, happened in poll.poll(None if self.pipes.outputs else 100):
                self._step(fd, happened)

    def _step(self, fd: int, happened: int) -> None:
        if fd == self.sock.fileno():
            self._receive(happened)
        elif fd == self.pipes.input:
            self._feed()
        else:
            self._give(fd)

    def _receive(self, happened: int) -> None:
        if happened & (select.POLLHUP | select.POLLERR):
            self.gone = True
            return
        if not happened & select.POLLIN:
            return
        try:
            data = self.sock.recv(_CHUNK)
        except ConnectionError:
            self.gone = True
            return
        if not data:
            self.reading = False
        elif self.pipes.input is not None:
            self.pending += data

    def _feed(self) -> None:
        try:
            self.pending = self.pending[os.write(self.pipes.input or -1, self.pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # the container reads no more
            self.pending = b""
            self.pipes.close_input()

    def _give(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        number = self.pipes.outputs[fd]
        if not data:
            del self.pipes.outputs[fd]
            os.close(fd)
            return
        self.send(self.pipes.shape(number, data))

    def send(self, data: bytes) -> None:
        """Send to the client; one that is gone is noted."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.gone = True

    def finish(self) -> None:
        """Say that nothing comes any more, and close."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(2)
        self.sock.close()
        self.pipes.close()
