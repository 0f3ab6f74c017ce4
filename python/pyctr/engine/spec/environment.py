"""The variables of a process: a container's first one, or one of `exec`, which needs no more of the spec than this."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def plan_environment(config: dict[str, Any], linked: list[str] | None = None) -> list[str]:
    """PATH, HOSTNAME, TERM, what links bring, then the record's; a later one replaces an earlier one in place, a bare name unsets it."""
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": "HOSTNAME=" + config["Hostname"]}
    if config["Tty"]:
        variables["TERM"] = "TERM=xterm"
    for variable in [*(linked or ()), *config["Env"]]:
        name, equals, _ = variable.partition("=")
        if equals:
            variables[name] = variable
        else:
            variables.pop(name, None)
    return list(variables.values())
