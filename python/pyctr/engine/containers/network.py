"""A container's networks at its start and end: leases, the files in /etc that depend on them, links, what shows of them."""

from __future__ import annotations

import os

from pyctr._core import network_release, rootless_keeper, write_atomic
from pyctr.engine import times
from pyctr.engine.containers.files import plan_hosts, plan_resolv_conf
from pyctr.engine.host import read_text
from pyctr.errors import CorruptData, NotFound, StateError
from pyctr.network.plan import Plan, plan_start, release_plan
from pyctr.network.store import Networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

_RESOLVED = "/run/systemd/resolve/resolv.conf"
_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")
#: slirp4netns's, which asks whom the host asks (docs/rootless.md).
_PROXY_SERVER = "10.0.2.3"
_NAME_SERVER = "127.0.0.11"


def networks_of(store: Store) -> Networks:
    """The networks of the same root."""
    return Networks(store.root, store.run_root, times.now)


def prepare_network(store: Store, record: dict[str, Any]) -> tuple[Plan | None, list[str]]:
    """Lease addresses and write /etc/hosts and /etc/resolv.conf; the plan, and the environment of links.

    For who holds the container's lock. On failure no lease is kept.
    """
    networks = networks_of(store)
    plan = plan_start(networks, record, store.containers_dir, store.is_locked)
    if plan is None:
        return None, []
    endpoints = plan.request["endpoints"]
    try:
        links = resolve_links(store, networks, record)
        plan.request["dns"] = plan_dns(endpoints, record, links)
        write_hosts(store, networks, record, endpoints, links)
        write_resolv_conf(store, record, plan.request)
        return plan, [variable for link in links for variable in link.environment(record)]
    except BaseException:
        release_plan(networks, endpoints, record["Id"])
        raise


def release_network(store: Store, container_id: str) -> None:
    """What a monitor that was killed left of a container's endpoints. For who holds the container's lock."""
    networks = networks_of(store)
    if not os.path.isdir(networks.run_directory):
        return
    network_release(networks.run_directory, networks.table, container_id)
    try:
        request = store.read(container_id, "monitor.json").get("network") or {}
    except (NotFound, CorruptData):
        return
    # Leases of a start that was killed before its endpoint was up.
    release_plan(networks, request.get("endpoints", ()), container_id)


# -- links ---------------------------------------------------------------------------------------------------------


class Link:
    """``--link``: another container that runs, and what it is called."""

    __slots__ = ("alias", "ipv4", "ipv6", "record")

    def __init__(self, record: dict[str, Any], alias: str, endpoint: dict[str, Any]) -> None:
        self.record, self.alias = record, alias
        self.ipv4, self.ipv6 = endpoint["ipv4"], endpoint["ipv6"]

    def hosts(self) -> list[str]:
        """Its lines of /etc/hosts: alias, short id or host name, container name."""
        names = list(
            dict.fromkeys((self.alias, self.record["Config"]["Hostname"], self.record["Name"].removeprefix("/")))
        )
        return [f"{address}\t{' '.join(names)}\n" for address in (self.ipv4, self.ipv6) if address]

    def environment(self, record: dict[str, Any]) -> list[str]:
        """The variables Docker sets for a link on the default network (moby daemon/links)."""
        prefix = self.alias.upper().replace("-", "_")
        found = [f"{prefix}_NAME={record['Name']}/{self.alias}"]
        ports = sorted(self.record["Config"].get("ExposedPorts") or {}, key=_port_order)
        for index, text in enumerate(ports):
            port, _, protocol = text.partition("/")
            url = f"{protocol}://{self.ipv4 or self.ipv6}:{port}"
            if index == 0:
                found.append(f"{prefix}_PORT={url}")
            name = f"{prefix}_PORT_{port}_{protocol.upper()}"
            found += [
                f"{name}={url}",
                f"{name}_ADDR={self.ipv4 or self.ipv6}",
                f"{name}_PORT={port}",
                f"{name}_PROTO={protocol}",
            ]
        own = ("PATH", "HOME", "HOSTNAME")
        variables = [text for text in self.record["Config"]["Env"] if "=" in text and text.partition("=")[0] not in own]
        return found + [f"{prefix}_ENV_{variable}" for variable in variables]


def _port_order(text: str) -> tuple[str, int]:
    port, _, protocol = text.partition("/")
    return protocol, int(port)


def resolve_links(store: Store, networks: Networks, record: dict[str, Any]) -> list[Link]:
    """Each linked container, which must run and share a network. Raises StateError, NotFound."""
    links = []
    for text in record["HostConfig"]["Links"] or ():
        name, _, alias = text.partition(":")
        other = store.record(store.resolve(name))
        shared = (networks.endpoint(networks.resolve(network)["Id"], other["Id"]) for network in networks_named(record))
        endpoint = next((found for found in shared if found), None)
        if endpoint is None:
            raise StateError(f"Cannot link to a non running container: {other['Name']} AS {record['Name']}/{alias}")
        links.append(Link(other, alias, endpoint))
    return links


