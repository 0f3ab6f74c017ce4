"""`network_mode`, `networks`, `ports`, `links`: a service's place on networks as options of `docker run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import names
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project

    Service = Mapping[str, Any]
    Options = dict[str, Any]

#: Driver option of an endpoint: what its link is called inside.
_IFNAME = "com.docker.network.endpoint.ifname"


def plan(
    options: Options,
    project: Project,
    service: Service,
    *,
    one_off: bool = False,
    vips: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Fill `network`, `publish`, `link` and the namespace modes that name a service."""
    for key in ("ipc", "pid"):
        if service.get(key):
            options[key] = names.resolve_mode(project, service[key])
    mode = service.get("network_mode")
    if mode:
        options["network"] = [names.resolve_mode(project, mode)]
        if service.get("mac_address"):
            options["mac_address"] = service["mac_address"]
    else:
        attached = service_networks(service)
        options["network"] = [
            network_text(project, service, key, attached[key] or {}, (vips or {}).get(key) or {}, one_off=one_off)
            for key in ordered(attached)
        ] or ["none"]
    ports = [port_text(service["name"], port) for port in service.get("ports") or ()]
    if ports:
        options["publish"] = ports
    links = plan_links(project, service)
    if links:
        options["link"] = links


def virtual_name(project: Project, service: Service) -> str:
    """What the networks of a service with `endpoint_mode: vip` keep its address under; empty: it has none."""
    mode = (service.get("deploy") or {}).get("endpoint_mode")
    return f"{project.name}_{service['name']}" if mode == "vip" else ""


def service_networks(service: Service) -> dict[str, Any]:
    """The networks a service is on; `default` where it says nothing."""
    if service.get("network_mode"):
        return {}
    if service.get("networks") is None:
        return {"default": None}
    return dict(service["networks"])


def ordered(attached: Mapping[str, Any]) -> list[str]:
    """By priority, the highest first, then by name: the first becomes the container's network mode."""
    return sorted(attached, key=lambda key: (-int((attached[key] or {}).get("priority") or 0), key))


def network_text(
    project: Project, service: Service, key: str, settings: Mapping[str, Any], vips: Mapping[str, str], *, one_off: bool
) -> str:
    """One network in the long form of ``--network``."""
    network = (project.model.get("networks") or {}).get(key)
    if network is None:
        raise InvalidArgument(f'service "{service["name"]}" refers to undefined network {key}')
    fields = [f"name={network['name']}"]
    if not one_off:
        aliases = dict.fromkeys([service["name"], *(settings.get("aliases") or ())])
        fields += [f"alias={alias}" for alias in aliases]
    for name, field in (("ipv4_address", "ip"), ("ipv6_address", "ip6"), ("gw_priority", "gw-priority")):
        if settings.get(name):
            fields.append(f"{field}={settings[name]}")
    is_first = key == ordered(service_networks(service))[0]  # the service's own address is the first network's
    mac = settings.get("mac_address") or (service.get("mac_address") if is_first else None)
    if mac:
        fields.append(f"mac-address={mac}")
    fields += [f"link-local-ip={address}" for address in settings.get("link_local_ips") or ()]
    options = {**(settings.get("driver_opts") or {}), **vips}
    if settings.get("interface_name"):
        options[_IFNAME] = settings["interface_name"]
    fields += [f"driver-opt={name}={value}" for name, value in options.items()]
    return ",".join(fields)


def port_text(service: str, port: Any) -> str:
    """``[ip:][published:]target/protocol``."""
    if isinstance(port, str):
        return port
    address = port.get("host_ip") or ""
    if ":" in address and not address.startswith("["):
        address = f"[{address}]"
    if not port.get("target"):
        raise InvalidArgument(f"services.{service}.ports: a port without target")
    target = f"{port['target']}/{port.get('protocol') or 'tcp'}"
    published = str(port.get("published") or "")
    if address:
        return f"{address}:{published}:{target}"
    return f"{published}:{target}" if published else target


def plan_links(project: Project, service: Service) -> list[str]:
    """`links` name services, `external_links` containers; on a user-defined network an alias is all a link is."""
    found = []
    for link in service.get("links") or ():
        name, _, alias = link.partition(":")
        found.append(f"{names.first_container(project, name)}:{alias or name}")
    return found + list(service.get("external_links") or ())
