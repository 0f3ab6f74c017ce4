"""The journal: one JSON object a line, appended with one write, so that lines of many writers never mix."""

from __future__ import annotations

import time

from pyctr._core import append_journal, json_dumps
from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_event(root: str, action: str, record: dict[str, Any], **attributes: str) -> None:
    """Append a container's event in the form of Docker's API."""
    config = record["Config"]
    actor = {**config["Labels"], "image": config["Image"], "name": record["Name"].removeprefix("/"), **attributes}
    write_entry(root, "container", action, record["Id"], actor)


def write_entry(root: str, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> None:
    """Append an event of a container, volume, network or image; what was done stands, told or not (a full disk)."""
    moment = time.time_ns()
    event = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor_id, "Attributes": attributes},
        "scope": "local",
        "time": moment // 1_000_000_000,
        "timeNano": moment,
    }
    try:
        append_journal(root + "/events.jsonl", json_dumps(event) + b"\n")
    except PyctrError:
        return
