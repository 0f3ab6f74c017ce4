"""Times as Docker writes them: RFC 3339 with nanoseconds, durations in words (`datetime` would cost a start 2 ms)."""

from __future__ import annotations

import time

from pyctr.errors import InvalidArgument

_SECOND_NS = 1_000_000_000
#: What Docker shows for "never" (Go's zero time).
ZERO = "0001-01-01T00:00:00Z"
#: Dates seen → days since 1970: what is listed together was made on few days.
_days: dict[str, int] = {}


def format_time(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as ``2026-01-02T03:04:05.123456789Z``, trailing zeros off as Go does."""
    seconds, fraction = divmod(nanoseconds, _SECOND_NS)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def now() -> str:
    """This moment."""
    return format_time(time.time_ns())


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time; 0 for Docker's zero time; raises ValueError."""
    if text.startswith("0001-"):
        return 0
    date, separator, clock = text.partition("T")
    if not separator:
        raise ValueError(f"not a time: {text}")
    days = _days.get(date)
    if days is None:
        days = _days[date] = parse_date(date)
    clock, offset_s = split_zone(clock)
    whole, _, fraction = clock.partition(".")
    hour, minute, second = split_numbers(whole, ":")
    if not (hour < 24 and minute < 60 and second < 61) or (fraction and not fraction.isdigit()):
        raise ValueError(f"not a time: {text}")
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset_s
    return seconds * _SECOND_NS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def parse_date(text: str) -> int:
    """Days since 1970 of a time's date, ``2026-01-02``; raises ValueError."""
    year, month, day = split_numbers(text, "-")
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError(f"not a time: {text}")
    return days_from_civil(year, month, day)


def split_numbers(text: str, separator: str) -> tuple[int, int, int]:
    """Three numbers of digits alone; raises ValueError."""
    numbers = text.split(separator)
    if len(numbers) != 3 or not text.isascii() or not all(map(str.isdigit, numbers)):
        raise ValueError(f"not a time: {text}")
    first, second, third = numbers
    return int(first), int(second), int(third)


def split_zone(clock: str) -> tuple[str, int]:
    """The clock and its offset from UTC in seconds."""
    if clock[-1:] in ("Z", "z"):
        return clock[:-1], 0
    for sign in "+-":
        head, separator, zone = clock.rpartition(sign)
        if separator:
            hours, colon, minutes = zone.partition(":")
            if not colon or not hours.isdigit() or not minutes.isdigit():
                raise ValueError(f"not a time zone: {zone}")
            return head, (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    raise ValueError(f"no time zone: {clock}")


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (time.mktime knows only the local zone)."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def parse_moment(text: str, *, now_ns: int) -> int:
    """--since and --until: RFC 3339 (zone and clock optional), seconds since 1970, or a duration ago."""
    from pyctr.engine.options.units import parse_duration

    whole, _, fraction = text.partition(".")
    if whole.isascii() and whole.isdigit() and (not fraction or fraction.isdigit()):
        return int(whole) * _SECOND_NS + int(fraction[:9].ljust(9, "0") or 0)
    if text[:4].isdigit() and text[4:5] == "-":
        return parse_partial_time(text)
    try:
        return now_ns - parse_duration(text)
    except ValueError:
        raise InvalidArgument(f'failed to parse value as time or duration: "{text}"') from None


def parse_partial_time(text: str) -> int:
    """``2026-01-02[T03[:04[:05]]][zone]``; without a zone it is local time, as in Docker's client."""
    date, _, clock = text.partition("T")
    try:
        try:
            clock, offset_s = split_zone(clock) if clock else ("", None)
        except ValueError:
            offset_s = None
        parts = (clock or "00").split(":")
        parts += ["00"] * (3 - len(parts))
        nanoseconds = parse_time(f"{date}T{':'.join(parts)}Z")
    except ValueError:
        raise InvalidArgument(f'failed to parse value as time or duration: "{text}"') from None
    if offset_s is None:
        offset_s = time.localtime(nanoseconds // _SECOND_NS).tm_gmtoff
    return nanoseconds - offset_s * _SECOND_NS


def human_duration(nanoseconds: int) -> str:
    """``3 seconds``, ``About an hour``: go-units HumanDuration."""
    seconds = max(nanoseconds, 0) / _SECOND_NS
    minutes, hours = int(seconds // 60), int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds < 2 else f"{int(seconds)} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    for limit, size, unit in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < limit:
            return "About an hour" if hours == 1 else f"{hours // size} {unit}"
    return f"{int(seconds // 31_536_000)} years"
