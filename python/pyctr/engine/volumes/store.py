"""Volumes on disk: ``volumes/<name>/`` with ``_data`` and ``volume.json``; two who make one name at once share it.

What is half done is never taken for whole: a volume is one when its volume.json is there, its content is copied beside
``_data`` and renamed over it, and it goes out of sight before it is taken apart.
"""

from __future__ import annotations

import os

from pyctr._core import copy_directory, json_dumps, json_loads, remove_tree, write_atomic
from pyctr.engine import times
from pyctr.engine.containers.events import write_entry
from pyctr.errors import CorruptData, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

#: The label Docker marks anonymous volumes with.
ANONYMOUS_LABEL = "com.docker.volume.anonymous"


def create_volume(
    store: Store, name: str, labels: dict[str, str] | None = None, options: dict[str, str] | None = None
) -> bool:
    """Make a volume unless it is there; whether it was made. Each step can be taken again by whoever comes next."""
    directory = f"{store.volumes_dir}/{name}"
    if os.path.isdir(directory + "/_data") and os.path.exists(directory + "/volume.json"):
        return False
    os.makedirs(directory, 0o710, exist_ok=True)  # root's programs in there are the containers' alone
    os.makedirs(directory + "/_data", 0o755, exist_ok=True)
    content = {"Name": name, "Driver": "local", "Labels": labels, "Options": options, "CreatedAt": times.now()}
    write_atomic(directory + "/volume.json", json_dumps(content), mode=0o644)
    write_entry(store.root, "volume", "create", name, {"driver": "local"})
    return True


def read_volume(store: Store, name: str) -> dict[str, Any]:
    """A volume's volume.json. Raises NotFound, CorruptData."""
    path = f"{store.volumes_dir}/{name}/volume.json"
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"get {name}: no such volume") from None
    try:
        content: dict[str, Any] = json_loads(data)
    except ValueError as error:
        raise CorruptData(f"{path}: {error}") from None
    return content


def volume_names(store: Store) -> list[str]:
    """The names of all volumes, sorted."""
    try:
        names = os.listdir(store.volumes_dir)
    except FileNotFoundError:
        return []
    return sorted(
        name for name in names if name[0] != "." and os.path.exists(f"{store.volumes_dir}/{name}/volume.json")
    )


def make_volumes(store: Store, record: dict[str, Any], lower: list[str]) -> None:
    """Create the volumes a record names; an empty one gets what the image has at its place (unless ``nocopy``)."""
    anonymous = record["Pyctr"]["anonymous_volumes"]
    keep_empty = without_copy(record["HostConfig"])
    options: dict[str, Any] = {}
    for point in record["Mounts"]:
        if point["Type"] != "volume":
            continue
        name, target = point["Name"], point["Destination"]
        labels = {ANONYMOUS_LABEL: ""} if name in anonymous else label_of(record["HostConfig"], target)
        asked = driver_options(record["HostConfig"], target)
        made = create_volume(store, name, labels, asked)
        given = asked if made else read_volume(store, name)["Options"]
        if given:
            options[name] = given
        elif target not in keep_empty and not os.listdir(point["Source"]):
            fill(store, point, lower, fresh=made)
    if options:
        record["Pyctr"]["volume_options"] = options


def without_copy(host_config: dict[str, Any]) -> set[str]:
    """Targets whose volume stays empty: ``:nocopy``, ``volume-nocopy``."""
    targets = {
        mount["Target"] for mount in host_config.get("Mounts") or () if mount.get("VolumeOptions", {}).get("NoCopy")
    }
    for text in host_config["Binds"] or ():
        _, target, *modes = text.split(":")
        if modes and "nocopy" in modes[0].split(","):
            targets.add(target)
    return targets


def label_of(host_config: dict[str, Any], target: str) -> dict[str, str] | None:
    """``volume-label`` of --mount."""
    for mount in host_config.get("Mounts") or ():
        if mount["Target"] == target:
            labels: dict[str, str] | None = mount.get("VolumeOptions", {}).get("Labels")
            return labels
    return None


def driver_options(host_config: dict[str, Any], target: str) -> dict[str, str] | None:
    """``volume-opt`` of --mount."""
    for mount in host_config.get("Mounts") or ():
        if mount["Target"] == target:
            options: dict[str, str] | None = mount.get("VolumeOptions", {}).get("DriverConfig", {}).get("Options")
            return options
    return None


def fill(store: Store, point: dict[str, Any], lower: list[str], *, fresh: bool) -> None:
    """Copy what the image has at a volume's place into it, whole or not at all.

    One that another container may be using stays the directory it is: what is copied there is seen as it comes.
    """
    data, target = point["Source"], point["Destination"]
    if not fresh and volume_users(store, point["Name"]):
        copy_directory(lower, target, data)
        return
    draft = f"{store.volumes_dir}/{point['Name']}/.filling-{os.urandom(8).hex()}"
    os.mkdir(draft, 0o755)
    try:
        if copy_directory(lower, target, draft):
            os.rename(draft, data)
    except OSError:  # somebody else filled it meanwhile: not empty any more
        if not os.listdir(data):
            raise
    finally:
        remove_tree(draft)


def volume_users(store: Store, name: str) -> list[str]:
    """The ids of the containers that mount a volume."""
    return [
        container_id
        for container_id, record in store.records()
        if any(point.get("Name") == name for point in record["Mounts"])
    ]


def remove_volume(store: Store, name: str) -> None:
    """Remove a volume's directory, out of sight first; sweeps up what a killed remover left."""
    try:
        os.rename(f"{store.volumes_dir}/{name}", f"{store.volumes_dir}/.{name}.old")
    except FileNotFoundError:
        return
    write_entry(store.root, "volume", "destroy", name, {"driver": "local"})
    for entry in os.listdir(store.volumes_dir):
        if entry[0] == "." and entry.endswith(".old"):
            remove_tree(f"{store.volumes_dir}/{entry}")
