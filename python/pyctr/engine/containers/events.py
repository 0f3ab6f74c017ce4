"""The journal: one JSON object a line, appended with one write, so that lines of many writers never mix."""

from __future__ import annotations

import os
import time

from pyctr._core import json_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_event(root: str, action: str, record: dict[str, Any], **attributes: str) -> None:
    """Append a container's event in the form of Docker's API."""
    config = record["Config"]
    actor = {**config["Labels"], "image": config["Image"], "name": record["Name"].removeprefix("/"), **attributes}
    write_entry(root, "container", action, record["Id"], actor)


def write_entry(root: str, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> None:
    """Append an event of a container, volume, network or image."""
    moment = time.time_ns()
    event = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor_id, "Attributes": attributes},
        "scope": "local",
        "time": moment // 1_000_000_000,
        "timeNano": moment,
    }
    fd = os.open(root + "/events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, json_dumps(event) + b"\n")
    finally:
        os.close(fd)
