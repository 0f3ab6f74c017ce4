"""`serve`: the Docker Engine API on a unix socket."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyctr.engine import Engine


def serve(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    from pyctr.api.listen import open_listener, parse_address, run

    path = parse_address(options.get("host"), engine.run_root)
    listener, notice = open_listener(path, options.get("group"))
    if notice:
        sys.stderr.write(f"pyctr: {notice}\n")
    sys.stderr.write(f"API listen on {path}\n")
    sys.stderr.flush()
    return run(engine, listener, path)
