"""Names, ports and networks: Services and NetworkPolicies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyctr.compose.kubernetes.parts import Losses, clean, dns_name, labels, manifest

if TYPE_CHECKING:
    from pyctr.compose.kubernetes.parts import Parts
    from pyctr.compose.load import Project

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_DNS = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def network_label(network: str) -> str:
    """The label of pods on a network."""
    return f"pyctr.network/{dns_name(network)}"


class Ports:
    """The ports of a service: those it listens at, and those it publishes."""

    def __init__(self) -> None:
        self.inside: dict[tuple[int, str], dict[str, Any]] = {}
        self.published: list[dict[str, Any]] = []

    def listen(self, target: int, protocol: str) -> dict[str, Any]:
        """A port that others in the cluster reach."""
        entry = {"name": f"{protocol.lower()}-{target}", "port": target, "targetPort": target, "protocol": protocol}
        return self.inside.setdefault((target, protocol), entry)

    def containers(self) -> list[dict[str, Any]]:
        """The container's list of them."""
        return [{"containerPort": target, "protocol": protocol} for target, protocol in self.inside]


def ports(parts: Parts) -> Ports:
    """``ports`` and ``expose``."""
    found = Ports()
    for index, entry in enumerate(parts.take("ports", [])):
        _port(parts, found, dict(entry), f"ports[{index}]")
    for text in parts.take("expose", []):
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            parts.lose(f"expose.{text}", "not a number")
            continue
        for target in range(int(first), int(last or first) + 1):
            found.listen(target, (protocol or "tcp").upper())
    return found


def _port(parts: Parts, found: Ports, entry: dict[str, Any], where: str) -> None:
    target, protocol = entry.pop("target"), entry.pop("protocol", "tcp").upper()
    if protocol not in _PROTOCOLS:
        parts.lose(where, f"protocol {protocol.lower()}")
        return
    inside = found.listen(target, protocol)
    application = entry.pop("app_protocol", None)
    if application:
        inside["appProtocol"] = application
    name, published = entry.pop("name", None), entry.pop("published", None)
    if entry.pop("mode", "ingress") != "ingress":
        parts.lose(f"{where}.mode")
    if published and "-" in published:
        parts.lose(f"{where}.published", "a range to choose from")
    elif published:
        label = name if name and _DNS.fullmatch(name) and len(name) < 16 else f"{protocol.lower()}-{published}"
        found.published.append({"name": label, "port": int(published), "targetPort": target, "protocol": protocol})
    for key in entry:
        parts.lose(f"{where}.{key}")


def services(parts: Parts, found: Ports, aliases: list[str], *, headless: bool) -> list[dict[str, Any]]:
    """The Service of a service's name, one for each other name it has, and one for what it publishes."""
    own, selector = (
        labels(parts.project.name, parts.service),
        {"app.kubernetes.io/name": parts.name, "app.kubernetes.io/part-of": dns_name(parts.project.name)},
    )
    inside = list(found.inside.values())
    bare = headless or not inside
    spec: dict[str, Any] = {
        **({"clusterIP": "None"} if bare else {}),
        "selector": selector,
        **({"ports": inside} if inside else {}),
    }
    made = []
    for name in dict.fromkeys((parts.name, *aliases)):
        if _DNS.fullmatch(name):
            made.append(manifest("Service", "v1", name, own, {"spec": dict(spec)}))
        else:
            parts.lose("networks", f"{name} is no name of a Kubernetes service")
    if found.published:
        outside = {"type": "LoadBalancer", "selector": selector, "ports": found.published}
        name = dns_name(f"{parts.name}-published")
        made.append(manifest("Service", "v1", name, own, {"spec": outside}))
    return made


def attachments(parts: Parts) -> tuple[list[str], list[str]]:
    """The networks a service is on, and its further names there."""
    names: list[str] = []
    networks = parts.take("networks", {})
    for network, how in networks.items():
        rest = dict(how or {})
        names += rest.pop("aliases", [])
        for key in rest:
            parts.lose(f"networks.{network}.{key}")
    return list(networks), names


def linked_names(project: Project) -> dict[str, list[str]]:
    """Service → the names that ``links`` of others give it."""
    found: dict[str, list[str]] = {}
    for service in project.services.values():
        for link in service.get("links") or ():
            target, _, alias = link.partition(":")
            if alias and alias != target:
                found.setdefault(target, []).append(alias)
    return found


def policies(project: Project, losses: Losses) -> list[dict[str, Any]]:
    """Where a project has several networks: pods are reached from those they share one with."""
    networks = project.model.get("networks") or {}
    made = []
    for key, network in networks.items():
        for name, value in network.items():
            if name not in ("name", "labels", "external") and value not in ({}, "bridge"):
                losses.add(f"networks.{key}.{name}")
        if network.get("external"):
            losses.add(f"networks.{key}.external", "there is one network of pods")
        if len(networks) < 2:
            continue
        label = {network_label(key): "true"}
        peers = [{"podSelector": {"matchLabels": label}}]
        spec = {"podSelector": {"matchLabels": label}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}
        made.append(
            manifest(
                "NetworkPolicy", "networking.k8s.io/v1", dns_name(network["name"]), labels(project.name), {"spec": spec}
            )
        )
    if len(networks) > 1:
        made += _outside(project)
    return made


def _outside(project: Project) -> list[dict[str, Any]]:
    """Published ports are reached from everywhere, whatever the networks."""
    made = []
    for name, service in project.services.items():
        targets = [port for port in service.get("ports") or () if port.get("published")]
        if not targets:
            continue
        allowed = [{"port": port["target"], "protocol": port.get("protocol", "tcp").upper()} for port in targets]
        selector = {"app.kubernetes.io/name": dns_name(name), "app.kubernetes.io/part-of": dns_name(project.name)}
        spec = {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress"], "ingress": [{"ports": allowed}]}
        title = dns_name(f"{name}-published")
        made.append(manifest("NetworkPolicy", "networking.k8s.io/v1", title, labels(project.name), {"spec": spec}))
    return made


def resolver(parts: Parts) -> dict[str, Any]:
    """The pod's DNS settings and its lines of /etc/hosts."""
    servers, searches, options = parts.take("dns", []), parts.take("dns_search", []), parts.take("dns_opt", [])
    pairs = [option.partition(":") for option in options]
    config = clean(
        {
            "nameservers": servers,
            "searches": searches,
            "options": [{"name": name, **({"value": value} if value else {})} for name, _, value in pairs],
        }
    )
    by_address: dict[str, list[str]] = {}
    for line in parts.take("extra_hosts", []):
        name, _, address = line.partition("=")
        if address == "host-gateway":
            parts.lose(f"extra_hosts.{name}", "host-gateway")
        else:
            by_address.setdefault(address, []).append(name)
    aliases = [{"ip": address, "hostnames": names} for address, names in by_address.items()]
    return clean({"dnsPolicy": "None" if servers else None, "dnsConfig": config, "hostAliases": aliases})
