"""The manifests of a project: a workload a service, and what it needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyctr.compose.kubernetes import network, storage
from pyctr.compose.kubernetes.container import container
from pyctr.compose.kubernetes.parts import Losses, Parts, clean, dns_name, labels, manifest
from pyctr.compose.render import yaml_document
from pyctr.compose.units import duration_s
from pyctr.errors import Conflict

if TYPE_CHECKING:
    from pyctr.compose.load import Project

_CONSTRAINT = re.compile(r"node\.labels\.(\S+)\s*==\s*(\S+)")
_ANNOTATION = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
#: Only of interest to whoever runs compose: they say nothing about the containers.
_NOT_OF_CONTAINERS = ("profiles", "attach")


@dataclass(frozen=True, slots=True)
class Export:
    """The manifests, and the keys of the compose files that none of them carries."""

    manifests: tuple[dict[str, Any], ...]
    lost: tuple[str, ...]

    def text(self) -> str:
        """The manifests as YAML documents."""
        return "---\n".join(yaml_document(each) for each in self.manifests)


def export(project: Project) -> Export:
    """Manifests of the enabled services. Raises ComposeError, and Conflict where two names become one."""
    losses = Losses()
    made = [*storage.claims(project, losses), *storage.files(project, losses)]
    linked = network.linked_names(project)
    taken = {dns_name(name) for name in project.services}
    for name, service in project.services.items():
        parts = Parts(project, name, dict(service), losses)
        made += _service(parts, linked.get(name, []), taken)
    made += network.policies(project, losses)
    for key in project.model:
        if key == "models":
            losses.add("models")
    _check_names(made)
    return Export(tuple(made), tuple(losses.lines))


def _check_names(made: list[dict[str, Any]]) -> None:
    seen = set()
    for each in made:
        name = (each["kind"], each["metadata"]["name"])
        if name in seen:
            raise Conflict(f"two objects would both be {name[0]} {name[1]}")
        seen.add(name)


def _service(parts: Parts, linked: list[str], taken: set[str]) -> list[dict[str, Any]]:
    """A service's workload and Services; a further name is given to one service only."""
    if parts.name != parts.service:
        parts.losses.add(f"services.{parts.service}", f"is named {parts.name}")
    for key in _NOT_OF_CONTAINERS:
        parts.take(key)
    networks, aliases = network.attachments(parts)
    listening = network.ports(parts)
    pod = _pod(parts, listening)
    deploy = dict(parts.take("deploy", {}))
    workload = _workload(parts, deploy, pod, networks)
    headless = deploy.pop("endpoint_mode", "vip") == "dnsrr"
    for key, value in deploy.items():
        if value != {}:
            parts.lose(f"deploy.{key}")
    parts.take("links")
    names = [name for name in dict.fromkeys((*aliases, *linked)) if name != parts.name]
    for name in names:
        if name in taken:
            parts.lose("networks", f"the name {name} is another service's")
    names = [name for name in names if name not in taken]
    taken |= set(names)
    made = [workload, *network.services(parts, listening, names, headless=headless)]
    for key in parts.left:
        if parts.left[key] is not None:
            parts.lose(key)
    return made


def _pod(parts: Parts, listening: network.Ports) -> dict[str, Any]:
    """The pod's spec but for its restart policy."""
    mounts = storage.mounts(parts)
    inside = container(parts)
    inside |= clean({"ports": listening.containers(), "volumeMounts": mounts.mounts})
    grace = parts.take("stop_grace_period")
    return clean(
        {
            "hostname": parts.take("hostname"),
            **_shared(parts),
            **network.resolver(parts),
            "nodeSelector": _nodes(parts),
            "terminationGracePeriodSeconds": math.ceil(duration_s(grace)) if grace else None,
            "securityContext": _pod_security(parts),
            "containers": [inside],
            "volumes": mounts.volumes,
        }
    )


def _shared(parts: Parts) -> dict[str, bool]:
    """Namespaces of the node."""
    found: dict[str, bool] = {}
    for key, name in (("network_mode", "hostNetwork"), ("pid", "hostPID"), ("ipc", "hostIPC")):
        if parts.left.get(key) == "host":
            parts.take(key)
            found[name] = True
    if parts.left.get("network_mode") == "bridge":
        parts.take("network_mode")
    return found


def _pod_security(parts: Parts) -> dict[str, Any]:
    groups = parts.take("group_add", [])
    for group in groups:
        if not group.isdecimal():
            parts.lose(f"group_add.{group}", "only numbers can be given")
    sysctls = [{"name": name, "value": value} for name, value in parts.take("sysctls", {}).items()]
    return clean({"supplementalGroups": [int(group) for group in groups if group.isdecimal()], "sysctls": sysctls})


