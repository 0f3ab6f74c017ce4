"""`logs`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def logs(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show what a container wrote, each stream on its own descriptor."""
    entries = engine.containers.logs(
        arguments[0],
        follow=options.get("follow", False),
        tail=options.get("tail"),
        since=options.get("since"),
        until=options.get("until"),
        timestamps=options.get("timestamps", False),
        details=options.get("details", False),
    )
    sys.stdout.flush()
    for stream, data in entries:
        target = 2 if stream == "stderr" else 1
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
    return 0
