"""What takes how much of the disk, in the shape of Docker's API (`GET /system/df`); sizes in bytes."""

from __future__ import annotations

from collections import Counter

from pyctr.engine import times
from pyctr.engine.containers.listing import tree_size
from pyctr.engine.images.remove import records
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.image.store import Image


def disk_usage(engine: Engine) -> dict[str, Any]:
    """LayersSize, Images, Containers, Volumes, BuildCache."""
    images = engine.image_store.images()
    shared = Counter(layer for image in images for layer in dict.fromkeys(image.layers))
    sizes = {layer: engine.image_store.layer_size(layer) for layer in shared}
    users = Counter(record.get("Image") for record in records(engine))
    return {
        "LayersSize": sum(sizes.values()),
        "Images": [_image(image, users[image.id], shared, sizes) for image in images],
        "Containers": _containers(engine),
        "Volumes": _volumes(engine),
        "BuildCache": _build_cache(engine),
    }


def _image(image: Image, users: int, shared: Counter[str], sizes: dict[str, int]) -> dict[str, Any]:
    layers = dict.fromkeys(image.layers)
    created = str(image.config.get("created") or "")
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": [reference.familiar for reference in map(parse_reference, image.names) if reference.tag],
        "RepoDigests": [f"{parse_reference(name).familiar_name}@{digest}" for name, digest in image.digests.items()],
        "Created": times.parse_time(created) // 1_000_000_000 if created else 0,
        "Size": sum(sizes[layer] for layer in layers),
        "SharedSize": sum(sizes[layer] for layer in layers if shared[layer] > 1),
        "Labels": (image.config.get("config") or {}).get("Labels"),
        "Containers": users,
    }


def _containers(engine: Engine) -> list[dict[str, Any]]:
    return [
        {
            "Id": item.id,
            "Names": ["/" + name for name in item.names],
            "Image": item.image,
            "ImageID": item.record["Image"],
            "Command": item.command,
            "Created": item.created_s,
            "State": item.state,
            "Status": item.status,
            "SizeRw": item.size[0] if item.size else 0,
            "SizeRootFs": item.size[1] if item.size else 0,
            "Labels": item.labels or {},
            "Mounts": item.record["Mounts"],
        }
        for item in engine.containers.list(all=True, size=True)
    ]


def _volumes(engine: Engine) -> list[dict[str, Any]]:
    users = Counter(
        point.get("Name")
        for record in records(engine)
        for point in record.get("Mounts") or ()
        if point.get("Type") == "volume"
    )
    return [
        {**volume, "UsageData": {"Size": tree_size(volume["Mountpoint"], set()), "RefCount": users[volume["Name"]]}}
        for volume in engine.volumes.list()
    ]


def _build_cache(engine: Engine) -> list[dict[str, Any]]:
    from pyctr.engine.build.usage import cache_records

    return cache_records(engine)