def networks_named(record: dict[str, Any]) -> list[str]:
    """The networks a record asks for."""
    from pyctr.network.plan import settings_of

    return list(settings_of(record))


# -- files ---------------------------------------------------------------------------------------------------------


def write_hosts(
    store: Store, networks: Networks, record: dict[str, Any], endpoints: list[dict[str, Any]], links: list[Link]
) -> None:
    """/etc/hosts: the fixed part, --add-host, links of the default network, the container's own names."""
    host = dict(record["HostConfig"])
    if any(extra.endswith(":host-gateway") for extra in host["ExtraHosts"] or ()):
        host["ExtraHosts"] = resolve_gateway(networks, host["ExtraHosts"])
    text = plan_hosts(host)
    if any(endpoint["network"]["name"] == "bridge" for endpoint in endpoints):
        text += "".join(line for link in links for line in link.hosts())
    text += "".join(own_hosts(record["Config"], endpoint) for endpoint in endpoints)
    write_atomic(f"{store.path(record['Id'])}/hosts", text.encode(), mode=0o644, sync=False)


def own_hosts(config: dict[str, Any], endpoint: dict[str, Any]) -> str:
    """The container's own lines for one endpoint."""
    names = config["Hostname"]
    if config["Domainname"]:
        names = f"{names}.{config['Domainname']} {names}"
    return "".join(f"{endpoint[family]}\t{names}\n" for family in ("ipv4", "ipv6") if endpoint[family])


def resolve_gateway(networks: Networks, extra: list[str]) -> list[str]:
    """``host-gateway`` is the host's address on the default network."""
    gateway = networks.load("bridge")["IPAM"]["Config"][0]["Gateway"]
    return [text.removesuffix("host-gateway") + gateway if text.endswith(":host-gateway") else text for text in extra]


def write_resolv_conf(store: Store, record: dict[str, Any], request: dict[str, Any]) -> None:
    """/etc/resolv.conf: the name server's on user-defined networks, else the host's without what is local to it."""
    text = host_resolv_conf()
    if request["dns"] is not None:
        content = plan_named_resolv_conf(record["HostConfig"], text)
    else:
        ipv6 = any(endpoint["ipv6"] for endpoint in request["endpoints"])
        content = plan_resolv_conf(record["HostConfig"], filter_servers(text, ipv6=ipv6))
    write_atomic(
        f"{store.path(record['Id'])}/resolv.conf", content.encode(errors="surrogateescape"), mode=0o644, sync=False
    )


def host_resolv_conf() -> str:
    """The host's; where that names only systemd's stub, the file behind it."""
    text = read_text("/etc/resolv.conf")
    servers = name_servers(text)
    if servers == ["127.0.0.53"] and os.path.exists(_RESOLVED):
        return read_text(_RESOLVED)
    return text


def name_servers(text: str) -> list[str]:
    """The addresses of a resolv.conf, in order."""
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def is_local(address: str) -> bool:
    """An address of the host's own loopback, which a container cannot reach."""
    return address.startswith("127.") or address == "::1"


def fallback_servers() -> list[str]:
    """Who is asked where the host names nobody a container could reach."""
    return list(_FALLBACK_SERVERS) if rootless_keeper() is None else [_PROXY_SERVER]


def filter_servers(text: str, *, ipv6: bool) -> str:
    """A resolv.conf a container can use: no loopback addresses, IPv6 only with IPv6; Docker's own servers if none is left."""
    kept = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and (is_local(words[1]) or (":" in words[1] and not ipv6)):
            continue
        kept.append(line)
    if not name_servers("\n".join(kept)):
        kept += [f"nameserver {server}" for server in fallback_servers()]
    return "\n".join(kept) + "\n"


def plan_named_resolv_conf(host_config: dict[str, Any], text: str) -> str:
    """resolv.conf of a container on a user-defined network: names without a dot are asked of the name server too (ndots:0)."""
    search = host_config["DnsSearch"]
    options = host_config["DnsOptions"]
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["search"] and not search:
            search = words[1:]
        if words[:1] == ["options"] and not options:
            options = words[1:]
    lines = [f"nameserver {_NAME_SERVER}"]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if not any(option.startswith("ndots:") for option in options):
        options = [*options, "ndots:0"]
    lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def plan_dns(endpoints: list[dict[str, Any]], record: dict[str, Any], links: list[Link]) -> dict[str, Any] | None:
    """The name server's part of the request; None where there is only the default network, as in Docker."""
    if all(endpoint["network"]["name"] == "bridge" for endpoint in endpoints):
        return None
    servers = record["HostConfig"]["Dns"] or name_servers(read_text("/etc/resolv.conf"))
    if rootless_keeper() is not None:  # the monitor asks from the user's network, where the host's loopback is not
        servers = [server for server in servers if not is_local(server)]
    servers = servers or fallback_servers()
    return {
        "servers": [server.partition("%")[0] for server in servers],
        "forward": any(not endpoint["network"]["internal"] for endpoint in endpoints),
        "links": {link.alias.lower(): link.record["Id"] for link in links},
    }


