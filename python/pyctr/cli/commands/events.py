"""`events`."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine

#: Go's name of a field → that in JSON, and what is there without it.
_FIELDS: dict[str, tuple[str, Any]] = {
    "Status": ("status", ""), "ID": ("id", ""), "From": ("from", ""), "Type": ("Type", ""), "Action": ("Action", ""),
    "Actor": ("Actor", {}), "Scope": ("scope", ""), "Time": ("time", 0), "TimeNano": ("timeNano", 0),
}  # fmt: skip


def events(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show what happens; until `--until`, or for ever."""
    from pyctr.cli.filters import parse_filters
    from pyctr.engine.events import read_events

    template = options.get("format")
    render = pretty if not template else _renderer(template)
    found = read_events(engine, options.get("since"), options.get("until"), parse_filters(options))
    sys.stdout.flush()
    for event in found:
        sys.stdout.write(render(event) + "\n")
        sys.stdout.flush()
    return 0


def _renderer(template: str) -> Callable[[Any], str]:
    from pyctr.cli.format import compile_template

    render = compile_template("{{json .}}" if template == "json" else template)
    return lambda event: render(Message(event))


class Message:
    """An event as a template sees it: the fields have Go's names, its JSON those of the API."""

    __slots__ = ("event",)

    def __init__(self, event: dict[str, Any]) -> None:
        self.event = event

    def template_field(self, name: str) -> Any:
        """A field, empty where this kind of event has none. Raises Missing."""
        from pyctr.cli.template.values import Missing

        if name not in _FIELDS:
            raise Missing(f"can't evaluate field {name} in type *events.Message")
        key, empty = _FIELDS[name]
        return self.event.get(key, empty)

    def template_json(self) -> dict[str, Any]:
        """What `json .` gives."""
        return self.event


def pretty(event: dict[str, Any]) -> str:
    """``TIME TYPE ACTION ID (key=value, …)``, the time local with nine digits."""
    seconds, nanoseconds = divmod(event["timeNano"], 1_000_000_000)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", local)
    actor = event["Actor"]
    line = f"{moment}.{nanoseconds:09d}{zone} {event['Type']} {event['Action']} {actor['ID']}"
    pairs = ", ".join(f"{key}={value}" for key, value in sorted(actor["Attributes"].items()))
    return f"{line} ({pairs})" if pairs else line
