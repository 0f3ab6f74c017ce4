"""``--filter`` of `ps`: values of one name are alternatives, names must all hold, labels too."""

from __future__ import annotations

from pyctr.engine import times
from pyctr.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.engine.containers.listing import Summary
    from pyctr.engine.containers.store import Store

_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")


def apply_filters(store: Store, summaries: list[Summary], filters: dict[str, list[str]]) -> list[Summary]:
    """The summaries every filter lets through; raises InvalidArgument for an unknown filter or value."""
    for name, values in filters.items():
        if name not in _TESTS and name not in ("before", "since"):
            raise InvalidArgument(f"invalid filter '{name}'")
        check_values(name, values)
        if name in ("before", "since"):
            summaries = by_age(store, summaries, name, values)
        elif name == "label":
            summaries = [summary for summary in summaries if all(has_label(summary, value) for value in values)]
        else:
            test = _TESTS[name]
            summaries = [summary for summary in summaries if any(test(summary, value) for value in values)]
    return summaries


def check_values(name: str, values: list[str]) -> None:
    """Refuse words that can never match."""
    for value in values:
        wrong = (
            (name == "status" and value not in _STATUSES)
            or (name == "health" and value not in _HEALTH)
            or (name == "exited" and not value.lstrip("-").isdigit())
            or (name == "is-task" and value.lower() not in ("true", "false", "1", "0"))
        )
        if wrong:
            raise InvalidArgument(f"invalid filter '{name}={value}'")


def by_age(store: Store, summaries: list[Summary], name: str, values: list[str]) -> list[Summary]:
    """Older (``before``) or newer (``since``) than a named container."""
    for value in values:
        try:
            pivot = times.parse_time(store.record(store.resolve(value))["Created"])
        except NotFound:
            raise NotFound(f"No such container: {value}") from None
        summaries = [
            summary
            for summary in summaries
            if (times.parse_time(summary.record["Created"]) < pivot) == (name == "before")
            and times.parse_time(summary.record["Created"]) != pivot
        ]
    return summaries


def matches_name(summary: Summary, value: str) -> bool:
    """A regular expression, as Docker's; also against the name with its slash."""
    import re

    try:
        pattern = re.compile(value)
    except re.error as error:
        raise InvalidArgument(f"invalid filter 'name={value}': {error}") from None
    return any(pattern.search(name) or pattern.search("/" + name) for name in summary.names)


def has_label(summary: Summary, value: str) -> bool:
    """``name`` or ``name=value``."""
    name, equals, wanted = value.partition("=")
    return name in summary.labels and (not equals or summary.labels[name] == wanted)


def has_ancestor(summary: Summary, value: str) -> bool:
    """The image by name, id or a prefix of its id."""
    named = value if ":" in value.rpartition("/")[2] or "@" in value else value + ":latest"
    image = summary.image if ":" in summary.image.rpartition("/")[2] else summary.image + ":latest"
    digest = summary.image_id.removeprefix("sha256:")
    bare = value.removeprefix("sha256:")
    return image == named or (len(bare) >= 4 and digest.startswith(bare))


def has_volume(summary: Summary, value: str) -> bool:
    """A volume's name or a mount's target."""
    return any(
        value in (point.get("Name"), point["Source"], point["Destination"]) for point in summary.record["Mounts"]
    )


def exposes(summary: Summary, value: str) -> bool:
    """``80`` or ``80/tcp``."""
    wanted = value if "/" in value else value + "/tcp"
    return wanted in (summary.record["Config"].get("ExposedPorts") or {})


def publishes(summary: Summary, value: str) -> bool:
    """``8080`` or ``8080/tcp``, a port of the host."""
    number, slash, protocol = value.partition("/")
    return any(
        str(port.get("PublicPort", "")) == number and port["Type"] == (protocol if slash else "tcp")
        for port in summary.ports
    )


_TESTS: dict[str, Callable[[Summary, str], bool]] = {
    "id": lambda summary, value: summary.id.startswith(value),
    "name": matches_name,
    "label": has_label,
    "status": lambda summary, value: summary.state == value,
    "exited": lambda summary, value: summary.state == "exited" and summary.exit_code == int(value),
    "ancestor": has_ancestor,
    "volume": has_volume,
    "network": lambda summary, value: value in summary.networks,
    "expose": exposes,
    "publish": publishes,
    "health": lambda summary, value: summary.health == value,
    "is-task": lambda _summary, value: value.lower() in ("false", "0"),
    "isolation": lambda _summary, value: value in ("", "default"),
}
