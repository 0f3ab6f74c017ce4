"""A container's endpoints at a start: leases taken, the monitor's `network` planned (docs/networks.md)."""

from __future__ import annotations

import os

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyctr.network.store import Networks

REQUEST_VERSION = 1
#: Drivers of networks that are no networks.
PREDEFINED_ONLY = frozenset(("host", "null"))
#: Driver options of an endpoint: its aliases stand for an address that it shares with others → the family.
VIPS = {"pyctr.endpoint.vip": "ipv4", "pyctr.endpoint.vip6": "ipv6"}
#: Driver option of an endpoint: what its link is called inside.
IFNAME = "com.docker.network.endpoint.ifname"
_MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def settings_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Network name → what was asked for on it."""
    mode = record["HostConfig"]["NetworkMode"]
    if mode in ("none", "host") or mode.startswith("container:"):
        return {}
    settings: dict[str, dict[str, Any]] = record["Pyctr"].get("networks") or {
        "bridge" if mode == "default" else mode: {}
    }
    return settings


def is_true(options: dict[str, str], key: str) -> bool:
    """A driver option that is on unless it is switched off."""
    return options.get(key, "true").lower() not in ("false", "0", "f")


def plan_core_network(network: dict[str, Any]) -> dict[str, Any]:
    """A network as the core knows it."""
    options = network["Options"] or {}
    families: dict[str, dict[str, str | None] | None] = {"ipv4": None, "ipv6": None}
    for config in network["IPAM"]["Config"]:
        gateway = (config.get("Gateway") or "").partition("/")[0] or None
        family = "ipv6" if ":" in config["Subnet"] else "ipv4"
        families[family] = families[family] or {"subnet": config["Subnet"], "gateway": gateway}
    mtu = options.get(_MTU, "0")
    if not mtu.isascii() or not mtu.isdigit() or int(mtu) > 65535:
        raise InvalidArgument(f"invalid value for {_MTU}: {mtu}")
    return {
        "id": network["Id"],
        "name": network["Name"],
        "driver": network["Driver"],
        "link": network["Pyctr"]["link"],
        "temporary": network["Name"] == "bridge",
        **families,
        "internal": network["Internal"],
        "masquerade": is_true(options, _MASQUERADE),
        "icc": is_true(options, ICC),
        "mtu": int(mtu),
        "parent": network["Pyctr"]["parent"],
        "mode": network["Pyctr"]["mode"],
    }


def plan_names(record: dict[str, Any], network: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """What the container answers to: nothing on the default network, which has no name server."""
    if network["Name"] == "bridge":
        return []
    short = record["Id"][:12]
    hostname = record["Config"]["Hostname"]
    aliases = settings.get("aliases", ())
    names = [record["Name"].removeprefix("/"), *aliases, short, hostname]
    if is_member(settings):
        names = [name for name in names if name not in aliases] + [f"tasks.{alias}" for alias in aliases]
    return list(dict.fromkeys(name.lower() for name in names if name))


def interface_name(settings: dict[str, Any], taken: Iterable[str]) -> str:
    """What an endpoint's link is called inside: as asked, else the first of eth0, eth1, … that is nobody's."""
    asked: str = (settings.get("driver_opts") or {}).get(IFNAME, "")
    if asked:
        return asked
    used = set(taken)
    return next(name for name in (f"eth{index}" for index in range(len(used) + 1)) if name not in used)


def is_member(settings: dict[str, Any]) -> bool:
    """Whether an endpoint shares a virtual address with others."""
    return not VIPS.keys().isdisjoint(settings.get("driver_opts") or ())


def plan_endpoint(
    networks: Networks,
    record: dict[str, Any],
    network: dict[str, Any],
    settings: dict[str, Any],
    *,
    interface: str,
    is_live: Callable[[str], bool],
) -> dict[str, Any]:
    """One endpoint, its addresses leased."""
    from pyctr.network.address import mac_of, parse_address

    container_id = record["Id"]
    vip = {}
    if is_member(settings):
        from pyctr.network.virtual import plan_vip

        vip = {"vip": plan_vip(network, settings)}
    ipv4 = networks.lease(network, container_id, wanted=settings.get("ipv4", ""), version=4, is_live=is_live)
    try:
        ipv6 = networks.lease(network, container_id, wanted=settings.get("ipv6", ""), version=6, is_live=is_live)
    except BaseException:
        networks.release(network["Id"], [ipv4], container_id)
        raise
    mac = settings.get("mac") or mac_of(parse_address(ipv4) if ipv4 else None, os.urandom(4))
    return {
        "network": plan_core_network(network),
        "endpoint": os.urandom(32).hex(),
        "interface": interface,
        "mac": mac,
        "ipv4": ipv4,
        "ipv6": ipv6,
        "default_ipv4": False,
        "default_ipv6": False,
        "names": plan_names(record, network, settings),
        **vip,
    }


def elect_defaults(endpoints: list[dict[str, Any]], settings: dict[str, dict[str, Any]]) -> None:
    """Mark which endpoints have the default routes: the highest gw-priority, then the first name (libnetwork)."""

    def rank(endpoint: dict[str, Any]) -> tuple[int, str]:
        name = endpoint["network"]["name"]
        return -settings[name].get("gw_priority", 0), name

    for family in ("ipv4", "ipv6"):
        for endpoint in endpoints:
            endpoint["default_" + family] = False
        usable = [
            endpoint
            for endpoint in endpoints
            if endpoint[family] and not endpoint["network"]["internal"] and has_router(endpoint, family)
        ]
        if usable:
            min(usable, key=rank)["default_" + family] = True


def has_router(endpoint: dict[str, Any], family: str) -> bool:
    """Whether there is a way out by an endpoint's network."""
    network = endpoint["network"]
    return bool(network[family]["gateway"]) or (network["driver"] == "ipvlan" and network["mode"].startswith("l3"))


