"""RUN: a command in a container of its own, which nobody sees in `ps` (docs/build-execute.md, "RUN").

The container is pyctr's own, watched over by a monitor as any other; only its record lies below ROOT/build/run and goes with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
import time

from pyctr._core import Channel, json_dumps, remove_tree, write_atomic
from pyctr.engine import times
from pyctr.engine.build.memory import remove_secrets
from pyctr.engine.build.values import owner_path
from pyctr.engine.config import with_defaults
from pyctr.engine.containers.files import write_files
from pyctr.engine.containers.network import prepare_network
from pyctr.engine.containers.request import plan_request
from pyctr.engine.containers.session import Attach, Session, spawn_monitor
from pyctr.engine.containers.store import Store, try_lock
from pyctr.engine.host import gather
from pyctr.engine.options import parse_request
from pyctr.engine.options.limits import verify
from pyctr.engine.options.merge import split_command
from pyctr.engine.spec.plan import Joined, plan_spec
from pyctr.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    from pyctr.engine import Engine

#: BuildKit's, so that what a build writes of its host name is the same everywhere.
HOSTNAME = "buildkitsandbox"
_SPAWNING = threading.Lock()
_END_PATIENCE_S = 30.0
_PIECE_BYTES = 1 << 16


class StepStore(Store):
    """Containers of build steps."""

    __slots__ = ()

    def __init__(self, root: str, run_root: str) -> None:
        super().__init__(root, run_root)
        self.containers_dir = root + "/build/run"


class Command:
    """What a RUN asks for. `mounts` are the runtime-spec's, `options` of `run`; with `has_secrets` no file may hold `env`."""

    __slots__ = ("args", "cwd", "env", "has_secrets", "mounts", "options", "user")

    def __init__(
        self,
        args: list[str],
        *,
        env: list[str],
        cwd: str,
        user: str,
        mounts: list[dict[str, Any]] | None = None,
        options: dict[str, Any] | None = None,
        has_secrets: bool = False,
    ) -> None:
        self.args = args
        self.env = env
        self.cwd = cwd
        self.user = user
        self.mounts = mounts or []
        self.options = options or {}
        self.has_secrets = has_secrets


class Ended:
    """How a command ended."""

    __slots__ = ("code", "oom_killed")

    def __init__(self, code: int, *, oom_killed: bool) -> None:
        self.code = code
        self.oom_killed = oom_killed


