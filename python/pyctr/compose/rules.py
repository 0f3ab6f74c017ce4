"""Tables keyed by path patterns: ``services.*.ports`` matches the ports of every service, ``[]`` an item of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
State = tuple[dict[str, Any], ...]
_VALUE = ""


class Rules(Generic[T]):
    """A trie of patterns, walked along with a tree so that each value costs one step."""

    __slots__ = ("start",)

    def __init__(self, rules: Mapping[str, T]) -> None:
        root: dict[str, Any] = {}
        for pattern, value in rules.items():
            node = root
            for part in pattern.split("."):
                node = node.setdefault(part, {})
            node[_VALUE] = value
        self.start: State = (root,)

    def step(self, state: State, key: str) -> State:
        """The state below a key (``[]`` for an item of a list)."""
        if not state:
            return state
        return tuple(node[name] for node in state for name in ((key, "*") if key != _VALUE else ("*",)) if name in node)

    def at(self, state: State) -> T | None:
        """The value of the pattern that matches here."""
        for node in state:
            if _VALUE in node:
                value: T = node[_VALUE]
                return value
        return None
