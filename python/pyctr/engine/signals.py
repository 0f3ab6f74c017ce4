"""Signal names and numbers of Linux (signal(7)), as Docker's clients accept them."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

SIGINT, SIGKILL, SIGTERM, SIGWINCH = 2, 9, 15, 28
_NAMES = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO",
    "PWR",
    "SYS",
]
#: glibc keeps 32 and 33 for itself.
_RTMIN, _RTMAX = 34, 64
_ALIASES = {"IOT": 6, "CLD": 17, "POLL": 29}


def signal_name(number: int) -> str:
    """``SIGKILL`` of 9; empty for what has no name of its own."""
    return f"SIG{_NAMES[number - 1]}" if 0 < number <= len(_NAMES) else ""


def parse_signal(text: str) -> int:
    """The number of ``9``, ``KILL``, ``SIGKILL``, ``RTMIN+3``; raises InvalidArgument worded as Docker's."""
    name = text.upper().removeprefix("SIG")
    number = 0
    if text.isascii() and text.isdigit():
        number = int(text)
    elif name in _ALIASES:
        number = _ALIASES[name]
    elif name in _NAMES:
        number = _NAMES.index(name) + 1
    elif name in ("RTMIN", "RTMAX"):
        number = _RTMIN if name == "RTMIN" else _RTMAX
    elif name[:6] in ("RTMIN+", "RTMAX-") and name[6:].isdigit() and name.isascii():
        number = _RTMIN + int(name[6:]) if name[5] == "+" else _RTMAX - int(name[6:])
        number = number if number >= _RTMIN else 0
    if not 1 <= number <= _RTMAX:
        raise InvalidArgument(f"Invalid signal: {text}")
    return number
