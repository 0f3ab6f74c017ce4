"""Images in the form of Docker's API, where that differs from what the command line shows."""

from __future__ import annotations

from pyctr.engine import times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_SECOND_NS = 1_000_000_000


def history(engine: Engine, reference: str, *, platform: str | None = None) -> list[dict[str, Any]]:
    """The steps an image was made by, newest first; `Created` in seconds since 1970."""
    return [
        {
            "Id": step["id"],
            "Created": times.parse_time(step["created"]) // _SECOND_NS if step["created"] else 0,
            "CreatedBy": step["created_by"],
            "Tags": step["tags"] or None,
            "Size": step["size"],
            "Comment": step["comment"],
        }
        for step in engine.images.history(reference, platform=platform)
    ]


def deletions(lines: list[str]) -> list[dict[str, str]]:
    """``Untagged: x`` and ``Deleted: y`` as objects."""
    return [{kind: name} for kind, _, name in (line.partition(": ") for line in lines)]
