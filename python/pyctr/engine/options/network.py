"""Names, name servers, ports, links and addresses."""

from __future__ import annotations

from pyctr.engine.options.units import quote
from pyctr.errors import InvalidArgument, InvalidFlag
from pyctr.network.store import check_name

_LINK_NAME_MAX = 15

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Dns*, ExtraHosts, ports, links, and what is asked for on the networks."""
    host, config = request.host_config, request.config
    host["ExtraHosts"] = [parse_host(text) for text in options.get("add_host", ())] or None
    host["Dns"] = [check_server(text) for text in options.get("dns", ())]
    host["DnsSearch"] = [check_domain(text) for text in options.get("dns_search", ())]
    host["DnsOptions"] = [*options.get("dns_option", ()), *options.get("dns_opt", ())]
    if any(character in option for option in host["DnsOptions"] for character in "\n\0"):
        raise InvalidArgument("--dns-option: invalid character")
    ports: dict[str, dict[str, Any]] = {}
    for text in options.get("expose", ()):
        ports |= {port: {} for port in parse_expose(text)}
    for text in options.get("publish", ()):
        from pyctr.network.port import parse_publish

        for port, binding in parse_publish(text):
            ports[port] = {}
            host["PortBindings"].setdefault(port, []).append(binding)
    if ports:
        config["ExposedPorts"] = ports
    host["PublishAllPorts"] = bool(options.get("publish_all"))
    publishing = bool(host["PortBindings"] or host["PublishAllPorts"])
    if host["NetworkMode"] == "host" and publishing:
        request.warnings.append("Published ports are discarded when using host network mode")
    elif host["NetworkMode"].startswith("container:"):
        refuse_in_joined_network(host, ports, publishing=publishing)
    host["Links"] = [parse_link(text) for text in options.get("link", ())] or None
    apply_settings(request, options)


def apply_settings(request: Request, options: dict[str, Any]) -> None:
    """--ip, --network-alias and their kin belong to the first network."""
    own: dict[str, Any] = {}
    for key, name in (("ip", "ipv4"), ("ip6", "ipv6")):
        if options.get(key):
            own[name] = check_address(options[key], key, version=4 if key == "ip" else 6)
    if options.get("mac_address"):
        from pyctr.network.address import parse_mac

        own["mac"] = parse_mac(options["mac_address"])
    if options.get("link_local_ip"):
        raise InvalidArgument("--link-local-ip: link-local addresses are not supported")
    aliases = [*options.get("network_alias", ()), *options.get("net_alias", ())]
    if aliases:
        own["aliases"] = [check_alias(alias) for alias in aliases]
    mode = request.host_config["NetworkMode"]
    links = request.host_config["Links"]
    if not request.networks:
        if own or links:
            what = "links" if links and not own else "network settings"
            raise InvalidArgument(f"conflicting options: {what} and the network mode {mode.partition(':')[0]}")
        return
    first = request.networks[mode]
    for key, value in own.items():
        if first.get(key):
            word = {"ipv4": "ip", "ipv6": "ip6", "mac": "mac-address", "aliases": "network-alias"}[key]
            raise InvalidArgument(f"conflicting options: cannot specify both --{word} and per-network {word}")
        first[key] = value
    if links:
        first["links"] = list(links)
    refuse_on_default(request.networks.get("bridge", {}))


def refuse_on_default(settings: dict[str, Any]) -> None:
    """What an endpoint of the default bridge cannot have."""
    if settings.get("ipv4") or settings.get("ipv6"):
        raise InvalidArgument("user specified IP address is supported on user defined networks only")
    if settings.get("aliases"):
        raise InvalidArgument("network-scoped aliases are only supported for user-defined networks")


def parse_long_network(text: str) -> tuple[str, dict[str, Any]]:
    """``name=NET,alias=A,ip=…,ip6=…,mac-address=…,link-local-ip=…,driver-opt=K=V,gw-priority=N``."""
    name = ""
    settings: dict[str, Any] = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals or not value:
            raise InvalidFlag(text, "--network", f"invalid field {field}")
        if key == "name":
            name = value.strip()
        elif key == "alias":
            settings.setdefault("aliases", []).append(check_alias(value.strip()))
        elif key in ("ip", "ip6"):
            version = 4 if key == "ip" else 6
            settings[f"ipv{version}"] = check_address(value.strip(), key, version=version)
        elif key == "mac-address":
            from pyctr.network.address import parse_mac

            settings["mac"] = parse_mac(value.strip())
        elif key == "driver-opt":
            add_driver_option(settings, value)
        elif key == "gw-priority":
            settings["gw_priority"] = parse_priority(value)
        elif key == "link-local-ip":
            raise InvalidArgument("link-local-ip: link-local addresses are not supported")
        else:
            raise InvalidArgument(f"invalid field key {key}")
    if not name:
        raise InvalidArgument("no name set for network")
    check_name(name)
    return name, settings


def add_driver_option(settings: dict[str, Any], text: str) -> None:
    """``driver-opt=KEY=VALUE`` of an endpoint; raises InvalidArgument for one there is not."""
    from pyctr.network.plan import IFNAME, VIPS

    option, _, value = (part.strip() for part in text.partition("="))
    if option not in VIPS and option != IFNAME:
        raise InvalidArgument(f"driver option {option}: not supported by endpoints")
    if not value:
        raise InvalidArgument(f"driver option {option}: needs a value")
    if option == IFNAME and (len(value) > _LINK_NAME_MAX or "/" in value or " " in value or value == "lo"):
        raise InvalidArgument(f"driver option {option}: invalid interface name {value}")
    settings.setdefault("driver_opts", {})[option] = value


def parse_priority(text: str) -> int:
    """``gw-priority``."""
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid gw-priority: {text}") from None


def check_address(text: str, option: str, *, version: int) -> str:
    """An address a container may be given, in its one form."""
    from pyctr.network.address import parse_address

    try:
        address = parse_address(text)
    except InvalidArgument:
        raise InvalidFlag(text, f"--{option}", "invalid IP address") from None
    if address.version != version:
        raise InvalidArgument(f"invalid IPv{version} address: {text}")
    return str(address)


def check_alias(text: str) -> str:
    """A name on a network: it goes into answers and files, so nothing but what a name is made of."""
    if not text or len(text) > 253 or not text.isascii() or any(not (c.isalnum() or c in "-_.") for c in text):
        raise InvalidArgument(f"invalid network alias: {text!r}")
    return text


def parse_link(text: str) -> str:
    """``CONTAINER[:ALIAS]``, recorded with both."""
    name, colon, alias = text.partition(":")
    if not name or (colon and not alias) or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}")
    name = name.removeprefix("/")
    return f"{name}:{check_alias((alias or name).rpartition('/')[2])}"


def refuse_in_joined_network(host: dict[str, Any], ports: dict[str, Any], *, publishing: bool) -> None:
    """A joined network namespace has its own names and ports already."""
    for conflict, words in (
        (host["Dns"] or host["DnsSearch"] or host["DnsOptions"], "dns and the network mode"),
        (host["ExtraHosts"], "custom host-to-IP mapping and the network mode"),
        (publishing, "port publishing and the container type network mode"),
        (ports, "port exposing and the container type network mode"),
    ):
        if conflict:
            raise InvalidArgument(f"conflicting options: {words}")


def parse_host(text: str) -> str:
    """``name:address`` or ``name=address``, recorded with a colon."""
    name, separator, address = text.partition("=") if "=" in text.split(":", maxsplit=1)[0] else text.partition(":")
    if not separator or not name or any(character.isspace() or character == "\0" for character in name):
        raise InvalidFlag(text, "--add-host", f"bad format for add-host: {quote(text)}")
    if address == "host-gateway":
        return f"{name}:{address}"
    address = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if not is_address(address):
        raise InvalidFlag(text, "--add-host", f"invalid IP address in add-host: {quote(address)}")
    return f"{name}:{address}"


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address, a zone allowed."""
    import _socket

    if "\0" in text or not text.isascii():
        return False
    for family, form in ((_socket.AF_INET, text), (_socket.AF_INET6, text.partition("%")[0])):
        try:
            _socket.inet_pton(family, form)
        except OSError:
            continue
        return True
    return False


