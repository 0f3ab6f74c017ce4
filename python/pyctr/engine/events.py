"""The journal of events, read: what was, and with `follow` what comes (docs/events.md)."""

from __future__ import annotations

import os
import time

from pyctr._core import json_loads
from pyctr.engine import times
from pyctr.engine.watch import Watch
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.engine import Engine

    Event = dict[str, Any]
    Filters = dict[str, list[str]]

_CHUNK = 1 << 20
#: Kinds whose objects a filter of their own name selects, by the beginning of id or name (moby daemon/events/filter.go).
_NAMED = ("container", "plugin", "volume", "network", "node", "service", "secret", "config", "daemon")
_KNOWN = frozenset((*_NAMED, "event", "image", "label", "scope", "type"))
#: Actions with something behind a colon: if one of these is asked for, actions match by their beginning.
_OPEN_ENDED = frozenset(("exec_create", "exec_start", "health_status"))


def read_events(
    engine: Engine,
    since: str | None = None,
    until: str | None = None,
    filters: Filters | None = None,
    *,
    follow: bool = True,
) -> Iterator[Event]:
    """Events in the form of Docker's API, oldest first. Raises InvalidArgument at once, not at the first event.

    `since` and `until` are a time, seconds since 1970 or a duration ago; without both nothing that was is shown. With
    `follow` it goes on until `until`, or for ever, asleep while nothing happens.
    """
    now_ns = time.time_ns()
    since_ns = times.parse_moment(since, now_ns=now_ns) if since else None
    until_ns = times.parse_moment(until, now_ns=now_ns) if until else None
    if since_ns is None and until_ns is None and follow:
        since_ns = now_ns
    check_filters(filters or {})
    return _select(engine.root + "/events.jsonl", since_ns, until_ns, filters or {}, follow=follow)


def check_filters(filters: Filters) -> None:
    """Raises InvalidArgument for a filter there is not."""
    for name in filters:
        if name not in _KNOWN:
            raise InvalidArgument(f"invalid filter '{name}'")


def _select(
    path: str, since_ns: int | None, until_ns: int | None, filters: Filters, *, follow: bool
) -> Iterator[Event]:
    def goes_on() -> bool:
        return follow and (until_ns is None or time.time_ns() < until_ns)

    def left_s() -> float | None:
        return None if until_ns is None else (until_ns - time.time_ns()) / 1e9

    for line in read_lines(path, Watch(os.path.dirname(path), goes_on, left_s=left_s)):
        event = parse_event(line)
        if event is None:
            continue
        moment = event["timeNano"]
        if (since_ns is not None and moment < since_ns) or (until_ns is not None and moment > until_ns):
            continue
        if matches(event, filters):
            yield event


def read_lines(path: str, watch: Watch) -> Iterator[bytes]:
    """Whole lines of the journal, the one set aside first; then, while `watch` goes on, those that are appended."""
    current = _open(path)
    older = _open(path + ".1")
    if older is not None and current is not None and os.path.sameopenfile(older, current):
        os.close(older)  # it was set aside between the two
        older = None
    rest = b""
    try:
        if older is not None:
            yield from _to_the_end(older, b"")[0]
        while True:
            alive = watch.goes_on()  # asked before reading: what was appended before the end is then read
            if current is None:
                current = _open(path)
            if current is not None:
                lines, rest = _to_the_end(current, rest)
                yield from lines
                if _set_aside(path, current):
                    # A writer that had it open may have been at its last line: read once more, then change over.
                    lines, rest = _to_the_end(current, rest)
                    yield from lines
                    os.close(current)
                    current, rest = None, b""
                    continue
            if not alive:
                return
            watch.wait()
    finally:
        watch.close()
        for fd in (older, current):
            if fd is not None:
                os.close(fd)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _to_the_end(fd: int, rest: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines up to the file's end, and what of a line is there already."""
    while chunk := os.read(fd, _CHUNK):
        rest += chunk
    *lines, rest = rest.split(b"\n")
    return lines, rest


def _set_aside(path: str, fd: int) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return True


def parse_event(line: bytes) -> Event | None:
    """An event with the fields of old API versions, in Docker's order; None for a line that a full disk cut off."""
    try:
        event = json_loads(line)
        actor, kind, action = event["Actor"], event["Type"], event["Action"]
        old: Event = {}
        if kind in ("container", "image"):
            old = {"status": action, "id": actor["ID"]}
            if kind == "container":
                old["from"] = actor["Attributes"].get("image", "")
        shown = {key: event[key] for key in ("Type", "Action", "Actor", "scope", "time", "timeNano")}
        shown["Actor"] = {"ID": actor["ID"], "Attributes": dict(sorted(actor["Attributes"].items()))}
        return {**old, **shown}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def matches(event: Event, filters: Filters) -> bool:
    """Whether every filter lets an event through."""
    return all(_matches(event, name, values) for name, values in filters.items())


def _matches(event: Event, name: str, values: list[str]) -> bool:
    attributes = event["Actor"]["Attributes"]
    if name == "type":
        return event["Type"] in values
    if name == "scope":
        return event["scope"] in values
    if name == "event":
        action = event["Action"]
        return action in values or (bool(_OPEN_ENDED & set(values)) and any(action.startswith(v) for v in values))
    if name == "label":
        pairs = (value.partition("=") for value in values)
        return all(key in attributes and (not equals or attributes[key] == text) for key, equals, text in pairs)
    if name == "image":
        return bool(_image_names(event) & set(values))
    object_names = (event["Actor"]["ID"], attributes.get("name", ""))
    return event["Type"] == name and any(text.startswith(value) for text in object_names for value in values)


def _image_names(event: Event) -> set[str]:
    """What an image may be called in a filter: id and name, each also without its tag."""
    attributes = event["Actor"]["Attributes"]
    if event["Type"] == "image":
        named = [event["Actor"]["ID"], attributes.get("name", "")]
    elif event["Type"] == "container":
        named = [attributes.get("image", "")]
    else:
        return set()
    return {*named, *(_without_tag(text) for text in named)}


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
