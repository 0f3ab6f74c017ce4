"""``-p``: every form Docker's client takes (docker/go-connections nat), and how ports are shown."""

from __future__ import annotations

from pyctr.errors import InvalidArgument
from pyctr.network.address import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_range(text: str, *, whole: str) -> tuple[int, int]:
    """``80`` or ``80-90``; raises InvalidArgument naming the `whole` option."""
    first, dash, last = text.partition("-")
    numbers = []
    for part in (first, last) if dash else (first,):
        if not part.isascii() or not part.isdigit() or int(part) > 65535:
            raise InvalidArgument(f"invalid containerPort: {whole}")
        numbers.append(int(part))
    if numbers[-1] < numbers[0]:
        raise InvalidArgument(f"invalid range specified for port: {whole}")
    return numbers[0], numbers[-1]


def parse_publish(text: str) -> list[tuple[str, dict[str, str]]]:
    """``[ip:][host][:]container[/protocol]`` → (``80/tcp``, {HostIp, HostPort}) for each container port."""
    if "=" in text:
        return _parse_long(text)
    rest, slash, protocol = text.rpartition("/")
    if not slash:
        rest, protocol = text, "tcp"
    if protocol.lower() not in _PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    ip, host, container = _split(rest)
    if ip:
        ip = _check_ip(ip)
    if not container:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    return _bind(ip, host, parse_range(container, whole=container), protocol.lower())


def _split(text: str) -> tuple[str, str, str]:
    """IP, host port, container port; an IPv6 address stands in brackets."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise InvalidArgument(f"invalid publish opts format (should be name=value but got '{text}')")
        host, _, container = rest[1:].rpartition(":")
        return address, host, container
    parts = text.split(":")
    if len(parts) > 3:  # an IPv6 address without brackets
        return ":".join(parts[:-2]), parts[-2], parts[-1]
    first, second, third = ["", "", *parts][-3:]
    return first, second, third


def _check_ip(text: str) -> str:
    try:
        return str(parse_address(text))
    except InvalidArgument:
        raise InvalidArgument(f"invalid IP address: {text}") from None


def _bind(ip: str, host: str, container: tuple[int, int], protocol: str) -> list[tuple[str, dict[str, str]]]:
    first, last = container
    count = last - first + 1
    if not host:
        return [(f"{port}/{protocol}", {"HostIp": ip, "HostPort": ""}) for port in range(first, last + 1)]
    try:
        host_first, host_last = parse_range(host, whole=host)
    except InvalidArgument:
        raise InvalidArgument(f"invalid hostPort: {host}") from None
    if count == 1:
        return [
            (f"{first}/{protocol}", {"HostIp": ip, "HostPort": host if host_last > host_first else str(host_first)})
        ]
    if host_last - host_first + 1 != count:
        raise InvalidArgument(f"invalid ranges specified for container and host Ports: {first}-{last} and {host}")
    return [
        (f"{port}/{protocol}", {"HostIp": ip, "HostPort": str(host_first + port - first)})
        for port in range(first, last + 1)
    ]


def _parse_long(text: str) -> list[tuple[str, dict[str, str]]]:
    """``published=8080,target=80,protocol=tcp,mode=ingress,host_ip=…``."""
    values = {"published": "", "target": "", "protocol": "tcp", "mode": "ingress", "host_ip": ""}
    for field in text.split(","):
        key, _, value = field.partition("=")
        key = key.strip().lower()
        if key not in values:
            raise InvalidArgument(f"invalid field key {key}")
        values[key] = value.strip()
    if values["mode"] not in ("ingress", "host"):
        raise InvalidArgument(f"invalid publish mode value ({values['mode']}): must be either ingress or host")
    if values["protocol"] not in _PROTOCOLS:
        raise InvalidArgument(f"invalid protocol value ({values['protocol']}): must be one of tcp, udp, sctp")
    if not values["target"]:
        raise InvalidArgument("missing mandatory field 'target'")
    ip = _check_ip(values["host_ip"]) if values["host_ip"] else ""
    target = parse_range(values["target"], whole=values["target"])
    return _bind(ip, values["published"], target, values["protocol"])


def plan_ports(config: dict[str, Any], host_config: dict[str, Any], default_ip: str = "") -> list[dict[str, Any]]:
    """The monitor's `ports` of a record's PortBindings, ExposedPorts and PublishAllPorts."""
    bindings = {**(host_config["PortBindings"] or {})}
    if host_config["PublishAllPorts"]:
        for port in config.get("ExposedPorts") or {}:
            bindings.setdefault(port, [{"HostIp": "", "HostPort": ""}])
    ports = []
    for port, hosts in bindings.items():
        number, _, protocol = port.partition("/")
        for host in hosts or [{"HostIp": "", "HostPort": ""}]:
            text = host.get("HostPort") or "0"
            first, last = parse_range(text, whole=text)
            ip = host.get("HostIp") or default_ip
            ports.append(
                {
                    "protocol": protocol or "tcp",
                    "container_port": int(number),
                    "host_ip": ip,
                    "first": first,
                    "last": last,
                }
            )
    return ports


def show_host(ip: str, port: int) -> str:
    """``0.0.0.0:8080``, ``[::]:8080``."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def display(ports: list[dict[str, Any]]) -> str:
    """The PORTS column: published ports first as they are, runs of neighbours as ranges (docker/cli formatter)."""
    order = sorted(
        ports, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"])
    )
    groups: dict[tuple[str, str], list[list[int]]] = {}
    shown: list[str] = []
    singles: list[str] = []
    for port in order:
        private, public, ip = port["PrivatePort"], port.get("PublicPort", 0), port.get("IP", "")
        if ip and public != private:
            singles.append(f"{show_host(ip, public)}->{private}/{port['Type']}")
            continue
        runs = groups.setdefault((ip, port["Type"]), [])
        if runs and runs[-1][1] + 1 == private:
            runs[-1][1] = private
        elif not runs or not runs[-1][0] <= private <= runs[-1][1]:
            runs.append([private, private])
    for (ip, protocol), runs in groups.items():
        for first, last in runs:
            ends = str(first) if first == last else f"{first}-{last}"
            host = f"[{ip}]" if ":" in ip else ip
            shown.append(f"{host}:{ends}->{ends}/{protocol}" if ip else f"{ends}/{protocol}")
    return ", ".join([*shown, *singles])
