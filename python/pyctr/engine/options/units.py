"""Numbers, sizes and durations as Go's flag parsers read them, refusals included (strconv, go-units, time)."""

from __future__ import annotations

from pyctr.errors import InvalidFlag

_INT64 = 1 << 63
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_NANOSECONDS = {
    "ns": 1,
    "us": 1000,
    "\u00b5s": 1000,
    "\u03bcs": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def quote(text: str) -> str:
    """Go's %q for the strings that turn up in refusals."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_int(text: str, flag: str, *, minimum: int = -_INT64, maximum: int = _INT64 - 1) -> int:
    """strconv.ParseInt with base 0; with `minimum` 0 it calls itself ParseUint."""
    function = "ParseUint" if minimum == 0 else "ParseInt"
    try:
        if not text.isascii() or text != text.strip():
            raise ValueError
        value = int(text, 0) if not text.lstrip("+-").isdigit() else int(text, 8 if _is_octal(text) else 10)
        if minimum == 0 and text[0] in "+-":
            raise ValueError
    except ValueError:
        raise InvalidFlag(text, flag, f"strconv.{function}: parsing {quote(text)}: invalid syntax") from None
    if not minimum <= value <= maximum:
        raise InvalidFlag(text, flag, f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def _is_octal(text: str) -> bool:
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and not any(digit in digits for digit in "89")


def parse_bool(text: str) -> bool:
    """strconv.ParseBool; ValueError otherwise."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_size(text: str) -> int:
    """Bytes of ``64m``, ``1.5GiB``: go-units RAMInBytes, powers of 1024; ValueError carries its words."""
    end = max(text.rfind(character) for character in "0123456789. ")
    if end < 0:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = (text[:end] if text[end] == " " else text[: end + 1]), text[end + 1 :].lower()
    try:
        if not number.isascii() or "_" in number or number != number.strip() or not any(map(str.isdigit, number)):
            raise ValueError
        size = float(number)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(number)}: invalid syntax") from None
    if size < 0 or size == float("inf"):
        raise ValueError(f"invalid size: '{text}'")
    if not suffix or suffix == "b":
        return int(size)
    if suffix[0] not in _BINARY or suffix[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{text[end + 1 :]}'")
    return int(size * _BINARY[suffix[0]])


def parse_size_flag(text: str, flag: str) -> int:
    """`parse_size` as a flag's value: bytes."""
    try:
        size = parse_size(text)
    except ValueError as error:
        raise InvalidFlag(text, flag, str(error)) from None
    if size >= _INT64:
        raise InvalidFlag(text, flag, f"invalid size: '{text}'")
    return size


def parse_nano_cpus(text: str, flag: str) -> int:
    """Billionths of a CPU of ``1.5``, ``1/2``, ``1e-1``, exactly: big.Rat, never a rounded float."""
    numerator, slash, denominator = text.partition("/")
    try:
        top, scale_top = _decimal(numerator)
        bottom, scale_bottom = _decimal(denominator) if slash else (1, 0)
        if bottom == 0 or (slash and (scale_bottom or denominator[:1] in "+-")):
            raise ValueError
    except ValueError:
        raise InvalidFlag(text, flag, f"failed to parse {text} as a rational number") from None
    exponent = 9 + scale_top
    top, bottom = (top * 10**exponent, bottom) if exponent >= 0 else (top, bottom * 10**-exponent)
    if top % bottom:
        raise InvalidFlag(text, flag, "value is too precise")
    return top // bottom


def _decimal(text: str) -> tuple[int, int]:
    """The integer and the power of ten of a decimal number."""
    mantissa, mark, exponent_text = text.lower().partition("e")
    sign = -1 if mantissa[:1] == "-" else 1
    mantissa = mantissa[1:] if mantissa[:1] in ("+", "-") else mantissa
    whole, _, fraction = mantissa.partition(".")
    if not (whole + fraction).isdigit() or not text.isascii():
        raise ValueError
    exponent = 0
    if mark:
        if not exponent_text.lstrip("+-").isdigit() or len(exponent_text) > 4:
            raise ValueError
        exponent = int(exponent_text)
    return sign * int(whole + fraction), exponent - len(fraction)


def parse_duration(text: str) -> int:
    """Nanoseconds of ``1h2m3.5s``: Go's time.ParseDuration; ValueError carries its words."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0
    while rest:
        digits = 0
        while digits < len(rest) and (rest[digits] in "0123456789."):
            digits += 1
        number, rest = rest[:digits], rest[digits:]
        whole, _, fraction = number.partition(".")
        if "." in fraction or not whole + fraction or int(whole or 0) >= _INT64:
            raise ValueError(f"time: invalid duration {quote(text)}")
        letters = 0
        while letters < len(rest) and rest[letters] not in "0123456789.":
            letters += 1
        unit, rest = rest[:letters], rest[letters:]
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _NANOSECONDS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        scale = _NANOSECONDS[unit]
        total += int(whole or 0) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
    if total >= _INT64:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return -total if text[0] == "-" else total


def parse_duration_flag(text: str, flag: str) -> int:
    """`parse_duration` as a flag's value: nanoseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidFlag(text, flag, str(error)) from None