# -- what shows ----------------------------------------------------------------------------------------------------


def inspect_endpoints(store: Store, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`NetworkSettings.Networks`: a network at a time, addresses while the container runs."""
    from pyctr.network.plan import settings_of

    networks = networks_of(store)
    mode = record["HostConfig"]["NetworkMode"]
    asked = settings_of(record) or ({} if mode.startswith("container:") else {mode: {}})
    found = {}
    for reference, settings in asked.items():
        try:
            network = networks.resolve(reference)
        except NotFound:  # removed while the container was stopped
            found[reference] = shown_endpoint(None, None, settings)
        else:
            endpoint = networks.endpoint(network["Id"], record["Id"])
            found[network["Name"]] = shown_endpoint(network, endpoint, settings)
    return found


def shown_endpoint(
    network: dict[str, Any] | None, endpoint: dict[str, Any] | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """One of `NetworkSettings.Networks`, in Docker's form."""
    wanted = {"IPv4Address": settings.get("ipv4"), "IPv6Address": settings.get("ipv6")}
    ipam: dict[str, str] | None = {key: value for key, value in wanted.items() if value} or None
    shown: dict[str, Any] = {
        "IPAMConfig": ipam,
        "Links": settings.get("links") or None,
        "Aliases": settings.get("aliases") or None,
        "MacAddress": settings.get("mac", ""),
        "DriverOpts": settings.get("driver_opts") or None,
        "GwPriority": settings.get("gw_priority", 0),
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
    if network is None or endpoint is None:
        return shown
    shown |= {
        "MacAddress": endpoint["mac"],
        "NetworkID": network["Id"],
        "EndpointID": endpoint["endpoint"],
        "DNSNames": [*(endpoint.get("vip") or {}).get("names", ()), *endpoint["names"]] or None,
    }
    for config in network["IPAM"]["Config"]:
        bits, gateway = int(config["Subnet"].partition("/")[2]), config.get("Gateway", "")
        if ":" in config["Subnet"] and endpoint["ipv6"]:
            shown |= {"IPv6Gateway": gateway, "GlobalIPv6Address": endpoint["ipv6"], "GlobalIPv6PrefixLen": bits}
        elif ":" not in config["Subnet"] and endpoint["ipv4"]:
            shown |= {"Gateway": gateway, "IPAddress": endpoint["ipv4"], "IPPrefixLen": bits}
    return shown


def endpoints_of(store: Store, record: dict[str, Any]) -> list[dict[str, Any]]:
    """A container's endpoints while it runs."""
    networks = networks_of(store)
    found = []
    for reference in networks_named(record):
        try:
            endpoint = networks.endpoint(networks.resolve(reference)["Id"], record["Id"])
        except NotFound:  # removed while the container was stopped
            continue
        if endpoint is not None:
            found.append(endpoint)
    return found


def published_ports(store: Store, record: dict[str, Any]) -> dict[str, list[dict[str, str]] | None]:
    """`NetworkSettings.Ports`: exposed ports too, without bindings; nothing where no network is up."""
    endpoints = endpoints_of(store, record)
    ports: dict[str, list[dict[str, str]] | None] = {}
    if not endpoints:
        return ports
    for endpoint in endpoints:
        for port in endpoint["ports"]:
            bindings = ports.setdefault(f"{port['container_port']}/{port['protocol']}", [])
            if bindings is not None:
                bindings.append({"HostIp": port["host_ip"], "HostPort": str(port["host_port"])})
    for text in record["Config"].get("ExposedPorts") or {}:
        ports.setdefault(text, None)
    return dict(sorted(ports.items()))


def list_ports(store: Store, record: dict[str, Any]) -> list[dict[str, Any]]:
    """`Ports` of the API's container list: published ones, then those only exposed."""
    shown: list[dict[str, Any]] = []
    for text, bindings in published_ports(store, record).items():
        number, _, protocol = text.partition("/")
        shown += [
            {
                "IP": binding["HostIp"],
                "PrivatePort": int(number),
                "PublicPort": int(binding["HostPort"]),
                "Type": protocol,
            }
            for binding in bindings or ()
        ]
        if not bindings:
            shown.append({"PrivatePort": int(number), "Type": protocol})
    return shown
