"""`pull`: from a name to an image in the store. A name leads to the new image at the very end, or to the old one still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.engine.images.events import write_transfer
from pyctr.engine.transfer import connect, silent
from pyctr.engine.transfer.layers import LayerPuller
from pyctr.engine.transfer.partial import sweep_drafts
from pyctr.errors import CorruptData, InvalidArgument, NotFound, RegistryError
from pyctr.image import settle, write
from pyctr.image.manifest import (
    INDEXES,
    MANIFEST_MAX_BYTES,
    MANIFESTS,
    Descriptor,
    choose_platform,
    clean,
    fits_platform,
    host_platform,
    parse_config,
    parse_json,
    parse_manifest,
    parse_platform,
    platform_text,
)
from pyctr.image.reference import Reference, parse_reference
from pyctr.registry.client import SCHEMA_1

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.transfer import Report
    from pyctr.image.manifest import Manifest
    from pyctr.image.store import Store
    from pyctr.registry.client import Answer, Repository

    Platform = tuple[str, str, str]

_NESTING_MAX = 4
_FOREIGN = ("foreign", "nondistributable")
_CONFIGS = frozenset(("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", ""))


class Pulled:
    """What a pull brought: `digest` is of what the name leads to at the registry, an index perhaps."""

    __slots__ = ("digest", "id", "is_new", "name")

    def __init__(self, name: str, id: str, digest: str, *, is_new: bool) -> None:
        self.name = name
        self.id = id
        self.digest = digest
        self.is_new = is_new


def pull(
    engine: Engine, text: str, *, platform: str = "", all_tags: bool = False, report: Report = silent
) -> list[Pulled]:
    """Pull an image, or with `all_tags` every tag of a repository.

    Raises NotFound, RegistryError, CorruptData, KernelError; the store is then as before, but for partial blobs.
    """
    reference = parse_reference(text)
    if all_tags and (reference.digest or ":" in text.rpartition("/")[2]):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    wanted = parse_platform(platform) if platform else None
    registry = connect(engine, reference.domain, pull=True)
    repository = registry.repository(reference.path)
    try:
        references = [reference]
        if all_tags:
            references = [Reference(reference.domain, reference.path, tag, None) for tag in sorted(repository.tags())]
        pulled = [Pull(engine, repository, item, wanted, report).run() for item in references]
        write_transfer(engine, "pull", references[0], all_tags=all_tags)
    finally:
        registry.transport.close()
    status = "Downloaded newer image" if any(item.is_new for item in pulled) else "Image is up to date"
    report(f"Status: {status} for {reference.familiar_name if all_tags else reference.familiar}")
    if engine.settles_afterwards:
        settle.settle_afterwards(engine.image_store)
    return pulled


class Pull:
    """One image on its way."""

    def __init__(
        self, engine: Engine, repository: Repository, reference: Reference, platform: Platform | None, report: Report
    ) -> None:
        self.engine = engine
        self.store: Store = engine.image_store
        self.repository = repository
        self.reference = reference
        self.platform = platform
        self.report = report

    def run(self) -> Pulled:
        """Manifest, config, layers, and then the name."""
        reference = self.reference
        asked = reference.digest or reference.tag or ""
        answer = self.repository.manifest(asked)
        self.report(f"Pulling from {reference.path}", asked)
        # From here on by digest: a tag that moves meanwhile changes nothing.
        chosen = self._choose(answer, 0)
        manifest = parse_manifest(chosen.data)
        name = str(reference)
        with write.adding(self.store):
            sweep_drafts(self.store)
            before = self.store._read_ref(self.store.ref_path(name))
            config = self._config(manifest)
            self._check_platform(config)
            diff_ids: list[str] = config["rootfs"]["diff_ids"]
            if len(diff_ids) != len(manifest.layers):
                raise CorruptData(
                    f"read image: {len(manifest.layers)} layers, but the config has {len(diff_ids)} diff ids"
                )
            settings = self.engine.config
            puller = LayerPuller(
                self.store, self.repository, self.report,
                downloads=settings.max_concurrent_downloads, attempts=settings.max_download_attempts,
            )  # fmt: skip
            is_here = any(entry["config"] == manifest.config.digest for entry in self.store.entries())
            puller.pull(list(zip(manifest.layers, diff_ids, strict=True)), tell_present=not is_here)
            write.put_blob(self.store, chosen.data)
            if not self.engine.settles_afterwards:
                settle.settle(self.store)
            elif any("unsynced" in (settle.facts_of(self.store, item) or ()) for item in diff_ids):
                settle.announce(self.store)
            write.name_image(self.store, manifest.config.digest, chosen.digest, name, digest=answer.digest)
        is_new = before is None or (before["manifest"], before["config"]) != (chosen.digest, manifest.config.digest)
        self.report(f"Digest: {answer.digest}")
        return Pulled(name, manifest.config.digest, answer.digest, is_new=is_new)

    def _choose(self, answer: Answer, depth: int) -> Answer:
        """The manifest for the platform, through indexes in indexes."""
        kind = check_kind(answer)
        if kind in MANIFESTS:
            return answer
        if depth >= _NESTING_MAX:
            raise CorruptData(f"read {answer.digest}: indexes nest too deep")
        entries = parse_json(answer.data, "index").get("manifests")
        if not isinstance(entries, list):
            raise CorruptData(f"read {answer.digest}: no manifests")
        found = choose_platform([Descriptor(entry) for entry in entries], self.platform or host_platform())
        if found.size > MANIFEST_MAX_BYTES:
            raise CorruptData(f"read manifest {found.digest}: larger than {MANIFEST_MAX_BYTES} bytes")
        return self._choose(self.repository.manifest(found.digest, size=found.size), depth + 1)

    def _config(self, manifest: Manifest) -> dict[str, Any]:
        """The image's config, small and verified, into the store."""
        descriptor = manifest.config
        if descriptor.media_type not in _CONFIGS:
            raise RegistryError(
                f"{self.reference.familiar} is not an image: its config is {clean(descriptor.media_type)}"
            )
        if self.store.has_blob(descriptor.digest):
            data = self.store.read_blob(descriptor.digest)
            if _digest(data) == descriptor.digest:
                return parse_config(data)
        data = self.repository.small_blob(descriptor, "image config")
        config = parse_config(data)
        write.put_blob(self.store, data)
        return config

    def _check_platform(self, config: dict[str, Any]) -> None:
        """An image that is no index is for one platform; another one that was asked for is refused."""
        if self.platform is None or fits_platform(config, self.platform):
            return
        wanted = "/".join(part for part in self.platform if part)
        raise NotFound(
            f"image with reference {self.reference.familiar} was found but does not match the specified platform: "
            f"wanted {wanted}, actual: {platform_text(config)}"
        )


