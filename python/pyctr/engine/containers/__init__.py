"""Containers: the use cases behind `create`, `run`, `ps`, `rm` and their kin.

Nothing here prints or parses argv. Modules of one use case are imported when it is asked for: a start must not pay for
`logs`, nor `ps` for a start.
"""

from __future__ import annotations

import os

from pyctr.engine.containers.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.create import Created
    from pyctr.engine.containers.listing import Summary
    from pyctr.engine.containers.session import Attach, Session
    from pyctr.engine.containers.start import Prepared
    from pyctr.engine.containers.stats import Sample

    #: Inside the class `list` is the method.
    Strings = list[str]
    Rows = list[list[str]]


class Containers:
    """The containers of an engine. A reference is a name, an id or a unique prefix of one."""

    __slots__ = ("engine", "store")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = Store(engine.root, engine.run_root)
        self.store.revive = self._revive

    def create(self, image: str, command: list[str], options: dict[str, Any]) -> Created:
        """Make a container from an image; its `id` and `warnings`. Raises what Docker refuses; leaves nothing then."""
        created = self._create(image, command, options)
        os.close(created.lock)
        return created

    def _create(self, image: str, command: list[str], options: dict[str, Any]) -> Created:
        from pyctr.engine.containers.create import create_container
        from pyctr.engine.containers.events import write_event

        created = create_container(self.engine, image, command, options)
        try:
            write_event(self.engine.root, "create", created.record)
        except BaseException:
            os.close(created.lock)
            raise
        return created

    def run(self, image: str, command: list[str], options: dict[str, Any], streams: Attach | None = None) -> int | str:
        """Create and start. With ``detach`` the id; else wait in the foreground and give the exit code.

        `streams` lends stdio (this process' own by default); of it only what `options` attach is used. A container
        whose start failed stays, as in Docker, unless it is ``rm``.
        """
        return self.run_created(self._create(image, command, options), options, streams)

    def prepare_run(self, image: str, command: list[str], options: dict[str, Any]) -> Created:
        """The first half of `run`, for who shows `warnings` before the container gets the terminal."""
        return self._create(image, command, options)

    def run_created(self, created: Created, options: dict[str, Any], streams: Attach | None = None) -> int | str:
        """The second half of `run`: start what `prepare_run` made."""
        from pyctr.engine.containers.start import prepare

        try:
            prepared = prepare(self.engine, created.record, created.facts, created.lock, created.lower)
        except BaseException:
            self._discard_if_temporary(created.record)
            raise
        if options.get("detach"):
            self._start_watched(prepared.session, created.record, prepared.spawn)
            return created.id
        code = self._foreground(prepared.session, created.record, streams, options, spawn=prepared.spawn)
        return 0 if code is None else code

    def start(self, ref: str, attach: Attach | None = None) -> int | None:
        """Start a container; None, or with `attach` its exit code. One that runs is left running (or attached to)."""
        container_id = self.resolve(ref)
        prepared = self.prepare_start(container_id)
        if prepared is None:
            return self.attach(container_id, attach) if attach is not None else None
        if attach is None:
            self._start_watched(prepared.session, prepared.record, prepared.spawn)
            return None
        return self._foreground(prepared.session, prepared.record, attach, {}, spawn=prepared.spawn)

    def prepare_start(self, container_id: str) -> Prepared | None:
        """A container about to be started, for who speaks to its monitor first; None where it runs."""
        from pyctr.engine.containers.burial import repair_locked
        from pyctr.engine.containers.start import prepare
        from pyctr.engine.host import gather

        lock = self.store.lock(container_id)
        if lock is None:
            return None
        try:
            repair_locked(self.store, container_id)
            record = self.store.record(container_id)
            facts = gather(record["HostConfig"])
        except BaseException:
            os.close(lock)
            raise
        return prepare(self.engine, record, facts, lock)

    def _revive(self, container_id: str, restarts: int) -> None:
        """Start a container whose monitor was killed; a start that fails is written in its state, as in a restart."""
        from pyctr.engine.containers.start import prepare
        from pyctr.engine.host import gather
        from pyctr.errors import PyctrError

        try:
            lock = self.store.lock(container_id)
            if lock is None:  # somebody else was faster
                return
            try:
                record = self.store.record(container_id)
                facts = gather(record["HostConfig"])
            except BaseException:
                os.close(lock)
                raise
            prepared = prepare(self.engine, record, facts, lock, restarts=restarts)
            self._start_watched(prepared.session, record, prepared.spawn)
        except PyctrError:
            return

    def attach(self, ref: str, attach: Attach) -> int | None:
        """Attach to a running container; its exit code, or 0 after the detach keys. Raises StateError."""
        from pyctr.engine.containers.session import connect
        from pyctr.engine.containers.state import current_state
        from pyctr.errors import StateError

        container_id = self.resolve(ref)
        status = current_state(self.store, container_id).get("status", "created")
        if status != "running":
            todo = {"paused": "unpause it first", "restarting": "wait until it is running"}
            kind = status if status in todo else "stopped"
            raise StateError(f"You cannot attach to a {kind} container, {todo.get(status, 'start it first')}")
        session = connect(self.store.run_path(container_id), container_id)
        return self._foreground(session, self.store.record(container_id), attach, {}, spawn=None)

    def exec(self, ref: str, command: list[str], options: dict[str, Any], streams: Attach | None = None) -> int | str:
        """Run a command in a running container: its exit code; with ``detach`` the session's id. Raises StateError."""
        from pyctr.engine.containers.execute import execute

        return execute(self.engine, self.resolve(ref), command, options, streams)

    def _start_watched(self, session: Session, record: dict[str, Any], spawn: Any) -> None:
        with session:
            session.watch()
            try:
                spawn()
                session.expect("started", "exited")
            except BaseException:
                self._discard_if_temporary(record)
                raise

    def _foreground(
        self, session: Session, record: dict[str, Any], streams: Attach | None, options: dict[str, Any], *, spawn: Any
    ) -> int | None:
        from pyctr.engine.containers.events import write_event
        from pyctr.engine.containers.foreground import Foreground
        from pyctr.engine.containers.session import Attach
        from pyctr.errors import StateError

        config = record["Config"]
        attach = narrow(streams or Attach(), config, options, starting=spawn is not None)
        with session, Foreground(session, attach, tty=config["Tty"]) as foreground:
            session.attach(attach, foreground.size())
            write_event(self.engine.root, "attach", record)
            try:
                if spawn is not None:
                    spawn()
                    event = session.expect("started", "exited")
                    if event is not None and event["event"] == "exited":
                        return int(event["code"])
                code = foreground.wait()
                if foreground.detached:
                    write_event(self.engine.root, "detach", record)
                return code
            except StateError:
                self._bury(record["Id"])
                raise
            except Exception:
                self._discard_if_temporary(record)
                raise

    def _bury(self, container_id: str) -> None:
        """A monitor that went without a word left a container to bury."""
        from pyctr.engine.containers.state import current_state

        if os.path.exists(self.store.path(container_id)):
            current_state(self.store, container_id)

    def _discard_if_temporary(self, record: dict[str, Any]) -> None:
        """A --rm container that never started is removed by whoever failed to start it."""
        from pyctr.engine.containers.remove import remove_container
        from pyctr.errors import PyctrError

        if record["HostConfig"]["AutoRemove"]:
            try:
                remove_container(self.store, record["Id"], force=True, volumes=True)
            except PyctrError:  # the monitor was faster, or is at it; the failure to report is the start's
                return

    def list(
        self,
        all: bool = False,
        limit: int | None = None,
        filters: dict[str, list[str]] | None = None,
        size: bool = False,
    ) -> list[Summary]:
        """Summaries, newest first: those that run, or `all`, or the last `limit`. `filters` maps name → values."""
        from pyctr.engine.containers.listing import list_containers

        return list_containers(self.store, every=all, limit=limit, filters=filters or {}, size=size)

    def inspect(self, ref: str) -> dict[str, Any]:
        """What `docker inspect` shows."""
        from pyctr.engine.containers.inspect import inspect_container

        return inspect_container(self.store, self.resolve(ref))

    def resolve(self, ref: str) -> str:
        """The id; raises NotFound ``No such container: X``."""
        return self.store.resolve(ref)

    def remove(self, ref: str, force: bool = False, volumes: bool = False) -> str:
        """Remove a container, with `volumes` its anonymous ones too; a running one only with `force`. The id."""
        from pyctr.engine.containers.remove import remove_container

        return remove_container(self.store, ref, force=force, volumes=volumes)

    def kill(self, ref: str, signal: str | int = "KILL") -> None:
        """Send a signal to the container's PID 1."""
        from pyctr.engine.containers.lifecycle import kill_container
        from pyctr.engine.signals import parse_signal

        kill_container(self.store, self.resolve(ref), parse_signal(str(signal)))

    def stop(self, ref: str, timeout_s: float | None = None, signal: str | None = None) -> None:
        """The stop signal, then SIGKILL after `timeout_s` (the container's own, else 10; negative waits for ever)."""
        from pyctr.engine.containers.lifecycle import stop_container

        stop_container(self.store, self.resolve(ref), timeout_s, signal)

    def restart(self, ref: str, timeout_s: float | None = None, signal: str | None = None) -> None:
        """Stop, then start."""
        from pyctr.engine.containers.events import write_event

        container_id = self.resolve(ref)
        record = self.store.record(container_id)
        self.stop(container_id, timeout_s, signal)
        self.start(container_id)
        write_event(self.engine.root, "restart", record)

    def pause(self, ref: str) -> None:
        """Stop every process of a running container."""
        from pyctr.engine.containers.lifecycle import pause_container

        pause_container(self.store, self.resolve(ref), paused=True)

    def unpause(self, ref: str) -> None:
        """Let the processes of a paused container go on."""
        from pyctr.engine.containers.lifecycle import pause_container

        pause_container(self.store, self.resolve(ref), paused=False)

    def update(self, ref: str, options: dict[str, Any]) -> Strings:
        """Change limits and restart policy: options of ``docker update``. The warnings."""
        from pyctr.engine.containers.update import parse_limits, update_container

        asked = parse_limits(options)
        return update_container(self.store, self.resolve(ref), asked, options)

    def sample(self, ref: str) -> Sample | None:
        """A reading of what a container uses (`pyctr.engine.containers.stats`); None for one that does not run."""
        from pyctr.engine.containers.stats import sample

        return sample(self.store, self.resolve(ref))

    def top(self, ref: str, arguments: Strings) -> tuple[Strings, Rows]:
        """Titles and rows of ``ps`` for the container's processes."""
        from pyctr.engine.containers.top import list_processes

        return list_processes(self.store, self.resolve(ref), arguments)

    def wait(self, ref: str) -> int:
        """The exit code, once the container does not run."""
        from pyctr.engine.containers.lifecycle import wait_container

        return wait_container(self.store, self.resolve(ref))

    def rename(self, ref: str, new_name: str) -> None:
        """Give a container another name."""
        from pyctr.engine.containers.lifecycle import rename_container

        rename_container(self.store, self.resolve(ref), new_name)

    def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        tail: str | int | None = None,
        since: str | None = None,
        until: str | None = None,
        timestamps: bool = False,
        details: bool = False,
    ) -> Iterator[tuple[str, bytes]]:
        """(``stdout`` or ``stderr``, bytes) in order; `follow` goes on until the container ends."""
        from pyctr.engine.containers.logs import Window, read_logs
        from pyctr.engine.containers.state import is_running

        container_id = self.resolve(ref)
        window = Window(since=since, until=until, timestamps=timestamps, details=details)
        return read_logs(
            self.store,
            container_id,
            follow=follow,
            tail=tail,
            window=window,
            is_running=lambda: os.path.exists(self.store.path(container_id)) and is_running(self.store, container_id),
        )

    def prune(self, filters: dict[str, Strings] | None = None) -> tuple[Strings, int]:
        """Remove all that do not run; their ids and the bytes they had written. `filters`: label, label!, until."""
        from pyctr.engine.containers.prune import prune_containers

        return prune_containers(self.store, filters or {})


def narrow(streams: Attach, config: dict[str, Any], options: dict[str, Any], *, starting: bool) -> Attach:
    """Of the lent streams those the container attaches; the options of `run` override keys and signal proxy."""
    from pyctr.engine.containers.session import Attach

    wants_stdin = config["OpenStdin"] and (config["AttachStdin"] or not starting)
    return Attach(
        stdin=streams.stdin if wants_stdin else None,
        stdout=streams.stdout if config["AttachStdout"] or not options else None,
        # With a terminal there is one stream.
        stderr=streams.stderr if (config["AttachStderr"] or not options) and not config["Tty"] else None,
        detach_keys=options.get("detach_keys") or streams.detach_keys,
        sig_proxy=bool(options.get("sig_proxy", streams.sig_proxy)),
    )
