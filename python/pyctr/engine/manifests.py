"""Use cases of manifest lists: make one of images that are at their registry, change it, push it, look at it.

Nothing of this touches the images here: a list says which image of a registry is for which platform.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from pyctr.engine.transfer import connect, silent
from pyctr.errors import Conflict, InvalidArgument, NotFound, RegistryError
from pyctr.image.manifest import INDEXES, MANIFEST_MAX_BYTES, OCI_MANIFEST, Descriptor, parse_json, parse_manifest
from pyctr.image.manifest_lists import PLATFORM_FIELDS, ManifestLists, order_platform, render_index
from pyctr.image.reference import parse_reference

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.transfer import Report
    from pyctr.image.manifest_lists import Entry
    from pyctr.image.reference import Reference
    from pyctr.registry.client import Answer, Repository
    from pyctr.registry.upload import Uploader

#: What `annotate` may say a manifest is for: operating system → architectures (those of Docker's client).
_PLATFORMS = {
    "darwin": ("386", "amd64", "arm", "arm64"),
    "dragonfly": ("amd64",),
    "freebsd": ("386", "amd64", "arm"),
    "linux": ("386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"),
    "netbsd": ("386", "amd64", "arm"),
    "openbsd": ("386", "amd64", "arm"),
    "plan9": ("386", "amd64"),
    "solaris": ("amd64",),
    "windows": ("386", "amd64"),
}


def create(engine: Engine, name: str, images: list[str], *, amend: bool = False, insecure: bool = False) -> Reference:
    """Make a list of images that are at registries, or with `amend` add them to it. Raises Conflict, NotFound."""
    target = _parse_list_name(name)
    lists = ManifestLists(engine.root)
    if not amend:
        _refuse_existing(lists, target)
    added = [_fetch_entry(engine, parse_reference(image), insecure=insecure) for image in images]
    with lists.changing():
        if not amend:
            _refuse_existing(lists, target)
        lists.write(str(target), [*(lists.read(str(target)) or []), *added])
    return target


def _refuse_existing(lists: ManifestLists, target: Reference) -> None:
    if lists.read(str(target)) is not None:
        raise Conflict("refusing to amend an existing manifest list with no --amend flag")


def _parse_list_name(name: str) -> Reference:
    try:
        return parse_reference(name)
    except InvalidArgument as error:
        raise InvalidArgument(f"error parsing name for manifest list {name}: {error}") from None


def annotate(
    engine: Engine,
    name: str,
    image: str,
    *,
    os: str = "",
    arch: str = "",
    variant: str = "",
    os_version: str = "",
    os_features: list[str] | None = None,
) -> None:
    """Say what an image of a list is for; what is empty stays as it is. Raises NotFound, InvalidArgument."""
    try:
        target = _parse_list_name(name)
        try:
            member = str(parse_reference(image))
        except InvalidArgument as error:
            raise InvalidArgument(f"error parsing name for manifest {image}: {error}") from None
    except InvalidArgument as error:
        raise InvalidArgument(f"annotate: {error}") from None
    lists = ManifestLists(engine.root)
    with lists.changing():
        entries = lists.read(str(target)) or []
        entry = next((item for item in entries if item["Ref"] == member), None)
        if entry is None:
            raise NotFound(f"manifest for image {image} does not exist in {name}")
        platform = dict(entry["Descriptor"].get("platform", {}))
        given = {"os": os, "architecture": arch, "variant": variant, "os.version": os_version}
        platform |= {key: value for key, value in given.items() if value}
        if os_features:
            platform["os.features"] = list(dict.fromkeys([*platform.get("os.features", []), *os_features]))
        if platform.get("architecture") not in _PLATFORMS.get(platform.get("os", ""), ()):
            raise InvalidArgument(f"manifest entry for image has unsupported os/arch combination: {os}/{arch}")
        entry["Descriptor"]["platform"] = order_platform(platform)
        lists.write(str(target), entries)


def remove(engine: Engine, name: str) -> None:
    """Forget a list. Raises NotFound."""
    target = parse_reference(name)
    lists = ManifestLists(engine.root)
    with lists.changing():
        if not lists.remove(str(target)):
            raise NotFound(f"No such manifest: {target}")


def push(engine: Engine, name: str, *, purge: bool = False, insecure: bool = False, report: Report = silent) -> str:
    """Push a list, and what its images lack in its repository; the index's digest. `purge` forgets the list then.

    Raises NotFound, InvalidArgument, RegistryError.
    """
    from pyctr.registry.upload import Uploader

    target = parse_reference(name)
    lists = ManifestLists(engine.root)
    entries = lists.read(str(target))
    if not entries:
        raise NotFound(f"No such manifest: {target}")
    for entry in entries:
        _check_pushable(entry, target)
    registry = connect(engine, target.domain, pull=False, insecure=insecure)
    try:
        uploader = Uploader(registry.repository(target.path))
        for entry in entries:
            _push_image(uploader, entry, target, report)
        digest = uploader.put_manifest(target.digest or target.tag or "", *render_index(entries))
    finally:
        registry.transport.close()
    if purge:
        with lists.changing():
            lists.remove(str(target))
    return digest


def _check_pushable(entry: Entry, target: Reference) -> None:
    source = parse_reference(entry["Ref"])
    if source.domain != target.domain:
        raise InvalidArgument(
            f"cannot use source images from a different registry than the target image: {source.domain} != {target.domain}"
        )
    platform = entry["Descriptor"].get("platform", {})
    if not platform.get("os") or not platform.get("architecture"):
        raise InvalidArgument(f"manifest {source} must have an OS and Architecture to be pushed to a registry")


def _push_image(uploader: Uploader, entry: Entry, target: Reference, report: Report) -> None:
    """Let an image of another repository be one of the list's own: its blobs are mounted, its manifest sent."""
    source = parse_reference(entry["Ref"])
    if source.path == target.path:
        return
    data = base64.b64decode(entry["Raw"])
    manifest = parse_manifest(data)
    for blob in (*manifest.layers, manifest.config):
        if not uploader.repository.has_blob(blob.digest) and not uploader.mount(blob.digest, source.path):
            raise RegistryError(f"push {target}: blob {blob.digest} cannot be mounted from {source.path}")
    digest = uploader.put_manifest(entry["Descriptor"]["digest"], data, entry["Descriptor"]["mediaType"])
    report(f"Pushed ref {target.name}@{digest} with digest: {digest}")