class Sandbox:
    """One container of one step; `upper` holds what it changed until the `with` ends."""

    def __init__(self, engine: Engine, lower: list[str]) -> None:
        self.engine = engine
        self.lower = lower
        self.store = StepStore(engine.root, engine.run_root)
        self.id = ""
        self._lock = self._owner = self._memory = -1
        self._session: Session | None = None
        self._cancelled = False

    def __enter__(self) -> Self:
        self.id, lock = self.store.new_directory()
        directory = self.store.temporary_path(self.id)
        try:
            for part in ("upper", "work", "merged"):
                os.mkdir(f"{directory}/{part}", 0o755 if part == "upper" else 0o700)
            # Held as long as this process lives: a step whose owner nobody holds is an orphan.
            self._owner = os.open(f"{directory}/owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._owner, fcntl.LOCK_EX)
            self.store.publish(self.id)
        except BaseException:
            remove_tree(directory)
            os.close(lock)
            raise
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        self._take_back()
        remove_tree(self.store.run_path(self.id))
        remove_tree(self.store.path(self.id))
        for fd in (self._lock, self._owner, self._memory):
            if fd >= 0:
                os.close(fd)

    @property
    def upper(self) -> str:
        """The overlay's upper directory."""
        return self.store.path(self.id) + "/upper"

    def run(self, command: Command, output: Callable[[int, bytes], None]) -> Ended:
        """Run to the end; `output` is given what comes on descriptor 1 and 2. Raises what a start raises."""
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        try:
            with self._start(command, [writer for _, writer in pipes]) as session:
                for index, (reader, writer) in enumerate(pipes):
                    os.close(writer)
                    pipes[index] = (reader, -1)
                return self._watch(session, {reader: index for index, (reader, _) in enumerate(pipes, 1)}, output)
        finally:
            for pair in pipes:
                for fd in pair:
                    if fd >= 0:
                        os.close(fd)

    def cancel(self) -> None:
        """Kill it, from any thread; `run` returns soon."""
        self._cancelled = True
        session = self._session
        if session is not None:
            session.send({"op": "kill", "signal": 9})

    # -- starting ------------------------------------------------------------------------------------------------

    def _start(self, command: Command, outputs: list[int]) -> Session:
        record, facts = self._record(command)
        directory = self.store.path(self.id)
        write_files(directory, record)
        os.makedirs(self.store.run_path(self.id), 0o711, exist_ok=True)
        plan, _ = prepare_network(self.store, record)
        spec = plan_spec(record, facts, Joined(), container_dir=directory)
        spec["process"]["env"] = command.env
        spec["mounts"] += sorted(command.mounts, key=lambda mount: str(mount["destination"]).count("/"))
        request = plan_request(self.store, record, self.lower, plan)
        request["overlay"]["volatile"] = True
        # Not an event of a container anybody asked for.
        request["events"] = directory + "/events.jsonl"
        self._write_spec(directory + "/spec.json", json_dumps(spec), in_memory=command.has_secrets)
        write_atomic(directory + "/monitor.json", json_dumps(request), sync=False)
        ours, theirs = Channel.pair()
        session = Session(ours, self.id)
        try:
            session.attach(Attach(stdin=None, stdout=outputs[0], stderr=outputs[1], sig_proxy=False))
            lock, self._lock = self._lock, -1
            try:
                with _SPAWNING:
                    spawn_monitor(self.engine.runtime, ["monitor", directory], [theirs, lock])
            finally:
                os.close(lock)
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(theirs)
        self._session = session
        if self._cancelled:
            self.cancel()
        return session

    def _write_spec(self, path: str, data: bytes, *, in_memory: bool) -> None:
        """For the monitor to read; what no disk may hold is a link to memory of ours, which it follows while it starts."""
        if not in_memory:
            write_atomic(path, data, sync=False)
            return
        self._memory = os.memfd_create("spec", os.MFD_CLOEXEC)
        with open(self._memory, "wb", closefd=False) as file:
            file.write(data)
        os.symlink(owner_path(self._memory), path)

    def _record(self, command: Command) -> tuple[dict[str, Any], Any]:
        options = {"hostname": HOSTNAME, "log_driver": "none", **command.options}
        request = parse_request("build", command.args, with_defaults(self.engine.config, options))
        config = request.config
        config["Env"], config["WorkingDir"], config["User"] = [], command.cwd, command.user
        config["Entrypoint"] = None
        facts = gather(request.host_config)
        verify(request.host_config, facts)
        path, args = split_command(config)
        record = {
            "Id": self.id,
            "Created": times.now(),
            "Path": path,
            "Args": args,
            "Image": "",
            "Name": "/" + self.id,
            "Config": config,
            "HostConfig": request.host_config,
            "Mounts": [],
            "Pyctr": {"version": 1, "layers": [], "networks": request.networks, "anonymous_volumes": []},
        }
        return record, facts

    # -- running -------------------------------------------------------------------------------------------------

    def _watch(self, session: Session, streams: dict[int, int], output: Callable[[int, bytes], None]) -> Ended:
        poll = select.poll()
        channel = session.channel.fileno()
        for fd in (*streams, channel):
            poll.register(fd, select.POLLIN)
        ended: dict[str, Any] | None = None
        while ended is None:
            for fd, _ in poll.poll():
                if fd != channel:
                    if not _pass_on(fd, streams[fd], output):
                        poll.unregister(fd)
                    continue
                event = session.receive()
                if event is not None and event["event"] == "exited":
                    ended = event
        # The last byte reached the pipes before the monitor said so.
        for fd, number in streams.items():
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while _pass_on(fd, number, output):
                    pass
        self._session = None
        return Ended(int(ended["code"]), oom_killed=bool(ended.get("oom_killed")))

    def _take_back(self) -> None:
        """Wait until the monitor has let go: it is still cleaning up when it says that the command ended."""
        self._session = None
        if self._lock >= 0:
            return
        deadline = time.monotonic() + _END_PATIENCE_S
        pause_s = 0.0005
        while True:
            lock = try_lock(self.store.path(self.id) + "/lock")
            if lock is not None:
                self._lock = lock
                return
            if not os.path.exists(self.store.path(self.id) + "/lock"):
                return
            if time.monotonic() > deadline:
                raise StateError(f"end build step {self.id[:12]}: its monitor does not let go")
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.02)


def _pass_on(fd: int, number: int, output: Callable[[int, bytes], None]) -> bool:
    data = os.read(fd, _PIECE_BYTES)
    if data:
        output(number, data)
    return bool(data)


def sweep_steps(root: str, run_root: str) -> int:
    """Remove what builds that were killed left of their steps: kill what still runs. How many there were."""
    store = StepStore(root, run_root)
    swept = 0
    for step_id in store.ids():
        if not _is_orphan(store, step_id):
            continue
        _kill_orphan(store, step_id)
        swept += 1
    return swept


def _is_orphan(store: Store, step_id: str) -> bool:
    """Whether the build that a step belongs to is gone."""
    try:
        owner = os.open(f"{store.path(step_id)}/owner", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(owner, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True


def _kill_orphan(store: Store, step_id: str) -> None:
    from pyctr.engine.containers.session import connect

    path = store.path(step_id)
    lock = try_lock(path + "/lock")
    if lock is None:
        with contextlib.suppress(StateError), connect(store.run_path(step_id), step_id) as session:
            session.send({"op": "kill", "signal": 9})
            session.receive(timeout_s=5)
        lock = _lock_soon(path)
    if lock is None:
        return
    try:
        remove_secrets(store.run_path(step_id))
        remove_tree(store.run_path(step_id))
        remove_tree(path)
    finally:
        os.close(lock)


def _lock_soon(path: str) -> int | None:
    for pause_s in _pauses():
        lock = try_lock(path + "/lock")
        if lock is not None:
            return lock
        time.sleep(pause_s)
    return None


def _pauses() -> Iterator[float]:
    yield from (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
