"""`/containers/{id}/archive`, `/containers/{id}/export`: files as tar."""

from __future__ import annotations

import base64

from pyctr._core import json_dumps
from pyctr.api.http import Request, Response, Stream, empty
from pyctr.api.router import Route
from pyctr.client.streams import produced
from pyctr.errors import InvalidArgument

_TAR = "application/x-tar"
_CHUNK = 1 << 18


def _path(request: Request) -> str:
    path = request.text("path")
    if not path:
        raise InvalidArgument('"path" parameter is required')
    return path


def get_archive(request: Request, id: str) -> Response | Stream:
    """A tar of a path; HEAD: only what is there."""
    from pyctr.engine.containers.copy import get_archive, path_status

    path = _path(request)
    status = base64.b64encode(json_dumps(path_status(request.engine, id, path))).decode()
    headers = {"X-Docker-Container-Path-Stat": status}
    if request.method == "HEAD":
        return Response(headers=headers, content_type=_TAR)
    chunks = produced(lambda fd: get_archive(request.engine, id, path, fd), _CHUNK)
    return Stream(chunks, content_type=_TAR, headers=headers)


def put_archive(request: Request, id: str) -> Response:
    """Unpack a tar into a directory."""
    from pyctr.engine.containers.copy import put_archive
    from pyctr.image.compression import opened

    with opened(request.upload) as fd:
        put_archive(request.engine, id, _path(request), fd, archive=True)
    return empty(200)


def export(request: Request, id: str) -> Stream:
    """The root file system."""
    from pyctr.engine.containers.changes import export_container

    request.engine.containers.resolve(id)
    return Stream(produced(lambda fd: export_container(request.engine, id, fd), _CHUNK), content_type=_TAR)


ROUTES = [
    Route("GET", "/containers/{id}/archive", get_archive),
    Route("PUT", "/containers/{id}/archive", put_archive, uploads=True),
    Route("GET", "/containers/{id}/export", export),
]
