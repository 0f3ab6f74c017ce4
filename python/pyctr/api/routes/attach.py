"""`/containers/{id}/attach`, `/exec`: the raw connection."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from pyctr._core import Channel
from pyctr.api.hijack import MULTIPLEXED, RAW, STDOUT, Pipes, Pump, frame
from pyctr.api.http import Hijack, Request, Response, answer, empty
from pyctr.api.router import Route
from pyctr.api.starts import Exec
from pyctr.engine.containers import execute
from pyctr.engine.containers.session import Session, connect
from pyctr.engine.containers.state import is_running
from pyctr.errors import Conflict, InvalidArgument, NotFound, PyctrError, StateError

if TYPE_CHECKING:
    import socket


def attach(request: Request, id: str) -> Hijack:
    """A container's streams; of one that does not run yet, as soon as it does."""
    engine = request.engine
    store = engine.containers.store
    container_id = engine.containers.resolve(id)
    config = store.record(container_id)["Config"]
    tty = bool(config["Tty"])
    wants = {name: request.flag(name) for name in ("stdin", "stdout", "stderr")}
    past = (
        [frame_of(name, data, tty=tty) for name, data in engine.containers.logs(container_id) if wants[name]]
        if request.flag("logs")
        else []
    )
    stream = request.flag("stream")
    pipes = Pipes(
        stdin=stream and wants["stdin"] and bool(config["OpenStdin"]),
        stdout=stream and wants["stdout"],
        stderr=stream and wants["stderr"],
        tty=tty,
        detach_keys=request.text("detachKeys"),
    )
    # Known to the server before the client hears an answer: what it does next may be the start.
    session, waiting = None, None
    try:
        if stream and is_running(store, container_id):
            session = connect(store.run_path(container_id), container_id)
            session.attach(pipes.attach)
            pipes.lent()
        elif stream:
            waiting = request.starts.wait_for_start(container_id, pipes)
            if is_running(store, container_id) and request.starts.give_up(container_id, waiting):
                waiting = None  # somebody started it between the two looks
                session = connect(store.run_path(container_id), container_id)
                session.attach(pipes.attach)
                pipes.lent()
    except BaseException:
        pipes.close()
        raise

    def has_ended() -> bool:
        return (waiting is None or waiting.started.is_set()) and not is_running(store, container_id)

    def serve(sock: socket.socket, early: bytes) -> None:
        pump = Pump(sock, pipes, early)
        try:
            for piece in past:
                pump.send(piece)
            if stream:
                pump.run(until=has_ended)
        finally:
            if waiting is not None:
                request.starts.give_up(container_id, waiting)
            pump.finish()
            mine = session or (waiting.session if waiting is not None else None)
            if mine is not None:
                mine.channel.close()

    return Hijack(serve, content_type=RAW if tty or request.version < (1, 42) else MULTIPLEXED)


def frame_of(name: str, data: bytes, *, tty: bool) -> bytes:
    """Logged output as it goes to the client."""
    return data if tty else frame(STDOUT if name == "stdout" else 2, data)


def create_exec(request: Request, id: str) -> Response:
    """Remember a command to run in a container."""
    container_id = request.engine.containers.resolve(id)
    execute.running_state(request.engine.containers.store, container_id)
    body = request.json()
    if not body.get("Cmd"):
        raise InvalidArgument("No exec command specified")
    instance = Exec(os.urandom(32).hex(), container_id, body)
    request.starts.add_exec(instance)
    return answer({"Id": instance.id}, status=201)


def _instance(request: Request, id: str) -> Exec:
    found = request.starts.exec(id)
    if found is None:
        raise NotFound(f"No such exec instance: {id}")
    return found


def options_of(body: dict[str, Any], *, detach: bool) -> dict[str, Any]:
    """The engine's options of ``exec``."""
    options: dict[str, Any] = {
        "detach": detach,
        "interactive": bool(body.get("AttachStdin")) and not detach,
        "tty": bool(body.get("Tty")),
        "privileged": bool(body.get("Privileged")),
    }
    options |= {key: body[field] for key, field in (("user", "User"), ("workdir", "WorkingDir")) if body.get(field)}
    variables = [text for text in body.get("Env") or () if "=" in text]
    return options | ({"env": variables} if variables else {})


def spawn_exec(request: Request, instance: Exec, options: dict[str, Any]) -> tuple[Session, int, dict[str, Any]]:
    """Plan an exec session: our end of its channel, the other end, what it reads."""
    store = request.engine.containers.store
    state = execute.running_state(store, instance.container_id)
    words = [str(word) for word in instance.config["Cmd"]]
    planned = execute.plan_exec(store, instance.container_id, words, options)
    asked = execute.plan_session(store, instance.container_id, instance.id, state, planned)
    os.makedirs(os.path.dirname(asked["run_dir"]), 0o700, exist_ok=True)
    ours, theirs = Channel.pair()
    return Session(ours, instance.container_id), theirs, asked