def _nodes(parts: Parts) -> dict[str, str]:
    """Which nodes: the platform's, and those with the labels that placement asks for."""
    found: dict[str, str] = {}
    platform = parts.take("platform")
    if platform:
        system, _, rest = platform.partition("/")
        machine, _, variant = rest.partition("/")
        found |= {"kubernetes.io/os": system, **({"kubernetes.io/arch": machine} if machine else {})}
        if variant:
            parts.lose("platform", f"variant {variant}")
    placement = dict((parts.left.get("deploy") or {}).get("placement") or {})
    for constraint in placement.pop("constraints", []):
        match = _CONSTRAINT.fullmatch(constraint)
        if match:
            found[match[1]] = match[2]
        else:
            parts.lose(f"deploy.placement.constraints.{constraint}")
    for key in placement:
        parts.lose(f"deploy.placement.{key}")
    return found


def _workload(parts: Parts, deploy: dict[str, Any], pod: dict[str, Any], networks: list[str]) -> dict[str, Any]:
    """A Deployment; a DaemonSet for ``mode: global``; a Job for what is not to be started again."""
    deploy.pop("placement", None)
    deploy.pop("resources", None)
    owner = labels(parts.project.name, parts.service)
    on = (
        {network.network_label(name): "true" for name in networks}
        if len(parts.project.model.get("networks") or {}) > 1
        else {}
    )
    notes = _notes(parts, {**parts.take("labels", {}), **parts.take("annotations", {})}, "labels")
    template = {"metadata": clean({"labels": {**owner, **on}, "annotations": notes}), "spec": pod}
    selector = {"matchLabels": {key: owner[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/part-of")}}
    replicas = parts.take("scale", deploy.pop("replicas", 1))
    deploy.pop("replicas", None)
    mode, restart = deploy.pop("mode", "replicated"), _restart(parts, deploy)
    update = deploy.pop("update_config", None)
    if restart or mode.endswith("-job"):
        policy, attempts = restart or ("Never", 0)
        pod["restartPolicy"] = policy
        spec: dict[str, Any] = {"template": template, **({} if attempts is None else {"backoffLimit": attempts})}
        if replicas != 1:
            spec |= {"completions": replicas, "parallelism": replicas}
        made = manifest("Job", "batch/v1", parts.name, owner, {"spec": spec})
    elif mode == "global":
        made = manifest(
            "DaemonSet", "apps/v1", parts.name, owner, {"spec": {"selector": selector, "template": template}}
        )
    else:
        spec = {"replicas": replicas, "selector": selector, **_strategy(parts, update), "template": template}
        update = None
        made = manifest("Deployment", "apps/v1", parts.name, owner, {"spec": spec})
    if update:
        parts.lose("deploy.update_config")
    notes = _notes(parts, deploy.pop("labels", {}), "deploy.labels")
    if notes:
        made["metadata"]["annotations"] = notes
    return made


def _notes(parts: Parts, pairs: dict[str, str], where: str) -> dict[str, str]:
    """Labels whose values may be anything are annotations there."""
    for key in pairs:
        if not _ANNOTATION.fullmatch(key):
            parts.lose(f"{where}.{key}", "not a name Kubernetes allows")
    return {key: value for key, value in pairs.items() if _ANNOTATION.fullmatch(key)}


def _restart(parts: Parts, deploy: dict[str, Any]) -> tuple[str, int | None] | None:
    """The pod's policy and how often it is tried, where the service is not to run for ever."""
    own = parts.take("restart", "")
    policy = dict(deploy.pop("restart_policy", {}))
    condition = policy.pop("condition", "")
    attempts = policy.pop("max_attempts", None)
    for key in policy:
        parts.lose(f"deploy.restart_policy.{key}")
    name, _, count = own.partition(":")
    if condition == "on-failure" or (not condition and name == "on-failure"):
        return "OnFailure", attempts if attempts is not None else int(count) if count else None
    if condition == "none" or (not condition and name == "no"):
        return "Never", 0
    if attempts is not None:
        parts.lose("deploy.restart_policy.max_attempts")
    return None


def _strategy(parts: Parts, update: dict[str, Any] | None) -> dict[str, Any]:
    """How a Deployment is updated."""
    if not update:
        return {}
    rest = dict(update)
    count = rest.pop("parallelism", 1)
    first = rest.pop("order", "stop-first") == "start-first"
    for key in rest:
        parts.lose(f"deploy.update_config.{key}")
    step: int | str = count or "100%"
    rolling = {"maxSurge": step, "maxUnavailable": 0} if first else {"maxSurge": 0, "maxUnavailable": step}
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
