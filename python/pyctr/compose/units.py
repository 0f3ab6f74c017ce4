"""Durations and sizes as compose files write them.

Durations are Go's (``1h30m``, ``1.5s``, ``300ms``) with days and weeks; sizes docker/go-units' binary ones (``64m``, ``1.5GiB``).
"""

from __future__ import annotations

import re

_NANOS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9,
}  # fmt: skip
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zµμ]+)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKmMgGtTpP])?(?:[iI]?[bB])?")
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def duration_ns(text: str) -> int:
    """Nanoseconds of a duration. Raises ValueError."""
    sign = -1 if text.startswith("-") else 1
    rest = text.lstrip("+-") if text[:1] in "+-" else text
    if rest == "0":
        return 0
    position, total = 0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or part[2] not in _NANOS:
            raise ValueError(f'invalid duration "{text}"')
        whole, _, fraction = part[1].partition(".")
        unit = _NANOS[part[2]]
        total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = part.end()
    if not rest or total >= 2**63:
        raise ValueError(f'invalid duration "{text}"')
    return sign * total


def duration_s(text: str) -> float:
    """Seconds of a duration. Raises ValueError."""
    return duration_ns(text) / 1e9


def go_duration(nanos: int) -> str:
    """A duration as Go prints it: ``1m30s``, ``1.5s``, ``300ms``, ``0s``."""
    if nanos == 0:
        return "0s"
    sign, left = ("-", -nanos) if nanos < 0 else ("", nanos)
    if left < 10**9:
        unit, name = next((size, name) for size, name in ((10**6, "ms"), (10**3, "µs"), (1, "ns")) if left >= size)
        return f"{sign}{_decimal(left, unit)}{name}"
    hours, left = divmod(left, 3600 * 10**9)
    minutes, left = divmod(left, 60 * 10**9)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(left, 10**9)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = len(str(unit)) - 1
    fraction = f"{rest:0{digits}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def to_bytes(text: str) -> int:
    """Bytes of a size. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'invalid size: "{text}"')
    power = _POWER[(match[2] or "").lower()]
    whole, _, fraction = match[1].partition(".")
    unit: int = 1024**power
    return int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
