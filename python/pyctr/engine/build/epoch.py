"""The one time of a build: what makes the same input give the same digest (docs/build-execute.md, "Same input")."""

from __future__ import annotations

from pyctr.engine import times
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.request import Request

#: 1980-01-01: zip archives begin there, and so do tools that make some of SOURCE_DATE_EPOCH.
MINIMUM_S = 315532800
_SECOND_NS = 1_000_000_000


def request_epoch(request: Request) -> tuple[int | None, bool]:
    """Seconds that all times of the build become, None: each stage's own; and whether times stay as they are (`--timestamp now`)."""
    if request.timestamp == "now":
        return None, True
    if request.timestamp:
        if not request.timestamp.isascii() or not request.timestamp.isdigit():
            raise InvalidArgument(f"invalid --timestamp {request.timestamp}: seconds since 1970, or now")
        return int(request.timestamp), False
    return request.source_date_epoch, False


def created_epoch(created: str) -> int:
    """Seconds of an image's `created`, not before 1980; 1980 where it says nothing that can be read."""
    try:
        return max(MINIMUM_S, times.parse_time(created) // _SECOND_NS)
    except ValueError:
        return max(MINIMUM_S, _read_iso(created))


def _read_iso(created: str) -> int:
    """Of what is no RFC 3339 time, but one by ISO 8601."""
    from datetime import UTC, datetime

    text, fraction = created.strip(), ""
    if "." in text:
        text, _, fraction = text.partition(".")
        text += fraction.lstrip("0123456789")
    try:
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return MINIMUM_S
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp())


def iso_time(seconds: int) -> str:
    """As image configs have it."""
    return times.format_time(seconds * _SECOND_NS)