def start_exec(request: Request, id: str) -> Response | Hijack:
    """Run it: in the background, or on this connection."""
    instance = _instance(request, id)
    body = request.json()
    if instance.started:
        raise Conflict(
            f"Error: Exec command {instance.id} is already running"
            if not instance.ended
            else f"exec {instance.id} has ended"
        )
    detach = bool(body.get("Detach"))
    options = options_of(instance.config, detach=detach)
    session, theirs, asked = spawn_exec(request, instance, options)
    instance.started = True
    if detach:
        session.watch()
        execute.spawn(request.engine.runtime, asked, theirs)
        try:
            _note(instance, session.expect("started", "exited"))
        except PyctrError as error:
            instance.ended, instance.exit_code = True, error.exit_code
            session.channel.close()
            raise
        threading.Thread(target=_follow, args=(instance, session), daemon=True).start()
        return empty(200)
    tty = bool(instance.config.get("Tty"))
    pipes = Pipes(
        stdin=options["interactive"],
        stdout=bool(instance.config.get("AttachStdout")),
        stderr=bool(instance.config.get("AttachStderr")),
        tty=tty,
        detach_keys=instance.config.get("DetachKeys") or "",
    )
    size = body.get("ConsoleSize") or instance.config.get("ConsoleSize")

    def serve(sock: socket.socket, early: bytes) -> None:
        session.attach(pipes.attach, (size[0], size[1]) if size and all(size) else None)
        instance.session = session
        failure: list[str] = []
        try:
            execute.spawn(request.engine.runtime, asked, theirs)
        except PyctrError as error:
            failure.append(str(error))
        finally:
            pipes.lent()
        follower = threading.Thread(target=_follow, args=(instance, session, failure), daemon=True)
        follower.start()
        pump = Pump(sock, pipes, early)
        pump.run(until=lambda: not follower.is_alive())
        if not pump.gone:
            follower.join()  # the exit code is known before the client can ask for it
        if failure:
            pump.send(pipes.shape(STDOUT, f"{failure[0]}\r\n".encode()))
        pump.finish()
        if pump.gone:
            session.channel.close()

    return Hijack(serve, content_type=RAW if tty or request.version < (1, 42) else MULTIPLEXED)


def _note(instance: Exec, event: dict[str, Any] | None) -> None:
    if event is not None and event["event"] == "started":
        instance.pid = int(event.get("pid") or 0)
    elif event is not None and event["event"] == "exited":
        instance.ended, instance.exit_code = True, int(event["code"])


def _follow(instance: Exec, session: Session, failure: list[str] | None = None) -> None:
    """Take what the session says until its command ends or is let go of."""
    if failure:
        instance.ended, instance.exit_code = True, 126
        return
    try:
        while not instance.ended:
            event = session.receive()
            _note(instance, event)
            if event is not None and event["event"] == "detached":
                break
    except PyctrError as error:
        instance.ended = True
        instance.exit_code = error.exit_code if not isinstance(error, StateError) else instance.exit_code
        if failure is not None:
            failure.append(str(error))
    except (OSError, ValueError):  # the channel was closed: the client has gone
        return
    if instance.ended:
        session.channel.close()


def inspect_exec(request: Request, id: str) -> Response:
    """What an exec instance is doing."""
    from pyctr.engine.containers.exec_sessions import list_sessions

    instance = _instance(request, id)
    config = instance.config
    words = [str(word) for word in config["Cmd"]]
    running = instance.started and not instance.ended
    if running:
        running = (
            instance.id in list_sessions(request.engine.containers.store, instance.container_id) or instance.pid == 0
        )
    return answer(
        {
            "ID": instance.id,
            "Running": running,
            "ExitCode": instance.exit_code,
            "ProcessConfig": {
                "tty": bool(config.get("Tty")),
                "entrypoint": words[0],
                "arguments": words[1:],
                "privileged": bool(config.get("Privileged")),
                **({"user": config["User"]} if config.get("User") else {}),
            },
            "OpenStdin": bool(config.get("AttachStdin")),
            "OpenStderr": bool(config.get("AttachStderr")),
            "OpenStdout": bool(config.get("AttachStdout")),
            "CanRemove": instance.ended,
            "ContainerID": instance.container_id,
            "DetachKeys": config.get("DetachKeys") or "",
            "Pid": instance.pid,
        }
    )


def resize_exec(request: Request, id: str) -> Response:
    """The size of an exec instance's terminal."""
    instance = _instance(request, id)
    rows, columns = request.number("h"), request.number("w")
    if rows is None or columns is None:
        raise InvalidArgument("h and w are needed")
    if instance.session is None or instance.ended:
        raise StateError(f"exec {instance.id} does not run")
    instance.session.send({"op": "resize", "rows": rows, "cols": columns})
    return empty(200)


ROUTES = [
    Route("POST", "/containers/{id}/attach", attach),
    Route("POST", "/containers/{id}/exec", create_exec),
    Route("POST", "/exec/{id}/start", start_exec),
    Route("GET", "/exec/{id}/json", inspect_exec),
    Route("POST", "/exec/{id}/resize", resize_exec),
]
