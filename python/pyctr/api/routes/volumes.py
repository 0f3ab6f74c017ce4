"""`/volumes`."""

from __future__ import annotations

from pyctr.api.http import Request, Response, answer, empty
from pyctr.api.router import Route


def list_volumes(request: Request) -> Response:
    """Every volume."""
    return answer({"Volumes": request.engine.volumes.list(request.filters()), "Warnings": None})


def inspect(request: Request, name: str) -> Response:
    """Everything about one."""
    return answer(request.engine.volumes.inspect(name))


def create(request: Request) -> Response:
    """Make one."""
    body = request.json()
    volumes = request.engine.volumes
    name = volumes.create(
        body.get("Name") or "", body.get("Driver") or "local", body.get("DriverOpts") or {}, body.get("Labels") or {}
    )
    return answer(volumes.inspect(name), status=201)


def remove(request: Request, name: str) -> Response:
    """Remove one."""
    request.engine.volumes.remove(name, force=request.flag("force"))
    return empty()


def prune(request: Request) -> Response:
    """Remove those no container uses."""
    removed, reclaimed = request.engine.volumes.prune(request.filters())
    return answer({"VolumesDeleted": removed or None, "SpaceReclaimed": reclaimed})


ROUTES = [
    Route("GET", "/volumes", list_volumes),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
]
