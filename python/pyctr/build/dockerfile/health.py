"""HEALTHCHECK: test, and times with Go's units."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.build.dockerfile.lexer import Flag, Instruction

_PIECE = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_NANOSECONDS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_TIMES = {
    "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval",
}  # fmt: skip
_LEAST_NS = 1_000_000


def parse_health(
    instruction: Instruction, flags: dict[str, list[str]], exec_form: Callable[[Instruction, str], list[str] | None]
) -> dict[str, object]:
    """The image config's Healthcheck. Raises BuildError."""
    parts = instruction.rest.split(None, 1)
    if not parts:
        raise instruction.error("HEALTHCHECK requires at least one argument")
    kind, rest = parts[0].upper(), parts[1] if len(parts) > 1 else ""
    if kind == "NONE":
        if rest:
            raise instruction.error("HEALTHCHECK NONE takes no arguments", offset=instruction.find(rest))
        if flags:
            raise instruction.error("HEALTHCHECK NONE takes no flags", offset=instruction.flags[0].offset)
        return {"Test": ["NONE"]}
    if kind != "CMD":
        raise instruction.error(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)', offset=instruction.rest_offset)
    if not rest:
        raise instruction.error("Missing command after HEALTHCHECK CMD")
    words = exec_form(instruction, rest)
    if words is not None and not words:
        raise instruction.error("Missing command after HEALTHCHECK CMD")
    check: dict[str, object] = {"Test": ["CMD-SHELL", rest] if words is None else ["CMD", *words]}
    for flag in instruction.flags:
        name = _TIMES.get(flag.name, "Retries")
        check[name] = _retries(instruction, flag) if name == "Retries" else _time(instruction, flag)
    return {name: value for name, value in check.items() if value}


def _retries(instruction: Instruction, flag: Flag) -> int:
    import re

    value = flag.value or ""
    if not re.fullmatch(r"[+-]?\d{1,9}", value):
        raise instruction.error(f'invalid value for --retries: "{value}"', offset=flag.offset)
    if int(value) < 0:
        raise instruction.error(f"--retries cannot be negative ({value})", offset=flag.offset)
    return int(value)


def _time(instruction: Instruction, flag: Flag) -> int:
    value = flag.value or "0"
    time_ns = parse_duration_ns(value)
    if time_ns is None:
        raise instruction.error(f'invalid duration for --{flag.name}: "{value}"', offset=flag.offset)
    if time_ns and time_ns < _LEAST_NS:
        raise instruction.error(f'Interval "{flag.name}" cannot be less than 1ms', offset=flag.offset)
    return time_ns


def parse_duration_ns(text: str) -> int | None:
    """`1h2m3.5s` in nanoseconds; None if it is none (Go's time.ParseDuration)."""
    import re

    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if text == "0":
        return 0
    pieces = re.findall(_PIECE, text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    return sign * round(sum(float(number) * _NANOSECONDS[unit] for number, unit in pieces))
