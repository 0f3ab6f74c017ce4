"""``--health-*`` and ``--no-healthcheck``."""

from __future__ import annotations

from pyctr.engine.options.units import parse_duration_flag, parse_int
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_DURATIONS = (
    ("health_interval", "Interval"),
    ("health_timeout", "Timeout"),
    ("health_start_period", "StartPeriod"),
    ("health_start_interval", "StartInterval"),
)
_MILLISECOND_NS = 1_000_000


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Config.Healthcheck; durations are nanoseconds, as Docker records them."""
    check = parse_check(options)
    if options.get("no_healthcheck"):
        if check:
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        check = {"Test": ["NONE"]}
    for field in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if 0 < check.get(field, _MILLISECOND_NS) < _MILLISECOND_NS:
            raise InvalidArgument(f"{field} in Healthcheck cannot be less than 1ms")
    if check:
        request.config["Healthcheck"] = check


def parse_check(options: dict[str, Any]) -> dict[str, Any]:
    """The fields that were given and are not zero."""
    check: dict[str, Any] = {}
    if options.get("health_cmd"):
        command = options["health_cmd"]  # a list only from programs: run as it is, without a shell
        check["Test"] = ["CMD", *command] if isinstance(command, list) else ["CMD-SHELL", command]
    for key, field in _DURATIONS:
        if key in options:
            flag = "--" + key.replace("_", "-")
            value = parse_duration_flag(options[key], flag)
            if value < 0:
                raise InvalidArgument(f"{flag} cannot be negative")
            if value:
                check[field] = value
    if "health_retries" in options:
        retries = parse_int(options["health_retries"], "--health-retries")
        if retries < 0:
            raise InvalidArgument("--health-retries cannot be negative")
        if retries:
            check["Retries"] = retries
    return check
