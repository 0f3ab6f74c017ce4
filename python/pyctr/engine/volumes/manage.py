"""What is done to volumes by name (moby volume/service, volume/local)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyctr.engine.containers.listing import tree_size
from pyctr.engine.volumes.points import anonymous_name
from pyctr.engine.volumes.store import (
    ANONYMOUS_LABEL,
    create_volume,
    read_volume,
    remove_volume,
    volume_names,
    volume_users,
)
from pyctr.errors import Conflict, InvalidArgument, NotFound

if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_OPTIONS = ("type", "o", "device")
#: An option means nothing without these.
_NEEDED = {"type": ("device",), "device": ("type",), "o": ("device", "type")}


def create(store: Store, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> str:
    """`volume create`; the name."""
    if driver not in ("", "local"):
        raise InvalidArgument(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
    if name:
        check_name(name)
    check_options(name, options)
    chosen = name or anonymous_name()
    create_volume(store, chosen, labels or (None if name else {ANONYMOUS_LABEL: ""}), options or None)
    return chosen


def check_name(name: str) -> None:
    """Docker's names: two characters at least, none that means something in a path."""
    if len(name) == 1:
        raise InvalidArgument(
            f'create {name}: "{name}" is too short, volume names should be at least two alphanumeric characters'
        )
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )


def check_options(name: str, options: dict[str, str]) -> None:
    """Those of the local driver, none without what it needs."""
    for option in options:
        if option not in _OPTIONS:
            raise InvalidArgument(f'create {name}: invalid option: "{option}"')
        for needed in _NEEDED[option]:
            if not options.get(needed):
                raise InvalidArgument(f'create {name}: missing required option: "{needed}"')


def describe(store: Store, name: str) -> dict[str, Any]:
    """`volume inspect` of one."""
    if "/" in name or name[:1] in ("", "."):
        raise NotFound(f"get {name}: no such volume")
    content = read_volume(store, name)
    return {
        "CreatedAt": content["CreatedAt"][:19] + "Z",
        "Driver": content["Driver"],
        "Labels": content["Labels"],
        "Mountpoint": f"{store.volumes_dir}/{name}/_data",
        "Name": name,
        "Options": content["Options"],
        "Scope": "local",
    }


def list_volumes(store: Store, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """`volume ls`: values of one filter are alternatives, but every label must be there."""
    for key in filters:
        if key not in ("dangling", "driver", "label", "name"):
            raise InvalidArgument(f"invalid filter '{key}'")
    found = [describe(store, name) for name in volume_names(store)]
    if "dangling" in filters:
        wanted = {parse_dangling(value) for value in filters["dangling"]}
        used = {point.get("Name") for _, record in store.records() for point in record["Mounts"]}
        found = [volume for volume in found if (volume["Name"] not in used) in wanted]
    if "driver" in filters:
        found = [volume for volume in found if volume["Driver"] in filters["driver"]]
    if "name" in filters:
        found = [volume for volume in found if any(value in volume["Name"] for value in filters["name"])]
    return [volume for volume in found if all(has_label(volume, value) for value in filters.get("label", ()))]


def parse_dangling(text: str) -> bool:
    """``true``, ``1``, ``false``, ``0``."""
    if text.lower() not in ("true", "1", "false", "0"):
        raise InvalidArgument(f"invalid filter 'dangling=[{text}]'")
    return text.lower() in ("true", "1")


def has_label(volume: dict[str, Any], text: str) -> bool:
    """``key`` or ``key=value``."""
    key, equals, value = text.partition("=")
    labels = volume["Labels"] or {}
    return key in labels and (not equals or labels[key] == value)


def remove(store: Store, name: str, *, force: bool) -> None:
    """`volume rm` of one."""
    try:
        describe(store, name)
    except NotFound:
        if force:
            return
        raise
    users = volume_users(store, name)
    if users:
        raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
    remove_volume(store, name)


def prune(store: Store, filters: dict[str, list[str]], *, every: bool) -> tuple[list[str], int]:
    """`volume prune`; names and bytes."""
    for key in filters:
        if key not in ("label", "label!", "all"):
            raise InvalidArgument(f"invalid filter '{key}'")
    every = every or any(parse_dangling(value) for value in filters.get("all", ()))
    removed: list[str] = []
    reclaimed = 0
    for volume in list_volumes(store, {"dangling": ["true"]}):
        wanted = every or ANONYMOUS_LABEL in (volume["Labels"] or {})
        wanted = wanted and all(has_label(volume, value) for value in filters.get("label", ()))
        if not wanted or any(has_label(volume, value) for value in filters.get("label!", ())):
            continue
        size = tree_size(volume["Mountpoint"], set())
        try:
            remove(store, volume["Name"], force=True)
        except Conflict:  # a container took it meanwhile
            continue
        removed.append(volume["Name"])
        reclaimed += size
    return removed, reclaimed
