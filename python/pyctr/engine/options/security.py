"""``--cap-add --cap-drop --privileged --security-opt --sysctl``."""

from __future__ import annotations

import os

from pyctr.engine.capabilities import normalise
from pyctr.engine.options.units import parse_bool, quote
from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

#: Sysctls that belong to a namespace (moby opts.ValidateSysctl); every other one would change the host.
_IPC_SYSCTLS = ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
_SYSCTLS = frozenset("kernel." + name for name in _IPC_SYSCTLS)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill the security fields of HostConfig."""
    host = request.host_config
    host["Privileged"] = bool(options.get("privileged"))
    for key, field in (("cap_add", "CapAdd"), ("cap_drop", "CapDrop")):
        if options.get(key):
            host[field] = normalise(options[key], field)
    sysctls: dict[str, str] = {}
    for text in options.get("sysctl", ()):
        name, value = parse_sysctl(text)
        sysctls[name] = value
    if sysctls:
        host["Sysctls"] = sysctls
        check_sysctl_namespaces(host, sysctls)
    if options.get("security_opt"):
        parse_security_options(host, options["security_opt"])
    if host["Privileged"]:
        host["MaskedPaths"], host["ReadonlyPaths"] = None, None


def parse_sysctl(text: str) -> tuple[str, str]:
    """``name=value`` of a namespaced sysctl. No ``..``, ``/``, ``+`` or newline gets into a path (CVE-2022-0811)."""
    name, equals, value = text.partition("=")
    allowed = name in _SYSCTLS or any(name.startswith(prefix) and name != prefix for prefix in _SYSCTL_PREFIXES)
    clean = name.isascii() and ".." not in name and all(character.isalnum() or character in "._-" for character in name)
    if not equals or not allowed or not clean or any(character in value for character in "+\n\0"):
        raise InvalidFlag(text, "--sysctl", f"sysctl '{text}' is not allowed")
    return name, value


def check_sysctl_namespaces(host: dict[str, Any], sysctls: dict[str, str]) -> None:
    """A sysctl of a namespace the container shares with the host would change the host."""
    for name in sysctls:
        if name.startswith("net.") and host["NetworkMode"] == "host":
            raise InvalidArgument(f"sysctl '{name}' not allowed in host network namespace")
        if not name.startswith("net.") and host["IpcMode"] == "host":
            raise InvalidArgument(f"sysctl '{name}' not allowed in host ipc namespace")


def parse_security_options(host: dict[str, Any], texts: list[str]) -> None:
    """Check each and record it; a seccomp profile is recorded by content, as Docker does."""
    recorded: list[str] = []
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator and name != "no-new-privileges":
            name, separator, value = text.partition(":")
        if not value and name != "no-new-privileges":
            raise InvalidArgument(f"Invalid --security-opt: {quote(text)}")
        if name == "systempaths" and value == "unconfined":
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
        elif name == "seccomp":
            recorded.append("seccomp=" + load_profile(value))
        elif name == "no-new-privileges":
            recorded.append(check_no_new_privileges(text, value))
        elif name == "label":
            if value != "disable":
                raise InvalidArgument(f"--security-opt label={value}: SELinux labels are not supported")
            recorded.append(text)
        elif name == "apparmor":
            recorded.append(f"apparmor={value}")
        elif name == "writable-cgroups":
            raise InvalidArgument("--security-opt writable-cgroups: not supported")
        else:
            raise InvalidArgument(f"invalid --security-opt 2: {quote(text)}")
    host["SecurityOpt"] = recorded or None


def check_no_new_privileges(text: str, value: str) -> str:
    """Bare, or with a boolean."""
    try:
        if "=" in text or ":" in text:
            parse_bool(value)
    except ValueError:
        raise InvalidArgument(f"invalid --security-opt 2: {quote(text)}") from None
    return text


def load_profile(value: str) -> str:
    """``builtin``, ``unconfined``, or the compacted JSON of a profile file."""
    if value in ("builtin", "unconfined"):
        return value
    from pyctr._core import json_dumps, json_loads

    try:
        with open(value, "rb") as file:
            profile = json_loads(file.read())
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidArgument(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from None
    except ValueError as error:
        raise InvalidArgument(f"compacting json for seccomp profile ({value}) failed: {error}") from None
    if not isinstance(profile, dict):
        raise InvalidArgument(f"seccomp profile ({value}): not a JSON object")
    return json_dumps(profile).decode()
