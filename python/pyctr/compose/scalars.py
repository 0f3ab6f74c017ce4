"""What an unquoted word of YAML is, by go-yaml v3's rules, and how Go prints numbers.

Not YAML 1.1 (``yes`` and ``22:22`` are strings) and not quite YAML 1.2 (``010`` is eight, ``0b11`` three).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    Scalar = str | int | float | bool | datetime | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ ])([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]+))?[ ]?(Z|[-+][0-9]{2}:[0-9]{2})?)?"
)
_OLD_BOOLS = frozenset(
    ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF")
)
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_MAX_UINT64 = 2**64 - 1


def resolve(text: str) -> Scalar:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in "+-.0123456789":
        return text
    if first.isdigit() and (moment := _timestamp(text)) is not None:
        return moment
    # A leading dot is a float as it stands; elsewhere digits may be parted by underscores.
    plain = text if first == "." else text.replace("_", "")
    if first != "." and _INTEGER.fullmatch(plain):
        number = _integer(plain)
        if -(2**63) <= number <= _MAX_UINT64:
            return number
    if not _FLOAT.fullmatch(plain) or math.isinf(float(plain)):
        return text
    return float(plain)


def quoted(text: str) -> bool:
    """Whether go-yaml quotes this string so that it stays one."""
    return not isinstance(resolve(text), str) or text in _OLD_BOOLS or _BASE_60.fullmatch(text) is not None


def _integer(plain: str) -> int:
    sign = -1 if plain[0] == "-" else 1
    digits = plain.lstrip("+-").lower()
    if digits.startswith(("0x", "0b", "0o")):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if digits.startswith("0") else 10)


def _timestamp(text: str) -> datetime | None:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset: timezone = UTC
    if zone and zone != "Z":
        span = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        offset = timezone(-span if zone[0] == "-" else span)
    try:
        micros = int((fraction or "0")[:6].ljust(6, "0"))
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros, offset
        )
    except ValueError:
        return None


def go_float(number: float) -> str:
    """A float as Go's ``%v`` prints it: the shortest digits, exponents below 1e-4 and from a million."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    mantissa, _, exponent = f"{number!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, part = mantissa.lstrip("-").partition(".")
    digits = (whole + part).lstrip("0") if whole == "0" else whole + part
    point = len(whole) + int(exponent or 0)
    if whole == "0":
        point -= 1 + len(part) - len(digits) if digits else 0
        point = point if digits else 1
    digits = digits.rstrip("0") or "0"
    if number == 0:
        return f"{sign}0"
    power = point - 1
    if power < -4 or power >= 6:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return f"{sign}{digits.ljust(point, '0')}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def go_text(value: object) -> str:
    """Go's ``fmt.Sprint`` of a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, datetime):
        offset = value.strftime("%z")
        micros = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
        return f"{value:%Y-%m-%d %H:%M:%S}{micros} {offset} {'UTC' if offset == '+0000' else offset}"
    return str(value)