def inspect(engine: Engine, name: str, *, member_of: str = "", insecure: bool = False, verbose: bool = False) -> Any:
    """A list that is here, an entry of one (`member_of`), or a manifest or index as its registry has it.

    `verbose` adds reference and descriptor of each image. Raises NotFound.
    """
    reference = parse_reference(name)
    lists = ManifestLists(engine.root)
    if member_of:
        entries = lists.read(str(parse_reference(member_of))) or []
        entry = next((item for item in entries if item["Ref"] == str(reference)), None)
        if entry is None:
            raise NotFound(f"No such manifest: {reference}")
        return entry if verbose else _manifest_of(entry)
    found = lists.read(str(reference))
    if found is None:
        return _inspect_at_registry(engine, reference, insecure=insecure, verbose=verbose)
    return found if verbose else parse_json(render_index(found)[0], "index")


def _manifest_of(entry: Entry) -> Any:
    return entry.get("OCIManifest") or entry.get("SchemaV2Manifest")


def _inspect_at_registry(engine: Engine, reference: Reference, *, insecure: bool, verbose: bool) -> Any:
    from pyctr.engine.transfer.pull import check_kind

    registry = connect(engine, reference.domain, pull=True, insecure=insecure)
    try:
        repository = registry.repository(reference.path)
        answer = _fetch_manifest(repository, reference)
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
        registry.transport.close()


def _fetch_entry(engine: Engine, reference: Reference, *, insecure: bool) -> Entry:
    """An image at its registry. Raises NotFound, InvalidArgument for what is itself a list."""
    from pyctr.engine.transfer.pull import check_kind

    registry = connect(engine, reference.domain, pull=True, insecure=insecure)
    try:
        repository = registry.repository(reference.path)
        answer = _fetch_manifest(repository, reference)
        kind = check_kind(answer)
        if kind in INDEXES:
            raise InvalidArgument(f"{reference} is a manifest list")
        value = parse_json(answer.data, "manifest")
        return _entry(str(reference), answer, value, kind, _platform(repository, value))
    finally:
        registry.transport.close()


def _fetch_manifest(repository: Repository, reference: Reference) -> Answer:
    try:
        return repository.manifest(reference.digest or reference.tag or "")
    except NotFound:
        raise NotFound(f"no such manifest: {reference.familiar}") from None


def _platform(repository: Repository, value: Any) -> dict[str, Any]:
    """What an image says of itself that is in no index."""
    config = parse_json(repository.small_blob(Descriptor(value.get("config")), "image config"), "image config")
    return {key: config[key] for key in PLATFORM_FIELDS if config.get(key)}


def _entry(name: str, answer: Answer, value: Any, kind: str, platform: dict[str, Any]) -> Entry:
    descriptor: dict[str, Any] = {"mediaType": kind, "digest": answer.digest, "size": len(answer.data)}
    if platform:
        descriptor["platform"] = platform
    field = "OCIManifest" if kind == OCI_MANIFEST else "SchemaV2Manifest"
    return {"Ref": name, "Descriptor": descriptor, "Raw": base64.b64encode(answer.data).decode(), field: value}
