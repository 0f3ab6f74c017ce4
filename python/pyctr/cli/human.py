"""Sizes and times for people, as Docker writes them (docker/go-units)."""

from __future__ import annotations

import time

from pyctr.engine.times import human_duration

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float, digits: int = 3) -> str:
    """Bytes with a decimal unit and `digits` significant digits: ``1.98MB``."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.{digits}g}".rstrip() + _UNITS[unit] if count < 1000 else f"{count:.0f}{_UNITS[unit]}"


def binary_size(number: float) -> str:
    """go-units' BytesSize: four digits and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            return f"{number:.4g}{unit}"
        number /= 1024
    raise AssertionError


def ago(seconds: int) -> str:
    """How long a time (seconds since 1970) is past: ``2 minutes ago``."""
    return human_duration(time.time_ns() - seconds * 1_000_000_000) + " ago"


def local_time(seconds: int) -> str:
    """A time (seconds since 1970) as Docker prints it: ``2006-01-02 15:04:05 -0700 MST``."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def columns(header: list[str], rows: list[list[str]]) -> str:
    """Docker's table: columns of at least ten letters, three blanks between them, none behind the last."""
    widths = [max(7, *map(len, column)) + 3 for column in zip(header, *rows, strict=True)][:-1]
    line = "".join(f"%-{width}s" for width in widths) + "%s\n"
    return "".join([line % tuple(row) for row in [header, *rows]])


def quoted(text: str) -> str:
    """Go's %q: what would break a line or a terminal is escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
        escaped = "".join(short.get(letter) or _escaped(letter) for letter in escaped)
    return f'"{escaped}"'


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"\\x{ord(letter):02x}" if ord(letter) < 0x80 else f"\\u{ord(letter):04x}"


def shorten(text: str, width: int) -> str:
    """At most `width` characters, the last an ellipsis if any are left out."""
    return text if len(text) <= width else text[: width - 1] + "…"
