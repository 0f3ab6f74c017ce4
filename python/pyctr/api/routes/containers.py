"""`/containers`: list, create, inspect, remove, prune, update, rename."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.api.http import Request, Response, answer, empty
from pyctr.api.router import Route
from pyctr.errors import InvalidArgument, StateError

if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.engine.containers.listing import Summary

#: Body of an update → docker-py's keyword.
_UPDATED = {
    "CpuShares": "cpu_shares", "Memory": "mem_limit", "NanoCpus": "nano_cpus", "BlkioWeight": "blkio_weight", "CpuPeriod": "cpu_period",
    "CpuQuota": "cpu_quota", "CpuRealtimePeriod": "cpu_rt_period", "CpuRealtimeRuntime": "cpu_rt_runtime", "CpusetCpus": "cpuset_cpus",
    "CpusetMems": "cpuset_mems", "MemoryReservation": "mem_reservation", "MemorySwap": "memswap_limit", "PidsLimit": "pids_limit",
}  # fmt: skip


def list_containers(request: Request) -> Response:
    """Summaries, newest first."""
    limit = request.number("limit")
    found = request.engine.containers.list(
        all=request.flag("all"),
        limit=limit if limit and limit > 0 else None,
        filters=request.filters(),
        size=request.flag("size"),
    )
    return answer([summary(request.engine, item) for item in found])


def summary(engine: Engine, item: Summary) -> dict[str, Any]:
    """One of the list."""
    from pyctr.engine.containers.network import inspect_endpoints

    return {
        "Id": item.id,
        "Names": [f"/{name}" for name in item.names],
        "Image": item.image,
        "ImageID": item.image_id,
        "Command": item.command,
        "Created": item.created_s,
        "Ports": item.ports,
        "Labels": item.labels,
        "State": item.state,
        "Status": item.status,
        "HostConfig": {"NetworkMode": item.record["HostConfig"]["NetworkMode"]},
        "NetworkSettings": {"Networks": inspect_endpoints(engine.containers.store, item.record)},
        "Mounts": item.record["Mounts"],
        **({"SizeRw": item.size[0], "SizeRootFs": item.size[1]} if item.size else {}),
    }


def create(request: Request) -> Response:
    """Make a container."""
    from pyctr.api.create_body import parse_create

    body = request.json()
    asked = parse_create(body, name=request.text("name"), platform=request.text("platform"))
    created = request.engine.containers.create(asked.image, asked.command, asked.options)
    size = (body.get("HostConfig") or {}).get("ConsoleSize")
    if size and any(size):
        store = request.engine.containers.store
        record = store.record(created.id)
        record["HostConfig"]["ConsoleSize"] = [int(number) for number in size]
        store.write(created.id, "config.json", record)
    return answer({"Id": created.id, "Warnings": created.warnings or []}, status=201)


def inspect(request: Request, id: str) -> Response:
    """Everything about a container."""
    found = request.engine.containers.inspect(id)
    if request.flag("size"):
        sized = request.engine.containers.list(all=True, size=True, filters={"id": [found["Id"]]})
        if sized and sized[0].size:
            found["SizeRw"], found["SizeRootFs"] = sized[0].size
    return answer(found)


def remove(request: Request, id: str) -> Response:
    """Remove a container."""
    if request.flag("link"):
        raise InvalidArgument("removing links is not supported: there are no links to remove")
    request.engine.containers.remove(id, force=request.flag("force"), volumes=request.flag("v"))
    return empty()


def prune(request: Request) -> Response:
    """Remove all that do not run."""
    removed, reclaimed = request.engine.containers.prune(request.filters())
    return answer({"ContainersDeleted": removed or None, "SpaceReclaimed": reclaimed})


def rename(request: Request, id: str) -> Response:
    """Another name."""
    if not request.text("name"):
        raise InvalidArgument("Neither old nor new names may be empty")
    request.engine.containers.rename(id, request.text("name"))
    return empty()


def update(request: Request, id: str) -> Response:
    """Change limits and restart policy."""
    from pyctr.client.options import engine_options

    body = request.json()
    keywords = {_UPDATED[field]: value for field, value in body.items() if field in _UPDATED and value}
    if (body.get("RestartPolicy") or {}).get("Name"):
        keywords["restart_policy"] = body["RestartPolicy"]
    options = engine_options(keywords)
    return answer({"Warnings": request.engine.containers.update(id, options) if options else []})


def commit(request: Request) -> Response:
    """Make an image of a container."""
    from pyctr.engine.containers.changes import commit_container

    repository, tag = request.text("repo"), request.text("tag")
    name = f"{repository}:{tag}" if repository and tag else repository or None
    image_id = commit_container(
        request.engine,
        request.text("container"),
        name,
        author=request.text("author"),
        message=request.text("comment"),
        changes=[line for text in request.query.get("changes", ()) for line in text.splitlines() if line.strip()],
        pause=request.flag("pause", default=True),
    )
    return answer({"Id": image_id}, status=201)


def changes(request: Request, id: str) -> Response:
    """What a container changed of its image."""
    from pyctr.engine.containers.changes import diff_container

    kinds = {"C": 0, "A": 1, "D": 2}
    return answer([{"Path": path, "Kind": kinds[kind]} for kind, path in diff_container(request.engine, id)] or None)


def top(request: Request, id: str) -> Response:
    """Its processes."""
    titles, rows = request.engine.containers.top(id, request.text("ps_args").split())
    if not titles:
        raise StateError(f"container {id} has no processes")
    return answer({"Titles": titles, "Processes": rows})


ROUTES = [
    Route("GET", "/containers/json", list_containers),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect),
    Route("DELETE", "/containers/{id}", remove),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("POST", "/commit", commit),
    Route("GET", "/containers/{id}/changes", changes),
    Route("GET", "/containers/{id}/top", top),
]
