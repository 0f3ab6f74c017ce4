"""``--log-driver`` and ``--log-opt``: which there are and what their options may say."""

from __future__ import annotations

from pyctr.engine.options.units import parse_size
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_FILES = frozenset(("max-size", "max-file", "compress"))
_EVERY = frozenset(("mode", "max-buffer-size"))
_ATTRIBUTES = frozenset(("labels", "labels-regex", "env", "env-regex"))
_OPTIONS = {
    "none": frozenset[str](),
    "json-file": _FILES | _ATTRIBUTES | {"tag"},
    "local": _FILES,
    "syslog": frozenset(("syslog-address", "syslog-facility", "syslog-format", "tag")),
}
#: Docker's options that there is no way of doing here: refused by name, never ignored.
_REFUSED = {
    "syslog-tls-ca-cert": "syslog over TLS is not supported",
    "syslog-tls-cert": "syslog over TLS is not supported",
    "syslog-tls-key": "syslog over TLS is not supported",
    "syslog-tls-skip-verify": "syslog over TLS is not supported",
}
_OTHER_DRIVERS = frozenset(("journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs", "logentries"))


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill LogConfig."""
    driver = options.get("log_driver") or "json-file"
    settings: dict[str, str] = {}
    for text in options.get("log_opt", ()):
        name, _, value = text.partition("=")
        settings[name] = value
    if driver in _OTHER_DRIVERS:
        raise InvalidArgument(f"log driver {driver}: not supported (json-file, local, syslog and none are)")
    if driver not in _OPTIONS:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    check(driver, settings)
    request.host_config["LogConfig"] = {"Type": driver, "Config": settings}


def check(driver: str, settings: dict[str, str]) -> None:
    """Refuse what a driver cannot do; Docker finds bad values at the start, this does at once."""
    if driver == "none" and settings:
        raise InvalidArgument("invalid logging opts for driver none")
    for name, value in settings.items():
        if name in _REFUSED:
            raise InvalidArgument(f"log opt '{name}' of the {driver} log driver: {_REFUSED[name]}")
        if name not in _OPTIONS[driver] | _EVERY:
            raise InvalidArgument(f"unknown log opt '{name}' for {driver} log driver")
        try:
            check_value(name, value)
        except ValueError as error:
            raise InvalidArgument(f"invalid log opt '{name}={value}': {error}") from None
    mode = settings.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in settings and mode != "non-blocking":
        raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    if driver in ("json-file", "local"):
        check_rotation(driver, settings)


def check_value(name: str, value: str) -> None:
    """Raise ValueError for a value that is none."""
    if name in ("max-size", "max-buffer-size"):
        if (name, value) != ("max-size", "-1") and parse_size(value) <= 0:
            raise ValueError(f"{name} must be a positive number")
    elif name == "max-file":
        if not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ValueError("max-file cannot be less than 1")
    elif name == "compress":
        parse_flag(value)
    elif name in ("labels-regex", "env-regex"):
        import re

        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
    elif name == "syslog-address":
        scheme, separator, _ = value.partition("://")
        if not separator or scheme not in ("udp", "tcp", "unix", "unixgram"):
            raise ValueError("not udp://, tcp://, unix:// or unixgram://")


def parse_flag(text: str) -> bool:
    """Go's ParseBool."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("neither true nor false")


def check_rotation(driver: str, settings: dict[str, str]) -> None:
    """What the options for files mean together."""
    unbounded = settings.get("max-size", "-1" if driver == "json-file" else "20m") == "-1"
    files = int(settings.get("max-file", "1" if driver == "json-file" else "5"))
    if unbounded and "max-file" in settings and files > 1:
        raise InvalidArgument("max-file cannot be set without max-size")
    if (unbounded or files < 2) and parse_flag(settings.get("compress", "false")):
        raise InvalidArgument("compress cannot be true when max-file is less than 2 or max-size is not set")
