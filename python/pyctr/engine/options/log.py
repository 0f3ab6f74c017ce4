"""``--log-driver`` and ``--log-opt``."""

from __future__ import annotations

from pyctr.engine.options.units import parse_size
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_JSON_FILE = frozenset(("max-size", "max-file"))
#: Known to Docker for json-file but not acted on here yet: refused by name, never ignored.
_NOT_YET = frozenset(("compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"))
_OTHER_DRIVERS = frozenset(
    ("local", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs", "logentries")
)


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill LogConfig."""
    driver = options.get("log_driver") or "json-file"
    settings: dict[str, str] = {}
    for text in options.get("log_opt", ()):
        name, _, value = text.partition("=")
        settings[name] = value
    if driver == "none":
        if settings:
            raise InvalidArgument("invalid logging opts for driver none")
    elif driver == "json-file":
        check_json_file(settings)
    elif driver in _OTHER_DRIVERS:
        raise InvalidArgument(f"log driver {driver}: not supported yet (json-file and none are)")
    else:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    request.host_config["LogConfig"] = {"Type": driver, "Config": settings}


def check_json_file(settings: dict[str, str]) -> None:
    """Refuse what the json-file driver cannot do; Docker finds bad values at the start, this does at once."""
    for name, value in settings.items():
        if name in _NOT_YET:
            raise InvalidArgument(f"log opt '{name}' of the json-file log driver: not supported yet")
        if name not in _JSON_FILE:
            raise InvalidArgument(f"unknown log opt '{name}' for json-file log driver")
        try:
            if name == "max-size":
                if value != "-1" and parse_size(value) <= 0:
                    raise ValueError("max-size must be a positive number")
            elif not value.isascii() or not value.isdigit() or int(value) < 1:
                raise ValueError("max-file cannot be less than 1")
        except ValueError as error:
            raise InvalidArgument(f"invalid log opt '{name}={value}': {error}") from None
    if settings.get("max-size", "-1") == "-1" and int(settings.get("max-file", "1")) > 1:
        raise InvalidArgument("max-file cannot be set without max-size")
