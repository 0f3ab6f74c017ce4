"""Names, name servers and ports. Ports and addresses need bridge networks, which are not there yet: refused by name."""

from __future__ import annotations

from pyctr.engine.options.units import bad_flag, quote
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_BRIDGE_ONLY = ("ip", "ip6", "mac_address", "link", "link_local_ip", "network_alias", "net_alias")


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Dns*, ExtraHosts and ExposedPorts; refuse what needs an endpoint."""
    host, config = request.host_config, request.config
    for key in _BRIDGE_ONLY:
        if options.get(key):
            raise InvalidArgument(f"--{key.replace('_', '-')}: needs a bridge network, which is not supported yet")
    host["ExtraHosts"] = [parse_host(text) for text in options.get("add_host", ())] or None
    host["Dns"] = [check_server(text) for text in options.get("dns", ())]
    host["DnsSearch"] = [check_domain(text) for text in options.get("dns_search", ())]
    host["DnsOptions"] = list(options.get("dns_option", ()))
    if any(character in option for option in host["DnsOptions"] for character in "\n\0"):
        raise InvalidArgument("--dns-option: invalid character")
    ports: dict[str, dict[str, Any]] = {}
    for text in options.get("expose", ()):
        ports |= {port: {} for port in parse_expose(text)}
    if ports:
        config["ExposedPorts"] = ports
    publishing = bool(options.get("publish") or options.get("publish_all"))
    if host["NetworkMode"] == "host":
        if publishing:
            request.warnings.append("Published ports are discarded when using host network mode")
    elif host["NetworkMode"].startswith("container:"):
        refuse_in_joined_network(host, ports, publishing=publishing)
    elif publishing:
        raise InvalidArgument("-p, --publish, -P: published ports need a bridge network, which is not supported yet")


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
        raise bad_flag(text, "--add-host", f"bad format for add-host: {quote(text)}")
    if address == "host-gateway":
        raise bad_flag(text, "--add-host", "host-gateway needs a bridge network, which is not supported yet")
    address = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if not is_address(address):
        raise bad_flag(text, "--add-host", f"invalid IP address in add-host: {quote(address)}")
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
        raise bad_flag(text, "--dns", f"IP address is not correctly formatted: {text}")
    return text.strip()


def check_domain(text: str) -> str:
    """A search domain; ``.`` means none."""
    domain = text.strip(" ")
    if domain == ".":
        return domain
    labels = domain.rstrip(".").split(".")
    valid = all(label and label[0] != "-" and label[-1] != "-" and is_label(label) for label in labels)
    if not valid or len(domain) > 255 or not any(character.isalpha() for character in domain):
        raise bad_flag(text, "--dns-search", f"{text} is not a valid domain")
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
