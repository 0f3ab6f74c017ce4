"""What a container reads and writes, as bytes in this process: pipes lent to it, read while it runs in a thread."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pyctr.engine.containers.session import Attach

    Output = Iterator[tuple[str, bytes]]

_CHUNK = 1 << 16


class Attached:
    """A call that lends streams, running in a thread; iterate for (stream, bytes) as they come.

    After the last bytes `result` is what the call gave; what it raised is raised by the iteration.
    """

    def __init__(self, call: Callable[[Attach], Any], *, stdin: bytes | None = None) -> None:
        from pyctr.engine.containers.session import Attach

        self.result: Any = None
        self._failure: BaseException | None = None
        out_read, out = os.pipe()
        err_read, err = os.pipe()
        self._readers = {out_read: "stdout", err_read: "stderr"}
        source = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if stdin is None else _memory(stdin)
        lent = Attach(stdin=source, stdout=out, stderr=err, sig_proxy=False)
        self._run(call, lent, [source, out, err])

    def _run(self, call: Callable[[Attach], Any], lent: Attach, fds: list[int]) -> None:
        import threading

        def work() -> None:
            try:
                self.result = call(lent)
            except BaseException as error:  # noqa: BLE001 (raised again by who iterates)
                self._failure = error
            finally:
                for fd in fds:
                    os.close(fd)

        self._thread = threading.Thread(target=work, name="pyctr-attach", daemon=True)
        self._thread.start()

    def __iter__(self) -> Output:
        import select

        poll = select.poll()
        for fd in self._readers:
            poll.register(fd, select.POLLIN)
        try:
            while self._readers:
                for fd, _ in poll.poll():
                    data = os.read(fd, _CHUNK)
                    if data:
                        yield self._readers[fd], data
                        continue
                    poll.unregister(fd)
                    del self._readers[fd]
                    os.close(fd)
        finally:
            self.close()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let go of the streams; what the container writes from now on goes nowhere."""
        for fd in list(self._readers):
            del self._readers[fd]
            os.close(fd)


def _memory(data: bytes) -> int:
    """A descriptor from which bytes can be read."""
    fd = os.memfd_create("stdin")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def connected(call: Callable[[Attach], Any]) -> socket.socket:
    """A socket whose other end is lent as all three streams of a call that runs in a thread."""
    import socket
    import threading

    from pyctr.engine.containers.session import Attach

    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    lent = Attach(stdin=fd, stdout=fd, stderr=fd, sig_proxy=False)

    def work() -> None:
        with theirs:
            call(lent)

    threading.Thread(target=work, name="pyctr-attach", daemon=True).start()
    return ours


def produced(write: Callable[[int], object], chunk_bytes: int = 1 << 21) -> Iterator[bytes]:
    """What a writer to a descriptor writes, in chunks; what it raises is raised at the end."""
    import threading

    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            write(writer)
        except BaseException as error:  # noqa: BLE001 (raised again by who iterates)
            failures.append(error)
        finally:
            os.close(writer)

    thread = threading.Thread(target=work, name="pyctr-stream", daemon=True)
    thread.start()
    with os.fdopen(reader, "rb") as file:
        while data := file.read(chunk_bytes):
            yield data
    thread.join()
    if failures:
        raise failures[0]


def consumed(data: bytes | Iterable[bytes] | Any, read: Callable[[int], Any]) -> Any:
    """Give bytes, a binary file or an iterable of bytes to a reader of a descriptor; what the reader gives back."""
    import threading

    if hasattr(data, "fileno"):
        try:
            fd = data.fileno()
        except OSError:  # io.BytesIO has the method, but no descriptor
            fd = -1
        if fd >= 0 and not getattr(data, "peek", None):
            return read(fd)
    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with os.fdopen(writer, "wb") as sink:
                for chunk in _chunks(data):
                    sink.write(chunk)
        except BrokenPipeError:  # the reader has enough, or failed: it tells
            return
        except BaseException as error:  # noqa: BLE001 (raised again below)
            failures.append(error)

    thread = threading.Thread(target=work, name="pyctr-stream", daemon=True)
    thread.start()
    try:
        result = read(reader)
    finally:
        os.close(reader)
        thread.join()
    if failures:
        raise failures[0]
    return result


def _chunks(data: Any) -> Iterator[bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data)
    elif hasattr(data, "read"):
        while chunk := data.read(1 << 20):
            yield chunk
    else:
        yield from data
