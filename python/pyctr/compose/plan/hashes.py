"""What decides that a container, network or volume is not what the file says any more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyctr._core import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping


def digest(value: Any) -> str:
    """SHA-256 of a value's one JSON form."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def entry_hash(entry: Mapping[str, Any]) -> str:
    """The hash of a top-level network or volume."""
    return digest({key: value for key, value in entry.items() if not key.startswith("x-")})