class Plan:
    """What a start needs: the monitor's request, and which networks as files say."""

    __slots__ = ("networks", "request")

    def __init__(self, request: dict[str, Any], networks: dict[str, dict[str, Any]]) -> None:
        self.request = request
        self.networks = networks


def plan_start(
    networks: Networks, record: dict[str, Any], containers_dir: str, is_live: Callable[[str], bool]
) -> Plan | None:
    """The endpoints of a record, addresses leased; None where there is nothing to make. On failure no lease is kept."""
    settings = settings_of(record)
    if not settings:
        return None
    from pyctr.network.port import plan_ports

    endpoints: list[dict[str, Any]] = []
    used: dict[str, dict[str, Any]] = {}
    by_name: dict[str, dict[str, Any]] = {}
    named = [asked["driver_opts"][IFNAME] for asked in settings.values() if IFNAME in (asked.get("driver_opts") or ())]
    try:
        for reference, asked in settings.items():
            network = networks.ready(networks.resolve(reference))
            if network["Driver"] in PREDEFINED_ONLY:
                raise InvalidArgument(f"container cannot be connected to network {reference} and others")
            used[network["Name"]], by_name[network["Name"]] = network, asked
            interface = interface_name(asked, [*named, *(end["interface"] for end in endpoints)])
            endpoints.append(plan_endpoint(networks, record, network, asked, interface=interface, is_live=is_live))
        elect_defaults(endpoints, by_name)
        default = next((used[end["network"]["name"]] for end in endpoints if end["default_ipv4"]), {})
        ports = plan_ports(record["Config"], record["HostConfig"], host_binding(default))
    except BaseException:
        release_plan(networks, endpoints, record["Id"])
        raise
    return Plan({**plan_nothing(networks, containers_dir), "endpoints": endpoints, "ports": ports}, used)


def plan_nothing(networks: Networks, containers_dir: str) -> dict[str, Any]:
    """The monitor's request of a container without networks."""
    return {
        "version": REQUEST_VERSION,
        "directory": networks.run_directory,
        "containers": containers_dir,
        "table": networks.table,
        "endpoints": [],
        "ports": [],
        "dns": None,
    }


def host_binding(network: dict[str, Any]) -> str:
    """The address ports are published on where none was named; empty: all of them."""
    address: str = (network.get("Options") or {}).get(_BINDING, "")
    return "" if address in ("0.0.0.0", "::") else address  # noqa: S104 (compared, not bound)


def release_plan(networks: Networks, endpoints: Iterable[dict[str, Any]], container_id: str) -> None:
    """Give back the leases of endpoints that will not be made."""
    for endpoint in endpoints:
        networks.release(endpoint["network"]["id"], [endpoint["ipv4"], endpoint["ipv6"]], container_id)
