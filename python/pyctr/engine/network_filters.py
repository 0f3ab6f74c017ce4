"""``--filter`` of `network ls` and `network prune`."""

from __future__ import annotations

import time

from pyctr.engine import times
from pyctr.errors import InvalidArgument
from pyctr.network.store import PREDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Network = dict[str, Any]

_LISTING = frozenset(("driver", "id", "label", "name", "scope", "type", "dangling"))
_PRUNING = frozenset(("label", "label!", "until"))


def has_label(network: Network, text: str) -> bool:
    """``KEY`` or ``KEY=VALUE``."""
    labels = network["Labels"] or {}
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


_TESTS: dict[str, Callable[[Network, str], bool]] = {
    "driver": lambda network, value: network["Driver"] == value,
    "id": lambda network, value: network["Id"].startswith(value),
    "name": lambda network, value: value in network["Name"],
    "scope": lambda network, value: network["Scope"] == value,
    "type": lambda network, value: (network["Name"] in PREDEFINED) == (value == "builtin"),
}


def apply_filters(
    networks: list[Network], filters: dict[str, list[str]], used: Callable[[], set[str]]
) -> list[Network]:
    """Those that match one value of each filter, and every label; `used` names what containers ask for."""
    for key, values in filters.items():
        if key not in _LISTING:
            raise InvalidArgument(f"invalid filter '{key}'")
        if key == "type" and not set(values) <= {"custom", "builtin"}:
            raise InvalidArgument(f"invalid filter: 'type'='{values[0]}'")
        if key == "dangling":
            networks = [network for network in networks if is_dangling(network, used()) == parse_flag(values[0])]
        elif key == "label":
            networks = [network for network in networks if all(has_label(network, value) for value in values)]
        else:
            test = _TESTS[key]
            networks = [network for network in networks if any(test(network, value) for value in values)]
    return networks


def is_dangling(network: Network, used: set[str]) -> bool:
    """User-defined, and no container asks for it."""
    return network["Name"] not in PREDEFINED and network["Name"] not in used and network["Id"] not in used


def parse_flag(text: str) -> bool:
    """``true``, ``1``, ``false``, ``0``."""
    if text.lower() not in ("true", "1", "false", "0"):
        raise InvalidArgument(f"invalid filter 'dangling={text}'")
    return text.lower() in ("true", "1")


def is_prunable(network: Network, filters: dict[str, list[str]]) -> bool:
    """Whether the filters of `prune` let a network go."""
    for key, values in filters.items():
        if key not in _PRUNING:
            raise InvalidArgument(f"invalid filter '{key}'")
        if key == "label" and not all(has_label(network, value) for value in values):
            return False
        if key == "label!" and any(has_label(network, value) for value in values):
            return False
        if key == "until":
            now_ns = time.time_ns()
            until_ns = min(times.parse_moment(text, now_ns=now_ns) for text in values)
            if times.parse_time(network["Created"]) > until_ns:
                return False
    return True