def check_server(text: str) -> str:
    """An address; white space around it is forgiven, as Docker does."""
    if not is_address(text.strip()):
        raise InvalidFlag(text, "--dns", f"IP address is not correctly formatted: {text}")
    return text.strip()


def check_domain(text: str) -> str:
    """A search domain; ``.`` means none."""
    domain = text.strip(" ")
    if domain == ".":
        return domain
    labels = domain.rstrip(".").split(".")
    valid = all(label and label[0] != "-" and label[-1] != "-" and is_label(label) for label in labels)
    if not valid or len(domain) > 255 or not any(character.isalpha() for character in domain):
        raise InvalidFlag(text, "--dns-search", f"{text} is not a valid domain")
    return domain


def is_label(text: str) -> bool:
    """Letters, digits, hyphen, underscore."""
    return text.isascii() and all(character.isalnum() or character in "-_" for character in text)


def parse_expose(text: str) -> list[str]:
    """``80``, ``80/udp``, ``80-90/tcp`` → ``["80/tcp", …]``."""
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    first, dash, last = ports.partition("-")
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f"invalid range format for --expose: {text}, error: invalid proto: {protocol}")
    for number in (first, last) if dash else (first,):
        if not number.isascii() or not number.isdigit():
            reason = f"strconv.ParseUint: parsing {quote(number)}: invalid syntax"
            raise InvalidArgument(f"invalid range format for --expose: {text}, error: {reason}")
        if int(number) > 65535:
            reason = f"strconv.ParseUint: parsing {quote(number)}: value out of range"
            raise InvalidArgument(f"invalid range format for --expose: {text}, error: {reason}")
    start, end = int(first), int(last) if dash else int(first)
    if end < start:
        raise InvalidArgument(f"invalid range format for --expose: {text}, error: invalid range specified for port")
    return [f"{port}/{protocol}" for port in range(start, end + 1)]
