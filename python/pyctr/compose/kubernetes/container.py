"""A service's container: image, command, variables, probes, resources, security."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from pyctr.compose.kubernetes.parts import clean, literal
from pyctr.compose.units import duration_s

if TYPE_CHECKING:
    from pyctr.compose.kubernetes.parts import Parts

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_PULL = {"always": "Always", "never": "Never", "missing": "IfNotPresent", "if_not_present": "IfNotPresent"}


def container(parts: Parts) -> dict[str, Any]:
    """The container but for its ports and mounts."""
    image = parts.take("image") or parts.project.separator.join((parts.project.name, parts.service))
    if parts.take("build"):
        parts.lose("build", f"push the image {image} to a registry the cluster reads")
    return {
        "name": parts.name,
        "image": image,
        **clean(
            {
                "imagePullPolicy": _pull_policy(parts),
                "command": [literal(word) for word in parts.take("entrypoint", [])],
                "args": [literal(word) for word in parts.take("command", [])],
                "workingDir": parts.take("working_dir"),
                "env": _variables(parts),
                "stdin": parts.take("stdin_open"),
                "tty": parts.take("tty"),
                "resources": _resources(parts),
                "securityContext": _security(parts),
                "lifecycle": _lifecycle(parts),
                **_probes(parts),
            }
        ),
    }


def _pull_policy(parts: Parts) -> str | None:
    policy = parts.take("pull_policy")
    if policy and policy not in _PULL:
        parts.lose("pull_policy", f"{policy} has no equal")
    return _PULL.get(policy)


def _variables(parts: Parts) -> list[dict[str, str]]:
    result = []
    for name, value in parts.take("environment", {}).items():
        if value is None:
            continue
        if _VARIABLE.fullmatch(name):
            result.append({"name": name, "value": literal(value)})
        else:
            parts.lose(f"environment.{name}", "not a name Kubernetes allows")
    return result


def _resources(parts: Parts) -> dict[str, Any]:
    """Limits and reservations; the service's own keys say the same as deploy's."""
    deploy = parts.left.get("deploy") or {}
    said = deploy.get("resources") or {}
    limits, reservations = dict(said.get("limits") or {}), dict(said.get("reservations") or {})
    cpus, memory = parts.take("cpus"), parts.take("mem_limit")
    reserved = parts.take("mem_reservation")
    found = {
        "limits": clean({"cpu": _cpus(limits.pop("cpus", cpus)), "memory": limits.pop("memory", memory)}),
        "requests": clean(
            {"cpu": _cpus(reservations.pop("cpus", None)), "memory": reservations.pop("memory", reserved)}
        ),
    }
    for index, device in enumerate(reservations.pop("devices", None) or ()):
        if (
            "gpu" in device.get("capabilities", ())
            and device.get("driver", "nvidia") == "nvidia"
            and device.get("count", -1) > 0
        ):
            found["limits"]["nvidia.com/gpu"] = str(device["count"])
        else:
            parts.lose(
                f"deploy.resources.reservations.devices[{index}]", "only a count of nvidia GPUs can be asked for"
            )
    for key in limits:
        parts.lose(f"deploy.resources.limits.{key}")
    for key in reservations:
        parts.lose(f"deploy.resources.reservations.{key}")
    return clean(found)


def _cpus(value: float | None) -> str | None:
    return None if value is None else f"{math.ceil(float(value) * 1000)}m"


def _security(parts: Parts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "privileged": parts.take("privileged"),
        "readOnlyRootFilesystem": parts.take("read_only"),
        "capabilities": clean({"add": parts.take("cap_add", []), "drop": parts.take("cap_drop", [])}),
    }
    user = parts.take("user")
    if user:
        owner, _, group = user.partition(":")
        if owner.isdecimal() and (not group or group.isdecimal()):
            found |= {"runAsUser": int(owner), **({"runAsGroup": int(group)} if group else {})}
        else:
            parts.lose("user", "only numbers can be given")
    for option in parts.take("security_opt", []):
        carried = _option(option)
        if carried is None:
            parts.lose(f"security_opt.{option}")
        else:
            found |= {
                key: {**found.get(key, {}), **each} if isinstance(each, dict) else each for key, each in carried.items()
            }
    return clean(found)


def _option(option: str) -> dict[str, Any] | None:
    """A --security-opt, where it has an equal."""
    key, sign, value = (
        option.replace("=", ":", 1).partition(":") if ":" not in option.partition("=")[0] else option.partition(":")
    )
    if key == "no-new-privileges" and value in ("", "true"):
        return {"allowPrivilegeEscalation": False}
    if key == "seccomp" and value == "unconfined":
        return {"seccompProfile": {"type": "Unconfined"}}
    if key == "apparmor" and sign:
        kinds = {"unconfined": {"type": "Unconfined"}}
        return {"appArmorProfile": kinds.get(value, {"type": "Localhost", "localhostProfile": value})}
    part, _, text = value.partition(":")
    if key == "label" and part in ("user", "role", "type", "level") and text:
        return {"seLinuxOptions": {part: text}}
    return None


def _lifecycle(parts: Parts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in (("post_start", "postStart"), ("pre_stop", "preStop")):
        hooks = parts.take(key, [])
        for index, hook in enumerate(hooks):
            for extra in hook:
                if extra != "command":
                    parts.lose(f"{key}[{index}].{extra}")
            if index == 0 and hook.get("command"):
                found[name] = {"exec": {"command": list(hook["command"])}}
            elif index:
                parts.lose(f"{key}[{index}]", "one hook of a kind is all there is")
    return found


def _probes(parts: Parts) -> dict[str, Any]:
    """The health check: not ready while it fails, started anew when it goes on failing."""
    check = dict(parts.take("healthcheck", {}))
    test = check.pop("test", None)
    if check.pop("disable", False) or not test or test[0] == "NONE":
        if check and not test:
            parts.lose("healthcheck", "without a test the image's own is meant, which cannot be known")
        return {}
    command = ["/bin/sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
    probe = {
        "exec": {"command": command},
        "periodSeconds": _seconds(check.pop("interval", "30s")),
        "timeoutSeconds": _seconds(check.pop("timeout", "30s")),
        "failureThreshold": check.pop("retries", 3) or 3,
    }
    start = check.pop("start_period", None)
    if start and duration_s(start) > 0:
        probe["initialDelaySeconds"] = _seconds(start)
    for key in check:
        parts.lose(f"healthcheck.{key}")
    return {"livenessProbe": probe, "readinessProbe": dict(probe)}


def _seconds(duration: str) -> int:
    """Whole seconds, one at least: Kubernetes knows no less."""
    return max(1, math.ceil(duration_s(duration)))
