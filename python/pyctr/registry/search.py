"""Searching: Docker Hub's search (registry API version 1), or the catalogue of a registry that has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pyctr.errors import RegistryError
from pyctr.image.manifest import clean
from pyctr.image.reference import DEFAULT_DOMAIN
from pyctr.registry.client import pages
from pyctr.registry.hosts import Endpoint
from pyctr.registry.transport import Refused, read_bounded, refusal

if TYPE_CHECKING:
    from typing import Any

    from pyctr.registry.client import Registry

_ANSWER_MAX_BYTES = 4 << 20
_HUB_SEARCH = Endpoint("https", "index.docker.io")


class Found:
    """One repository."""

    __slots__ = ("description", "is_official", "name", "stars")

    def __init__(self, name: str, description: str = "", stars: int = 0, *, is_official: bool = False) -> None:
        self.name = name
        self.description = description
        self.stars = stars
        self.is_official = is_official


def search(registry: Registry, term: str, *, limit: int) -> list[Found]:
    """Repositories whose names have `term` in them, the most starred first. Raises RegistryError."""
    path = "/v1/search?" + urlencode({"q": term, "n": limit})
    if registry.domain == DEFAULT_DOMAIN:
        return _search_v1(registry, _HUB_SEARCH, path, limit)
    endpoint = registry.endpoints()[-1]
    try:
        return _search_v1(registry, endpoint, path, limit)
    except Refused as error:
        if error.status != 404:
            raise
    found = []
    for name in pages(registry, "/v2/_catalog?n=1000", ("registry:catalog:*",), "repositories"):
        if term in name:
            found.append(Found(clean(name)))
            if len(found) >= limit:
                break
    return found


def _search_v1(registry: Registry, endpoint: Endpoint, path: str, limit: int) -> list[Found]:
    response = registry.send(endpoint, "GET", endpoint.url + path, ())
    if response.status != 200:
        raise refusal("GET", endpoint.url + path, response)
    try:
        results = json.loads(read_bounded(response, _ANSWER_MAX_BYTES, "search results"))["results"]
        found = [_read(entry) for entry in results]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"search {registry.domain}: malformed answer") from None
    found.sort(key=lambda item: item.stars, reverse=True)
    return found[:limit]


def _read(entry: dict[str, Any]) -> Found:
    return Found(
        clean(str(entry["name"])), clean(str(entry.get("description") or "")), int(entry.get("star_count") or 0),
        is_official=bool(entry.get("is_official")),
    )  # fmt: skip
