"""`image inspect` and `history`, in Docker's form."""

from __future__ import annotations

from pyctr.engine.images.remove import whole
from pyctr.errors import NotFound
from pyctr.image.manifest import parse_platform, platform_text
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.store import Image, Store


#: What Docker shows of a run configuration that says nothing of it (moby api/types/container.Config).
_CONFIG: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip


def inspect_image(store: Store, reference: str, *, platform: str | None = None) -> dict[str, Any]:
    """An image as `docker image inspect` shows it. Raises NotFound, also for another platform than the image's."""
    image = whole(store, reference)
    config = image.config
    check_platform(image, reference, platform)
    paths = image.layer_paths()
    data = {"LowerDir": ":".join(paths[1:]), "UpperDir": paths[0]} if paths else {}
    history = config.get("history") or [{}]
    return {
        "Id": image.id,
        "RepoTags": [parse_reference(name).familiar for name in image.names if parse_reference(name).tag],
        "RepoDigests": sorted(
            {f"{parse_reference(name).familiar_name}@{digest}" for name, digest in image.digests.items()}
        ),
        "Parent": "",
        "Comment": config.get("comment") or history[-1].get("comment", ""),
        "Created": config.get("created"),
        "DockerVersion": config.get("docker_version", ""),
        "Author": config.get("author", ""),
        "Config": {**_CONFIG, **(config.get("config") or {})},
        "Architecture": config.get("architecture"),
        **({"Variant": config["variant"]} if config.get("variant") else {}),
        "Os": config.get("os"),
        **({"OsVersion": config["os.version"]} if config.get("os.version") else {}),
        "Size": image.size,
        "GraphDriver": {"Data": {key: value for key, value in data.items() if value}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", **({"Layers": image.layers} if image.layers else {})},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Descriptor": _descriptor(store, image),
    }


def _descriptor(store: Store, image: Image) -> dict[str, Any]:
    from pyctr.image.manifest import OCI_MANIFEST, parse_json

    data = store.read_blob(image.manifest_digest)
    kind = parse_json(data, "manifest").get("mediaType") or OCI_MANIFEST
    return {"mediaType": kind, "digest": image.manifest_digest, "size": len(data)}


def check_platform(image: Image, reference: str, platform: str | None) -> None:
    """Raise NotFound unless the image is for this platform."""
    if not platform:
        return
    config = image.config
    wanted = parse_platform(platform)
    found = (config.get("os"), config.get("architecture"), config.get("variant") or "")
    if found[:2] != wanted[:2] or (wanted[2] and found[2] and found[2] != wanted[2]):
        raise NotFound(
            f"image with reference {reference} was found but does not provide the specified platform "
            f"({'/'.join(part for part in wanted if part)})",
            hint=f"it is for {platform_text(config)}",
        )


def image_history(store: Store, reference: str, *, platform: str | None = None) -> list[dict[str, Any]]:
    """The steps an image was made by, newest first: created, created_by, size, comment, id, tags."""
    image = whole(store, reference)
    check_platform(image, reference, platform)
    layers = iter(image.layers)
    steps: list[dict[str, Any]] = []
    for step in image.config.get("history") or [{} for _ in image.layers]:
        size = 0 if step.get("empty_layer") else store.layer_size(next(layers, "sha256:"))
        steps.append(
            {
                "id": "<missing>",
                "created": step.get("created", ""),
                "created_by": step.get("created_by", ""),
                "size": size,
                "comment": step.get("comment", ""),
                "tags": [],
            }
        )
    steps.reverse()
    if steps:
        steps[0]["id"] = image.id
        steps[0]["tags"] = [parse_reference(name).familiar for name in image.names]
    return steps