def _digest(data: bytes) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_kind(answer: Answer) -> str:
    """What a manifest is. The header and the content must not contradict each other (CVE-2021-41190).

    Raises RegistryError for what is neither an image nor an index.
    """
    header = answer.media_type
    if header.startswith(SCHEMA_1[:-5]):
        raise RegistryError(
            "Docker Image manifest version 2, schema 1 is not supported",
            hint="push the image again with a current tool",
        )
    if (
        header
        and header not in MANIFESTS | INDEXES
        and header not in ("application/json", "text/plain", "application/octet-stream")
    ):
        raise RegistryError(f"unsupported manifest media type: {clean(header)}")
    value = parse_json(answer.data, f"manifest {answer.digest}")
    if value.get("schemaVersion") == 1:
        raise RegistryError(
            "Docker Image manifest version 2, schema 1 is not supported",
            hint="push the image again with a current tool",
        )
    said = value.get("mediaType")
    known = header if header in MANIFESTS | INDEXES else ""
    if said and known and said != known:
        raise CorruptData(f"read manifest {answer.digest}: it says {clean(str(said))}, the registry {known}")
    if "manifests" in value and ("layers" in value or "config" in value):
        raise CorruptData(f"read manifest {answer.digest}: both an image and an index")
    kind = known or str(said or "")
    if kind not in MANIFESTS | INDEXES:
        kind = _guess(value)
    if not kind:
        raise RegistryError(f"unsupported manifest media type: {clean(str(said or header)) or 'none'}")
    _refuse_foreign(value)
    return kind


def _guess(value: dict[str, Any]) -> str:
    """The OCI specification leaves mediaType optional: what it looks like."""
    from pyctr.image.manifest import OCI_INDEX, OCI_MANIFEST

    if value.get("mediaType"):
        return ""
    return OCI_MANIFEST if "layers" in value else OCI_INDEX if "manifests" in value else ""


def _refuse_foreign(value: dict[str, Any]) -> None:
    layers = value.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        kind = str(layer.get("mediaType", "")) if isinstance(layer, dict) else ""
        if any(word in kind for word in _FOREIGN):
            raise RegistryError(
                f"the image has foreign layers ({clean(kind)}): only their vendor may distribute them; not supported"
            )
