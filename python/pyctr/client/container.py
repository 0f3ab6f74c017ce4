"""One container, as docker-py's users know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyctr.client.options import command_words, engine_options, pairs
from pyctr.client.resource import Resource
from pyctr.client.streams import Attached, connected, consumed, produced
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO, Any, Unpack

    from pyctr.client.images import Image
    from pyctr.client.types import UpdateOptions


class ExecResult(NamedTuple):
    """What `Container.exec_run` gives: the exit code (None while it is not known), and the output in the form asked for."""

    exit_code: int | None
    output: Any


class Container(Resource):
    """A container. `attrs` is what ``docker inspect`` shows, as of the last `reload`."""

    __slots__ = ()

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name, without Docker's slash."""
        return str(self.attrs["Name"]).removeprefix("/")

    @property
    def image(self) -> Image:
        """The image it was made from. Raises NotFound where that was removed by force."""
        return self._engine.images.get(self.attrs["Image"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        return self.attrs["Config"]["Labels"] or {}

    @property
    def status(self) -> str:
        """created, running, paused, restarting, exited or dead; as of the last `reload`."""
        return str(self.attrs["State"]["Status"])

    @property
    def health(self) -> str:
        """healthy, unhealthy, starting, or unknown where there is no check."""
        return str((self.attrs["State"].get("Health") or {}).get("Status", "unknown"))

    @property
    def ports(self) -> dict[str, list[dict[str, str]] | None]:
        """Port inside → addresses it is published on; None where it is only exposed."""
        return self.attrs["NetworkSettings"]["Ports"] or {}

    def reload(self) -> None:
        """Look again. Raises NotFound once it is removed."""
        self.attrs = self._low.inspect(self.id)

    @property
    def _low(self) -> Any:
        return self._engine.low.containers

    # -- its life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; one that runs is left running."""
        self._low.start(self.id)

    def stop(self, *, timeout: float | None = None, signal: str | None = None) -> None:
        """The stop signal, then SIGKILL after `timeout` seconds (10, or what it was made with; negative: never)."""
        self._low.stop(self.id, timeout, signal)

    def restart(self, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Stop, then start."""
        self._low.restart(self.id, timeout, signal)

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal (SIGKILL) to its first process. Raises StateError where it does not run."""
        self._low.kill(self.id, "KILL" if signal is None else signal)

    def pause(self) -> None:
        """Stop every process."""
        self._low.pause(self.id)

    def unpause(self) -> None:
        """Let them go on."""
        self._low.unpause(self.id)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._low.rename(self.id, name)

    def update(self, **options: Unpack[UpdateOptions]) -> dict[str, Any]:
        """Change limits and restart policy; ``{"Warnings": […]}``."""
        return {"Warnings": self._low.update(self.id, engine_options(options)) or None}

    def remove(self, *, v: bool = False, force: bool = False) -> None:
        """Remove it, with `v` its anonymous volumes too; a running one only with `force`."""
        self._low.remove(self.id, force=force, volumes=v)

    def wait(self, *, timeout: float | None = None, condition: str = "not-running") -> dict[str, Any]:
        """``{"StatusCode": N, "Error": None}`` once it does not run, or is removed; `timeout` in seconds.

        `condition` is ``not-running``, ``next-exit`` or ``removed``. Raises TimeoutError.
        """
        from pyctr.engine.containers.wait import wait_for

        code = wait_for(self._low.store, self.id, condition=condition, timeout_s=timeout)
        return {"StatusCode": code, "Error": None}

    # -- what it says and does -----------------------------------------------------------------------------------

    def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        follow: bool | None = None,
        timestamps: bool = False,
        tail: int | str = "all",
        since: str | float | None = None,
        until: str | float | None = None,
    ) -> bytes | Iterator[bytes]:
        """What it wrote; with `stream` an iterator that goes on until it ends (unless `follow` is False)."""
        found = self._low.logs(
            self.id,
            follow=stream if follow is None else follow,
            tail=tail,
            since=None if since is None else str(since),
            until=None if until is None else str(until),
            timestamps=timestamps,
        )
        wanted = {name for name, on in (("stdout", stdout), ("stderr", stderr)) if on}
        chunks = (data for name, data in found if name in wanted)
        return chunks if stream else b"".join(chunks)

    def attach(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        logs: bool = False,
        demux: bool = False,
    ) -> Any:
        """What it writes from now on (with `logs` also before): bytes, or with `stream` an iterator.

        With `demux` (stdout, stderr) pairs, None for the other one. Ends when the container does.
        """
        past = self.logs(stdout=stdout, stderr=stderr) if logs else b""
        assert isinstance(past, bytes)  # noqa: S101 (not a stream)
        live = Attached(lambda lent: self._low.attach(self.id, lent))
        wanted = {name for name, on in (("stdout", stdout), ("stderr", stderr)) if on}
        chunks = ((name, data) for name, data in _before(past, live) if name in wanted)
        return _shape(chunks, stream=stream, demux=demux)

    def attach_socket(self) -> socket.socket:
        """A socket: what is sent is its input (if made with ``stdin_open``), what comes is its output."""
        return connected(lambda lent: self._low.attach(self.id, lent))

    def exec_run(
        self,
        cmd: str | Iterable[str],
        *,
        stdout: bool = True,
        stderr: bool = True,
        stdin: bool | bytes = False,
        tty: bool = False,
        privileged: bool = False,
        user: str = "",
        detach: bool = False,
        stream: bool = False,
        socket: bool = False,
        environment: Mapping[str, str] | list[str] | None = None,
        workdir: str | None = None,
        demux: bool = False,
    ) -> ExecResult:
        """Run a further command in it.

        Its output as bytes; with `stream` an iterator; with `demux` (stdout, stderr) of either; with `socket` a socket
        that is its input and output. `stdin` may be the bytes to give it. Raises StateError where it does not run,
        CommandNotFound, CommandNotExecutable.
        """
        options: dict[str, Any] = {"tty": tty, "privileged": privileged, "interactive": bool(stdin) or socket}
        options |= {key: value for key, value in (("user", user), ("workdir", workdir)) if value}
        if environment:
            options["env"] = pairs(environment)
        words = command_words(cmd)
        if not words:
            raise InvalidArgument("no exec command specified")
        if detach:
            self._low.exec(self.id, words, options | {"detach": True, "interactive": False})
            return ExecResult(None, b"")
        if socket:
            return ExecResult(None, connected(lambda lent: self._low.exec(self.id, words, options, lent)))
        given = stdin if isinstance(stdin, bytes) else None
        running = Attached(lambda lent: self._low.exec(self.id, words, options, lent), stdin=given)
        wanted = {name for name, on in (("stdout", stdout), ("stderr", stderr)) if on}
        output = _shape(((name, data) for name, data in running if name in wanted), stream=stream, demux=demux)
        return ExecResult(None if stream else running.result, output)

    def top(self, *, ps_args: str | None = None) -> dict[str, Any]:
        """``{"Titles": […], "Processes": [[…], …]}``, as ``ps`` on the host shows its processes."""
        titles, rows = self._low.top(self.id, command_words(ps_args))
        return {"Titles": titles, "Processes": rows}

    def stats(self, *, stream: bool = True) -> dict[str, Any] | Iterator[dict[str, Any]]:
        """A reading of what it uses, in the form of Docker's API; with `stream` one each second until it ends."""
        from pyctr.engine.containers.stats_api import follow_stats, read_stats

        store = self._low.store
        return follow_stats(store, self.id) if stream else read_stats(store, self.id)

    def resize(self, height: int, width: int) -> None:
        """Change the size of its terminal: rows and columns."""
        from pyctr.engine.containers.session import connect

        with connect(self._low.store.run_path(self.id), self.id) as session:
            session.send({"op": "resize", "rows": height, "cols": width})

    # -- its files -----------------------------------------------------------------------------------------------

    def put_archive(self, path: str, data: bytes | IO[bytes] | Iterable[bytes]) -> bool:
        """Unpack a tar into a directory of it. True, or an error is raised."""
        from pyctr.engine.containers.copy import put_archive

        consumed(data, lambda fd: put_archive(self._engine.low, self.id, path, fd))
        return True

    def get_archive(self, path: str, *, chunk_size: int = 1 << 21) -> tuple[Iterator[bytes], dict[str, Any]]:
        """A tar of a path, and what there is at it: name, size, mode, mtime, linkTarget. Raises NotFound."""
        from pyctr.engine.containers.copy import get_archive, path_status

        status = path_status(self._engine.low, self.id, path)
        return produced(lambda fd: get_archive(self._engine.low, self.id, path, fd), chunk_size), status

    def export(self, *, chunk_size: int = 1 << 21) -> Iterator[bytes]:
        """Its root file system as a tar."""
        from pyctr.engine.containers.changes import export_container

        return produced(lambda fd: export_container(self._engine.low, self.id, fd), chunk_size)

    def diff(self) -> list[dict[str, Any]]:
        """What it changed of its image: ``{"Path": …, "Kind": 0 changed, 1 added or 2 deleted}``."""
        from pyctr.engine.containers.changes import diff_container

        kinds = {"C": 0, "A": 1, "D": 2}
        return [{"Path": path, "Kind": kinds[kind]} for kind, path in diff_container(self._engine.low, self.id)]

    def commit(
        self,
        repository: str | None = None,
        tag: str | None = None,
        *,
        message: str = "",
        author: str = "",
        pause: bool = True,
        changes: str | list[str] | None = None,
    ) -> Image:
        """Make an image of it."""
        from pyctr.engine.containers.changes import commit_container

        name = f"{repository}:{tag}" if repository and tag else repository
        lines = changes.splitlines() if isinstance(changes, str) else changes
        image_id = commit_container(
            self._engine.low, self.id, name, author=author, message=message, changes=lines, pause=pause
        )
        return self._engine.images.get(image_id)


def _before(past: bytes, live: Attached) -> Iterator[tuple[str, bytes]]:
    if past:
        yield "stdout", past
    yield from live


def _shape(chunks: Iterator[tuple[str, bytes]], *, stream: bool, demux: bool) -> Any:
    """Output in the form asked for."""
    if demux:
        split = ((data, None) if name == "stdout" else (None, data) for name, data in chunks)
        if stream:
            return split
        parts = list(split)
        return tuple(b"".join(part[index] or b"" for part in parts) or None for index in (0, 1))
    if stream:
        return (data for _, data in chunks)
    return b"".join(data for _, data in chunks)
