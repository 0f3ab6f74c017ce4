"""A further process in a running container: what it is to be, and the session that watches it (docs/design.md, "Exec")."""

from __future__ import annotations

import os

from pyctr._core import Channel, json_dumps, rootless_keeper
from pyctr.engine.containers.foreground import Foreground
from pyctr.engine.containers.session import Attach, Session, spawn_monitor
from pyctr.engine.containers.state import current_state
from pyctr.errors import InvalidArgument, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store

REQUEST_VERSION = 1


def execute(
    engine: Engine, container_id: str, command: list[str], options: dict[str, Any], streams: Attach | None
) -> int | str:
    """Run a command in a container: its exit code, or with ``detach`` the session's id once the command runs.

    `options` are those of ``docker exec``: detach, detach_keys, env, env_file, interactive, privileged, tty, user, workdir.
    """
    store = engine.containers.store
    state = running_state(store, container_id)
    exec_id = os.urandom(32).hex()
    request = plan_session(store, container_id, exec_id, state, plan_exec(store, container_id, command, options))
    os.makedirs(os.path.dirname(request["run_dir"]), 0o700, exist_ok=True)
    ours, theirs = Channel.pair()
    with Session(ours, container_id) as session:
        if options.get("detach"):
            session.watch()
            spawn(engine.runtime, request, theirs)
            session.expect("started", "exited")
            return exec_id
        attach = lend(streams or Attach(), options)
        with Foreground(session, attach, tty=bool(options.get("tty"))) as foreground:
            session.attach(attach, foreground.size())
            spawn(engine.runtime, request, theirs)
            return foreground.wait()


def running_state(store: Store, container_id: str) -> dict[str, Any]:
    """The state of a container that can be entered; raises StateError worded as Docker's for one that cannot."""
    state = current_state(store, container_id)
    status = state.get("status")
    if status == "paused":
        raise StateError(f"Container {container_id} is paused, unpause the container before exec")
    if status == "restarting":
        raise StateError(f"Container {container_id} is restarting, wait until the container is running")
    if status != "running":
        raise StateError(f"container {container_id} is not running")
    return state


def plan_exec(store: Store, container_id: str, command: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """What of the session's request follows from the container and the options."""
    record = store.record(container_id)
    config = record["Config"]
    spec = store.read(container_id, "spec.json")
    monitor = store.read(container_id, "monitor.json")
    terminal = bool(options.get("tty"))
    process = {
        **spec["process"],
        "args": command,
        "env": plan_environment(config, options, linked_variables(record, spec), terminal=terminal),
        "cwd": plan_directory(options.get("workdir"), config),
        "terminal": terminal,
    }
    if options.get("privileged"):
        process |= plan_privileges()
    return {
        "process": process,
        "user": options.get("user") or config["User"] or "0",
        "group_add": record["HostConfig"]["GroupAdd"] or [],
        "open_stdin": bool(options.get("interactive")) and not options.get("detach"),
        "seccomp": "unconfined" if options.get("privileged") else monitor["seccomp"],
        "profile": spec["linux"].get("seccomp"),
        "event_attributes": monitor["event_attributes"],
    }


def linked_variables(record: dict[str, Any], spec: dict[str, Any]) -> list[str]:
    """What links brought the container's own process when it was started."""
    aliases = [link.rpartition(":")[2] for link in record["HostConfig"].get("Links") or ()]
    prefixes = tuple(alias.upper().replace("-", "_") + "_" for alias in aliases)
    return [variable for variable in spec["process"]["env"] if variable.startswith(prefixes)] if prefixes else []


def plan_environment(
    config: dict[str, Any], options: dict[str, Any], linked: list[str], *, terminal: bool
) -> list[str]:
    """The container's variables, changed by --env-file and --env; TERM where the command has a terminal."""
    from pyctr.engine.spec.environment import plan_environment as plan_variables

    given: list[str] = []
    if options.get("env") or options.get("env_file"):
        from pyctr.engine.options.environment import parse_variable, read_file

        for path in options.get("env_file", ()):
            given += read_file(path, "env file", inherit=True)
        for text in options.get("env", ()):
            given += parse_variable(text)
    return plan_variables({**config, "Tty": terminal, "Env": [*config["Env"], *given]}, linked)


def plan_directory(workdir: str | None, config: dict[str, Any]) -> str:
    """--workdir, else the container's."""
    if workdir and not workdir.startswith("/"):
        raise InvalidArgument(f"cwd {workdir}: it must be an absolute path")
    return workdir or config["WorkingDir"] or "/"


def plan_privileges() -> dict[str, Any]:
    """--privileged: every capability this host grants, and no profile."""
    from pyctr._core import permitted_capabilities
    from pyctr.engine.capabilities import plan_capabilities

    names = plan_capabilities(None, None, privileged=True, granted=permitted_capabilities())
    return {
        "capabilities": {"bounding": names, "effective": names, "permitted": names},
        "apparmorProfile": "",
        "noNewPrivileges": False,
    }


def plan_session(
    store: Store, container_id: str, exec_id: str, state: dict[str, Any], planned: dict[str, Any]
) -> dict[str, Any]:
    """The request a session reads."""
    keeper = rootless_keeper()
    return {
        **({"keeper": keeper} if keeper is not None else {}),
        "version": REQUEST_VERSION,
        "id": exec_id,
        "container": container_id,
        "pid": state["pid"],
        "pid_start": state["pid_start"],
        "cgroup_paths": state["cgroup_paths"],
        "run_dir": f"{store.sessions_path(container_id)}/{exec_id}",
        "events": store.root + "/events.jsonl",
        **planned,
    }


def spawn(runtime: str, request: dict[str, Any], channel: int) -> None:
    """Start the session's watcher; it reads the request from a memory file, which no other process sees."""
    data = json_dumps(request)
    file = os.memfd_create("session")
    try:
        os.truncate(file, len(data))
        os.pwrite(file, data, 0)
        spawn_monitor(runtime, ["session"], [channel, file])
    finally:
        os.close(file)
        os.close(channel)


def lend(streams: Attach, options: dict[str, Any]) -> Attach:
    """Of the lent streams those the command has: input only with ``interactive``, one output with a terminal."""
    tty = bool(options.get("tty"))
    return Attach(
        stdin=streams.stdin if options.get("interactive") else None,
        stdout=streams.stdout,
        stderr=None if tty else streams.stderr,
        detach_keys=options.get("detach_keys") or streams.detach_keys,
        sig_proxy=streams.sig_proxy,
    )
