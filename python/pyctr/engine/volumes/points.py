"""Which volumes, directories and tmpfs a container mounts where: the record's Mounts. Pure but for random names."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store


def anonymous_name() -> str:
    """64 hexadecimal digits, as Docker's."""
    return os.urandom(32).hex()


def plan_mount_points(
    config: dict[str, Any], host_config: dict[str, Any], taken: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The record's Mounts: --volumes-from (`taken`), -v, --mount, then the anonymous ones of -v and of the image.

    Pure: a volume's Source is filled in when it is made; an anonymous one has no Name yet.
    """
    points: dict[str, dict[str, Any]] = {point["Destination"]: point for point in taken}
    for text in host_config["Binds"] or ():
        source, target, *rest = text.split(":")
        words = rest[0].split(",") if rest else []
        points[target] = mount_point(source, target, words)
    for mount in host_config.get("Mounts") or ():
        points[mount["Target"]] = point_of_mount(mount)
    tmpfs = host_config.get("Tmpfs") or {}
    for target in config["Volumes"] or ():
        if target not in points and target not in tmpfs:
            points[target] = volume_point("", target, "", writable=True)
    return list(points.values())


def mount_point(source: str, target: str, words: list[str]) -> dict[str, Any]:
    """One -v."""
    writable = "ro" not in words
    if not source.startswith("/"):
        return volume_point(source, target, ",".join(words) or "z", writable=writable)
    propagation = next((word for word in words if word.lstrip("r") in ("shared", "slave", "private")), "rprivate")
    return bind_point(source, target, ",".join(words), propagation, writable=writable)


def point_of_mount(mount: dict[str, Any]) -> dict[str, Any]:
    """One --mount."""
    target, writable = mount["Target"], not mount.get("ReadOnly", False)
    if mount["Type"] == "volume":
        return volume_point(mount.get("Source", ""), target, "z", writable=writable)
    if mount["Type"] == "tmpfs":
        return {"Type": "tmpfs", "Source": "", "Destination": target, "Mode": "", "RW": writable, "Propagation": ""}
    options = mount.get("BindOptions", {})
    return bind_point(mount["Source"], target, "", options.get("Propagation") or "rprivate", writable=writable)


def bind_point(source: str, target: str, mode: str, propagation: str, *, writable: bool) -> dict[str, Any]:
    """A bind in the record's form."""
    return {
        "Type": "bind",
        "Source": source,
        "Destination": target,
        "Mode": mode,
        "RW": writable,
        "Propagation": propagation,
    }


def volume_point(name: str, target: str, mode: str, *, writable: bool) -> dict[str, Any]:
    """A volume in the record's form."""
    return {
        "Type": "volume",
        "Name": name,
        "Source": "",
        "Destination": target,
        "Driver": "local",
        "Mode": mode,
        "RW": writable,
        "Propagation": "",
    }


def name_volumes(store: Store, points: list[dict[str, Any]]) -> list[str]:
    """Fill in Name and Source of a record's volumes; returns the names of the anonymous ones."""
    anonymous: list[str] = []
    for point in points:
        if point["Type"] == "volume" and not point["Source"]:
            if not point["Name"]:
                point["Name"] = anonymous_name()
                anonymous.append(point["Name"])
            point["Source"] = f"{store.volumes_dir}/{point['Name']}/_data"
    return anonymous
