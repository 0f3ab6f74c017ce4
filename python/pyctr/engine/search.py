"""Use cases that read a registry and change nothing: `search`, `manifest inspect`."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from pyctr.engine.transfer import connect, make_transport
from pyctr.errors import CorruptData, InvalidArgument, NotFound
from pyctr.image.manifest import INDEXES, MANIFEST_MAX_BYTES, OCI_MANIFEST, Descriptor, parse_json
from pyctr.image.reference import DEFAULT_DOMAIN, parse_reference
from pyctr.registry.transport import read_bounded

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.registry.client import Answer, Repository
    from pyctr.registry.search import Found

_FILTERS = frozenset(("is-official", "stars"))


def search(engine: Engine, term: str, *, limit: int = 25, filters: dict[str, list[str]] | None = None) -> list[Found]:
    """Repositories that match ``[HOST/]TERM``. Raises RegistryError, InvalidArgument."""
    from pyctr.registry.search import search

    filters = filters or {}
    unknown = filters.keys() - _FILTERS
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    stars = [_number(value) for value in filters.get("stars", [])]
    official = [_flag(value) for value in filters.get("is-official", [])]
    first, slash, rest = term.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry = connect(engine, first if has_host else DEFAULT_DOMAIN, pull=False)
    try:
        found = search(registry, rest if has_host else term, limit=limit)
    finally:
        registry.transport.close()
    return [
        item
        for item in found
        if all(item.stars >= least for least in stars) and all(item.is_official == wanted for wanted in official)
    ]


def _number(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise InvalidArgument(f"invalid filter 'stars={value}'")
    return int(value)


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise InvalidArgument(f"invalid filter 'is-official={value}'")
    return value.lower() in ("true", "1")


def inspect_manifest(engine: Engine, text: str, *, insecure: bool = False, verbose: bool = False) -> Any:
    """A manifest or index as its registry has it; `verbose` adds reference and descriptor of each image."""
    from pyctr.engine.transfer.pull import check_kind
    from pyctr.registry.client import Registry

    reference = parse_reference(text)
    transport = make_transport(engine)
    if insecure:
        transport.settings.insecure.append(reference.domain)
    try:
        repository = Registry(reference.domain, transport).repository(reference.path)
        try:
            answer = repository.manifest(reference.digest or reference.tag or "")
        except NotFound:
            raise NotFound(f"no such manifest: {reference.familiar}") from None
        kind = check_kind(answer)
        value = parse_json(answer.data, "manifest")
        if not verbose:
            return value
        if kind not in INDEXES:
            return _entry(str(reference), answer, value, kind, _platform(repository, value))
        entries = []
        for descriptor in map(Descriptor, value["manifests"]):
            found = repository.manifest(descriptor.digest, size=min(descriptor.size, MANIFEST_MAX_BYTES))
            inner = parse_json(found.data, "manifest")
            name = f"{reference.name}@{descriptor.digest}"
            entries.append(_entry(name, found, inner, descriptor.media_type, descriptor.platform))
        return entries
    finally:
        transport.close()


def _platform(repository: Repository, value: Any) -> dict[str, Any]:
    """What an image says of itself that is in no index."""
    descriptor = Descriptor(value.get("config"))
    response, _ = repository.open_blob(descriptor.digest)
    data = read_bounded(response, min(descriptor.size, MANIFEST_MAX_BYTES), f"image config {descriptor.digest}")
    if "sha256:" + hashlib.sha256(data).hexdigest() != descriptor.digest:
        raise CorruptData(f"verify image config {descriptor.digest}: its content does not have this digest")
    config = parse_json(data, "image config")
    return {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}


def _entry(name: str, answer: Answer, value: Any, kind: str, platform: dict[str, Any]) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"mediaType": kind, "digest": answer.digest, "size": len(answer.data)}
    if platform:
        descriptor["platform"] = platform
    field = "OCIManifest" if kind == OCI_MANIFEST else "SchemaV2Manifest"
    return {"Ref": name, "Descriptor": descriptor, "Raw": base64.b64encode(answer.data).decode(), field: value}
