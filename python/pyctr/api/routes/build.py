"""`/build`, `/build/prune`: an image of a tar that is sent, as Docker's first builder answers it."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from pyctr._core import json_loads
from pyctr.api.http import Request, Response, Stream, answer
from pyctr.api.messages import Teller, told
from pyctr.api.router import Route
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20
_SINGLE = (
    ("dockerfile", "file"), ("target", "target"), ("networkmode", "network"), ("cgroupparent", "cgroup_parent"), ("shmsize", "shm_size"),
    ("memory", "memory"), ("memswap", "memory_swap"), ("cpushares", "cpu_shares"), ("cpuperiod", "cpu_period"), ("cpuquota", "cpu_quota"),
    ("cpusetcpus", "cpuset_cpus"), ("cpusetmems", "cpuset_mems"),
)  # fmt: skip


def build(request: Request) -> Stream:
    """Build what is sent, or what an address leads to."""
    from pyctr.build.plan.git import parse_git

    if request.text("version", "1") not in ("", "1"):
        raise InvalidArgument("BuildKit's protocol is not supported: version=1 is", hint="DOCKER_BUILDKIT=0")
    options = build_options(request)
    remote = request.text("remote")
    # Never a path of this machine: who may use the socket could name any.
    if (
        remote
        and remote != "client-session"
        and not remote.startswith(("http://", "https://"))
        and not parse_git(remote, context=True)
    ):
        raise InvalidArgument(f"invalid remote {remote}: an address of http, https or git is expected")
    request.engine.image_store.prepare()
    context = _keep(request) if not remote else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return Stream(_build(request, remote or "-", options, context))


def build_options(request: Request) -> dict[str, Any]:
    """The query as `pyctr build`'s options. Raises InvalidArgument."""
    options: dict[str, Any] = {key: request.text(name) for name, key in _SINGLE if request.text(name) not in ("", "0")}
    for name, key in (("nocache", "no_cache"), ("pull", "pull"), ("squash", "squash")):
        if request.flag(name):
            options[key] = True
    for name, key in (("t", "tag"), ("extrahosts", "add_host")):
        if any(request.query.get(name, ())):
            options[key] = [text for text in request.query[name] if text]
    if request.text("platform"):
        options["platform"] = [request.text("platform")]
    arguments, labels = (_object(request, name) for name in ("buildargs", "labels"))
    # One without a value would take the server's variable.
    if any(value is not None for value in arguments.values()):
        options["build_arg"] = [f"{key}={value}" for key, value in arguments.items() if value is not None]
    if labels:
        options["label"] = [f"{key}={value}" for key, value in labels.items()]
    limits = _list(request, "ulimits")
    if limits:
        options["ulimit"] = [f"{limit['Name']}={limit['Soft']}:{limit['Hard']}" for limit in limits]
    sources = _list(request, "cachefrom")
    if sources:
        options["cache_from"] = [str(source) for source in sources]
    return options


def _object(request: Request, name: str) -> dict[str, Any]:
    value = _json(request, name)
    if not isinstance(value or {}, dict):
        raise InvalidArgument(f"invalid {name}: an object is expected")
    return value or {}


def _list(request: Request, name: str) -> list[Any]:
    value = _json(request, name)
    if not isinstance(value or [], list):
        raise InvalidArgument(f"invalid {name}: a list is expected")
    return value or []


def _json(request: Request, name: str) -> Any:
    text = request.text(name)
    try:
        return json_loads(text.encode()) if text else None
    except ValueError:
        raise InvalidArgument(f"invalid {name}: {text}") from None


def _keep(request: Request) -> int:
    """What is sent as a file: it can be read only while the handler runs, and the answer begins after that."""
    with tempfile.TemporaryFile(dir=request.engine.root) as file:
        while data := os.read(request.upload, _CHUNK):
            file.write(data)
        file.flush()
        fd = os.dup(file.fileno())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _build(request: Request, context: str, options: dict[str, Any], fd: int) -> Iterator[bytes]:
    quiet = request.flag("q")

    def work(teller: Teller) -> None:
        from pyctr.engine.build.use import build

        try:
            built = build(request.engine, context, options, teller.report(quiet=quiet), stdin=fd)
        finally:
            os.close(fd)
        for image in built.images:
            teller.tell({"aux": {"ID": image.id}})
            teller.tell({"stream": f"{image.id}\n" if quiet else f"Successfully built {image.id[7:19]}\n"})
        for name in () if quiet else options.get("tag", ()):
            teller.tell(
                {"stream": f"Successfully tagged {name if ':' in name.rpartition('/')[2] else name + ':latest'}\n"}
            )

    return told(work)


def prune(request: Request) -> Response:
    """Forget results of builds."""
    from pyctr.engine.build.usage import Keep, prune_cache

    keep = Keep(
        reserved=request.number("reserved-space") or request.number("keep-storage") or 0,
        max_used=request.number("max-used-space") or 0,
        min_free=request.number("min-free-space") or 0,
    )
    removed, reclaimed = prune_cache(request.engine, all=request.flag("all"), filters=request.filters(), keep=keep)
    return answer({"CachesDeleted": removed or None, "SpaceReclaimed": reclaimed})


ROUTES = [
    Route("POST", "/build", build, uploads=True),
    Route("POST", "/build/prune", prune),
]
