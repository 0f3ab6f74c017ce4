"""`/images`: list, pull, import, push, load, save, inspect, history, tag, remove, prune, search."""

from __future__ import annotations

import base64
from typing import Any

from pyctr._core import json_dumps, json_loads
from pyctr.api.http import Request, Response, Stream, answer
from pyctr.api.messages import Teller, told
from pyctr.api.router import Route
from pyctr.client.streams import produced
from pyctr.engine.containers.create import BUILTIN_IMAGES
from pyctr.errors import InvalidArgument
from pyctr.image.reference import parse_reference

_TAR = "application/x-tar"
_CHUNK = 1 << 18


def list_images(request: Request) -> Response:
    """One object an image, with all its names."""
    found: dict[str, dict[str, Any]] = {}
    for row in request.engine.images.list(filters=request.filters()):
        entry = found.setdefault(
            row.id,
            {
                "Id": row.id,
                "ParentId": "",
                "RepoTags": [],
                "RepoDigests": [],
                "Created": row.created_s,
                "Size": row.size,
                "SharedSize": -1,
                "Labels": row.labels or None,
                "Containers": -1,
            },
        )
        if row.repository != "<none>":
            name = parse_reference(row.repository).familiar_name
            if row.tag != "<none>":
                entry["RepoTags"].append(f"{name}:{row.tag}")
            entry["RepoDigests"].append(f"{name}@{row.digest}")
    return answer(list(found.values()))


def inspect(request: Request, image: str) -> Response:
    """Everything about an image."""
    return answer(request.engine.images.inspect(image))


def history(request: Request, image: str) -> Response:
    """The steps it was made by."""
    from pyctr.engine.images.api import history

    return answer(history(request.engine, image))


def tag(request: Request, image: str) -> Response:
    """A further name."""
    repository, name = request.text("repo"), request.text("tag")
    request.engine.images.tag(image, f"{repository}:{name}" if name else repository)
    return Response(status=201)


def remove(request: Request, image: str) -> Response:
    """Untag or delete."""
    from pyctr.engine.images.api import deletions

    return answer(deletions(request.engine.images.remove(image, force=request.flag("force"))))


def prune(request: Request) -> Response:
    """Remove nameless images."""
    from pyctr.engine.images.api import deletions

    filters = request.filters()
    every = filters.pop("dangling", ["true"])[-1] in ("false", "0")
    lines, reclaimed = request.engine.images.prune(all=every, filters=filters)
    return answer({"ImagesDeleted": deletions(lines) or None, "SpaceReclaimed": reclaimed})


def search(request: Request) -> Response:
    """Repositories of a registry."""
    from pyctr.engine.search import search

    found = search(request.engine, request.text("term"), limit=request.number("limit") or 25, filters=request.filters())
    return answer(
        [
            {
                "name": item.name,
                "description": item.description,
                "star_count": item.stars,
                "is_official": item.is_official,
                "is_automated": False,
            }
            for item in found
        ]
    )


# -- transfers -----------------------------------------------------------------------------------------------------


def create(request: Request) -> Stream:
    """Pull an image, or make one of a tar that is sent."""
    origin = request.text("fromSrc")
    if origin:
        return _import(request, origin)
    name = request.text("fromImage")
    if not name:
        raise InvalidArgument("fromImage or fromSrc is needed")
    version = request.text("tag")
    if version:
        name = f"{name}{'@' if version.startswith('sha256:') else ':'}{version}"
    if parse_reference(name).familiar in BUILTIN_IMAGES:
        request.engine.images.load_builtin(name)
        return Stream(iter([json_dumps({"status": f"{name}: carried by pyctr itself"}) + b"\r\n"]))
    _use_credentials(request)

    def pull(teller: Teller) -> None:
        all_tags = not version and "@" not in name and ":" not in name.rpartition("/")[2]
        request.engine.images.pull(name, platform=request.text("platform"), all_tags=all_tags, report=teller.progress)

    return Stream(told(pull))


def _import(request: Request, origin: str) -> Stream:
    """At once, not while it is answered: what is sent can be read only as long as the handler runs."""
    from pyctr.engine.images.transfer import open_url

    repository, version = request.text("repo"), request.text("tag")
    name = f"{repository}:{version}" if repository and version else repository or None
    source = request.upload if origin == "-" else open_url(origin)
    image_id = request.engine.images.import_archive(
        source,
        name,
        origin=origin,
        changes=request.query.get("changes"),
        message=request.text("message"),
        platform=request.text("platform") or None,
    )
    return Stream(iter([json_dumps({"status": image_id}) + b"\r\n"]))


def push(request: Request, image: str) -> Stream:
    """Push an image to its registry."""
    version = request.text("tag")
    name = f"{image}:{version}" if version else image
    _use_credentials(request)
    if version:
        request.engine.images.inspect(name)

    def send(teller: Teller) -> None:
        request.engine.images.push(name, all_tags=not version, report=teller.progress)

    return Stream(told(send))


def _use_credentials(request: Request) -> None:
    """``X-Registry-Auth``: the client's credentials, for this request only."""
    text = request.headers.get("x-registry-auth", "")
    if not text:
        return
    from pyctr.engine.credentials import given_credentials

    try:
        given = json_loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        words = [given.get(key) or "" for key in ("username", "password", "identitytoken", "registrytoken")]
    except (ValueError, AttributeError):
        raise InvalidArgument("invalid X-Registry-Auth header") from None
    if not all(isinstance(word, str) for word in words):
        raise InvalidArgument("invalid X-Registry-Auth header")
    if any(words):
        request.engine.credentials = given_credentials(*words)


def load(request: Request) -> Stream:
    """Load the images of an archive that is sent."""
    lines = request.engine.images.load(request.upload, platform=None)
    return Stream(iter([json_dumps({"stream": f"{line}\n"}) + b"\r\n" for line in lines]))


def save(request: Request) -> Stream:
    """An archive of several images."""
    return _save(request, request.query.get("names", []))


def save_one(request: Request, image: str) -> Stream:
    """An archive of one."""
    return _save(request, [image])


def _save(request: Request, names: list[str]) -> Stream:
    if not names:
        raise InvalidArgument("names of images are needed")
    for name in names:
        request.engine.images.inspect(name)
    return Stream(produced(lambda fd: request.engine.images.save(names, fd), _CHUNK), content_type=_TAR)


ROUTES = [
    Route("GET", "/images/json", list_images),
    Route("POST", "/images/create", create, uploads=True),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/search", search),
    Route("POST", "/images/load", load, uploads=True),
    Route("GET", "/images/get", save),
    Route("GET", "/images/{image}/json", inspect),
    Route("GET", "/images/{image}/history", history),
    Route("POST", "/images/{image}/tag", tag),
    Route("POST", "/images/{image}/push", push),
    Route("GET", "/images/{image}/get", save_one),
    Route("DELETE", "/images/{image}", remove),
]
