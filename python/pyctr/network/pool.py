"""Which subnet a new network gets, and which address a container. Pure: what is taken comes in as a value."""

from __future__ import annotations

from pyctr.errors import Conflict, InvalidArgument
from pyctr.network.address import Address, Subnet, parse_address, parse_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from typing import Any

#: libnetwork/ipamutils: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in pieces of /20.
DEFAULT_POOLS = (
    *(Subnet(4, (172 << 24) + (second << 16), 16) for second in range(17, 32)),
    *(Subnet(4, (192 << 24) + (168 << 16) + (third << 12), 20) for third in range(16)),
)


def choose_subnet(taken: Iterable[Subnet]) -> Subnet:
    """The first default pool that overlaps nothing; raises Conflict."""
    used = list(taken)
    for candidate in DEFAULT_POOLS:
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise Conflict("all predefined address pools have been fully subnetted")


def choose_subnet_v6(entropy: bytes) -> Subnet:
    """A /64 of a random unique local prefix (RFC 4193: 40 random bits)."""
    return Subnet(6, (0xFD << 120) + (int.from_bytes(entropy[:5], "big") << 80), 64)


class Pool:
    """The addresses of one subnet of a network that containers may have."""

    __slots__ = ("gateway", "reserved", "subnet", "window")

    def __init__(self, config: dict[str, Any]) -> None:
        self.subnet = parse_subnet(config["Subnet"])
        self.window = parse_subnet(config["IPRange"]) if config.get("IPRange") else self.subnet
        self.gateway = parse_address(config["Gateway"].partition("/")[0]) if config.get("Gateway") else None
        self.reserved = {parse_address(text) for text in (config.get("AuxiliaryAddresses") or {}).values()}
        if self.gateway is not None:
            self.reserved.add(self.gateway)

    def first_free(self, taken: Container[str], start: int | None = None) -> Address | None:
        """The lowest address nobody has, from `start` on; None when there is none left."""
        first = max(self.window.base, self.subnet.first_host(), start or 0)
        last = min(self.window.last, self.subnet.last_host())
        version = self.subnet.version
        for number in range(first, last + 1):
            address = Address(version, number)
            if address not in self.reserved and str(address) not in taken:
                return address
        return None

    def from_above(self) -> Iterator[Address]:
        """Every address that is not reserved, the highest first."""
        first = max(self.window.base, self.subnet.first_host())
        for number in range(min(self.window.last, self.subnet.last_host()), first - 1, -1):
            address = Address(self.subnet.version, number)
            if address not in self.reserved:
                yield address

    def check(self, address: Address) -> None:
        """Refuse an address no container can have here."""
        if not self.subnet.contains(address):
            raise InvalidArgument(f"invalid address {address}: It does not belong to any of this network's subnets")
        if not self.subnet.first_host() <= address.number <= self.subnet.last_host():
            raise InvalidArgument(f"invalid address {address}: it is the subnet's own")
        if address in self.reserved:
            raise Conflict("Address already in use")


def plan_ipam(
    subnets: list[str], gateways: list[str], ranges: list[str], auxiliary: dict[str, str]
) -> list[dict[str, Any]]:
    """IPAM.Config of ``network create``'s options, in Docker's words of refusal."""
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    configs: dict[Subnet, dict[str, Any]] = {}
    for text in subnets:
        subnet = parse_subnet(text)
        if any(subnet.overlaps(other) for other in configs):
            raise InvalidArgument("multiple overlapping subnet configuration is not supported")
        configs[subnet] = {"Subnet": str(subnet)}
    for key, texts in (("IPRange", ranges), ("Gateway", gateways)):
        for text in texts:
            found = _match(configs, parse_subnet(text) if key == "IPRange" else _host(parse_address(text)))
            if found is None:
                word = "ip-range" if key == "IPRange" else "gateway"
                raise InvalidArgument(f"no matching subnet for {word} {text}")
            if key in found:
                word = "ip-range" if key == "IPRange" else "gateway"
                raise InvalidArgument(f"cannot configure multiple {word}s ({text}, {found[key]}) on the same subnet")
            found[key] = text
    for subnet, config in configs.items():
        if subnet.version == 4 and subnet.bits > 30:
            raise InvalidArgument(f"invalid subnet {subnet}: no room for a gateway and a container")
        if (
            config.get("Gateway")
            and not subnet.first_host() <= parse_address(config["Gateway"]).number <= subnet.last_host()
        ):
            raise InvalidArgument(f"invalid gateway {config['Gateway']}: it is the subnet's own address")
    _add_auxiliary(configs, auxiliary)
    return list(configs.values())


def _add_auxiliary(configs: dict[Subnet, dict[str, Any]], auxiliary: dict[str, str]) -> None:
    for name, text in auxiliary.items():
        found = _match(configs, _host(parse_address(text)))
        if found is None:
            raise InvalidArgument(f"no matching subnet for aux-address {text}")
        address, subnet = parse_address(text), parse_subnet(found["Subnet"])
        kept = found.setdefault("AuxiliaryAddresses", {})
        # Docker gives away the gateway first, also the one it chooses itself.
        gateway = found.get("Gateway") or default_gateway({**found, "AuxiliaryAddresses": {}})
        taken = (gateway, *kept.values())
        own = not subnet.first_host() <= address.number <= subnet.last_host()
        if own or any(parse_address(other) == address for other in taken):
            raise InvalidArgument(f"failed to allocate secondary ip address ({name}:{text}): Address already in use")
        kept[name] = text


def _host(address: Address) -> Subnet:
    return Subnet(address.version, address.number, 32 if address.version == 4 else 128)


def _match(configs: dict[Subnet, dict[str, Any]], part: Subnet) -> dict[str, Any] | None:
    for subnet, config in configs.items():
        if subnet.version == part.version and subnet.base <= part.base and part.last <= subnet.last:
            return config
    return None


def default_gateway(config: dict[str, Any]) -> str:
    """The first address of a subnet, or of its ip-range where that was given (libnetwork ipam)."""
    window = parse_subnet(config.get("IPRange") or config["Subnet"])
    subnet = parse_subnet(config["Subnet"])
    auxiliary = set((config.get("AuxiliaryAddresses") or {}).values())
    number = max(window.base, subnet.first_host())
    while str(Address(subnet.version, number)) in auxiliary:
        number += 1
    return str(Address(subnet.version, number))
