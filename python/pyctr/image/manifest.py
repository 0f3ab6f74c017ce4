"""Manifests, indexes and platforms (OCI image-spec 1.1, Docker image manifest v2 schema 2)."""

from __future__ import annotations

from pyctr._core import json_loads
from pyctr.errors import CorruptData, InvalidArgument, NotFound
from pyctr.image.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANIFEST_MAX_BYTES = 4 << 20
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
INDEXES = frozenset((OCI_INDEX, DOCKER_INDEX))
LAYERS = frozenset(
    (
        OCI_LAYER,
        OCI_LAYER + "+gzip",
        OCI_LAYER + "+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    )
)
#: The same layer in OCI's words.
OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_LAYER + "+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": OCI_LAYER + "+zstd",
}
#: The layer of no change: an archive without entries.
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armv7l": "arm", "i386": "386", "i686": "386",
}  # fmt: skip
#: What Go calls them; a word alone that is neither one of these nor an operating system is no platform.
KNOWN_ARCHITECTURES = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "wasm")
)
SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd"))
_TEXT_MAX = 300


class Descriptor:
    """What points to content: media type, digest, size (image-spec, "OCI Content Descriptors")."""

    __slots__ = ("annotations", "digest", "media_type", "platform", "size")

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise CorruptData("read descriptor: not an object")
        digest, size = value.get("digest"), value.get("size")
        if not isinstance(digest, str) or not is_digest(digest):
            raise CorruptData(f"read descriptor: {clean(str(digest))!r} is not a sha256 digest")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise CorruptData(f"read descriptor {digest}: bad size")
        self.media_type = str(value.get("mediaType", ""))
        self.digest = digest
        self.size = size
        annotations = value.get("annotations")
        self.annotations: dict[str, str] = annotations if isinstance(annotations, dict) else {}
        platform = value.get("platform")
        self.platform: dict[str, Any] = platform if isinstance(platform, dict) else {}


class Manifest:
    """One image: its config and its layers, base first."""

    __slots__ = ("config", "layers")

    def __init__(self, config: Descriptor, layers: list[Descriptor]) -> None:
        self.config = config
        self.layers = layers


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object of bounded size. Raises CorruptData naming `what`."""
    if len(data) > MANIFEST_MAX_BYTES:
        raise CorruptData(f"read {what}: larger than {MANIFEST_MAX_BYTES} bytes")
    try:
        value = json_loads(data)
    except ValueError as error:
        raise CorruptData(f"read {what}: {error}") from None
    if not isinstance(value, dict):
        raise CorruptData(f"read {what}: not a JSON object")
    return value


def parse_manifest(data: bytes) -> Manifest:
    """An image manifest. Foreign and unknown layers are refused by their media type."""
    value = parse_json(data, "manifest")
    layers = value.get("layers")
    if not isinstance(layers, list):
        raise CorruptData("read manifest: no layers (schema 1 is not supported)")
    parsed = [Descriptor(layer) for layer in layers]
    for layer in parsed:
        if layer.media_type not in LAYERS:
            raise CorruptData(f"read manifest: layers of type {clean(layer.media_type)} are not supported")
    return Manifest(Descriptor(value.get("config")), parsed)


def parse_config(data: bytes) -> dict[str, Any]:
    """An image config; `rootfs.diff_ids` is checked."""
    value = parse_json(data, "image config")
    rootfs = value.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(item, str) and is_digest(item) for item in diff_ids):
        raise CorruptData("read image config: rootfs.diff_ids is missing or malformed")
    return value


def clean(text: str) -> str:
    """One line of printable text, of bounded length: what others say goes to a terminal."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _TEXT_MAX else line[: _TEXT_MAX - 1] + "…"


def host_platform() -> tuple[str, str, str]:
    """Operating system, architecture and variant of this machine, in OCI's words."""
    import os

    machine = os.uname().machine
    return "linux", ARCHITECTURES.get(machine, machine), "v8" if machine == "aarch64" else ""


def choose_platform(descriptors: list[Descriptor], wanted: tuple[str, str, str]) -> Descriptor:
    """The entry of an index that fits a platform best; names those there are if none does.

    An older variant runs on a newer machine, the nearest best: on arm/v7 also v6 and v5 (containerd platforms/compare.go).
    """
    fitting = [item for item in descriptors if fits_platform(item.platform, wanted)]
    if fitting:
        return min(fitting, key=lambda item: _variant_rank(item.platform.get("variant"), wanted) or 0)
    known = {platform_text(item.platform) for item in descriptors if item.platform.get("os") not in (None, "unknown")}
    text = "/".join(part for part in wanted if part)
    raise NotFound(f"no image for platform {text}; there is {', '.join(sorted(known)) or 'none'}")


def fits_platform(config: dict[str, Any], wanted: tuple[str, str, str]) -> bool:
    """Whether an image of this config, or what an index says of it, runs on a platform."""
    mine = (config.get("os"), config.get("architecture"))
    return mine == wanted[:2] and _variant_rank(config.get("variant"), wanted) is not None


#: What a missing variant means.
_DEFAULT_VARIANTS = {"arm": 7, "arm64": 8, "amd64": 1}


def _variant_rank(variant: Any, wanted: tuple[str, str, str]) -> int | None:
    """How far a variant is below the wanted one, 0 for the same; None if it does not run there."""
    if variant == wanted[2]:
        return 0
    default = _DEFAULT_VARIANTS.get(wanted[1], 0)
    mine, most = (_variant_number(str(text or ""), default) for text in (variant, wanted[2]))
    if mine is None or most is None:
        return None
    return most - mine if mine <= most else None


def _variant_number(text: str, default: int) -> int | None:
    digits = text.removeprefix("v")
    return default if not text else int(digits) if digits.isascii() and digits.isdigit() else None


def platform_text(platform: dict[str, Any]) -> str:
    """``linux/arm64/v8``."""
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return clean("/".join(str(part) for part in parts if part))


def parse_platform(text: str) -> tuple[str, str, str]:
    """``os/arch[/variant]``, or an architecture or operating system alone, as `--platform` takes it."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        if parts[0] not in SYSTEMS and parts[0] not in KNOWN_ARCHITECTURES | ARCHITECTURES.keys():
            raise InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')
        parts = [parts[0], host_platform()[1]] if parts[0] in SYSTEMS else ["linux", parts[0]]
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
    return parts[0], ARCHITECTURES.get(parts[1], parts[1]), parts[2] if len(parts) == 3 else ""
