"""`RUN --mount=type=ssh`: the user's agent, reached through a socket of the build's own; the agent's never appears inside."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading

from pyctr.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.build.request import Agent

_PIECE_BYTES = 1 << 16


class Relay:
    """Listens at a path and passes each connection on to an agent's socket."""

    def __init__(self, path: str, target: str, *, owner: tuple[int, int], mode: int) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By the directory's descriptor: a socket's path is at most 108 bytes long.
            self._listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        finally:
            os.close(directory)
        os.chown(path, *owner)
        os.chmod(path, mode)
        self._path = path
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, name="ssh agent", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):  # the container's monitor removes the directory
            os.unlink(self._path)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as agent, contextlib.suppress(OSError):
            agent.connect(self._target)
            back = threading.Thread(target=_pump, args=(agent, client), daemon=True)
            back.start()
            _pump(client, agent)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE_BYTES):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def agent_socket(agent: Agent, directory: str) -> Iterator[str]:
    """The socket of an agent: the user's, or one started for the given keys as long as this lasts."""
    if not agent.keys:
        yield agent.socket
        return
    os.makedirs(directory, 0o711, exist_ok=True)
    path = f"{directory}/agent.{os.urandom(4).hex()}"
    try:
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise BuildError("--ssh with a key needs the program ssh-agent, which is not installed") from None
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        process.stdout.readline()  # it listens
        for key in agent.keys:
            added = subprocess.run(
                ["ssh-add", "-q", key],
                env={**os.environ, "SSH_AUTH_SOCK": path, "SSH_ASKPASS_REQUIRE": "never"},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            if added.returncode:
                reason = added.stderr.strip().splitlines()
                raise BuildError(f"ssh agent {agent.identity}: {reason[-1] if reason else 'key refused'}")
        yield path
    finally:
        process.terminate()
        process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
