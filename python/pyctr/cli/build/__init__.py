"""What a build tells of itself, shown: plain lines, a live list on a terminal, nothing, or JSON."""

from __future__ import annotations

import os
import sys

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.build.plain import Plain

MODES = ("auto", "plain", "tty", "quiet", "rawjson")


def make_progress(mode: str, *, quiet: bool) -> Plain:
    """The one that is asked for; `auto` is a live list where stderr is a terminal. Raises InvalidArgument."""
    mode = mode or os.environ.get("BUILDKIT_PROGRESS", "") or "auto"
    if mode not in MODES:
        raise InvalidArgument(f'invalid progress type "{mode}": {", ".join(MODES)}')
    if quiet or mode == "quiet":
        from pyctr.cli.build.plain import Quiet

        return Quiet(sys.stderr)
    if mode == "rawjson":
        from pyctr.cli.build.rawjson import RawJson

        return RawJson(sys.stderr)
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    if mode == "tty" and not is_terminal:
        raise InvalidArgument("--progress tty: stderr is not a terminal")
    if is_terminal and mode != "plain":
        from pyctr.cli.build.live import Live

        return Live(sys.stderr)
    from pyctr.cli.build.plain import Plain

    return Plain(sys.stderr)
