"""What the host's routes lead to, for whoever chooses a subnet: read where a network is made, not where a container starts."""

from __future__ import annotations

from pyctr.network.address import Subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUTES_V4 = "/proc/net/route"
_ROUTES_V6 = "/proc/net/ipv6_route"
#: fe80::/10 and ff00::/8 are on every link.
_SHARED_V6 = (Subnet(6, 0xFE80 << 112, 10), Subnet(6, 0xFF << 120, 8))
_REJECT = 0x200


def host_subnets() -> list[tuple[str, Subnet]]:
    """(link, subnet) of each route but the default ones."""
    found = []
    for path, parse in ((_ROUTES_V4, parse_routes_v4), (_ROUTES_V6, parse_routes_v6)):
        try:
            with open(path, encoding="ascii") as file:
                found += parse(file)
        except FileNotFoundError:  # a kernel without IPv6
            continue
    return found


def parse_routes_v4(lines: Iterable[str]) -> list[tuple[str, Subnet]]:
    """The form of /proc/net/route: addresses are hexadecimal in the machine's order (little-endian)."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) < 8 or fields[0] == "Iface":
            continue
        base, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
        bits = mask.bit_count()
        if bits:
            found.append((fields[0], Subnet(4, base, bits)))
    return found


def parse_routes_v6(lines: Iterable[str]) -> list[tuple[str, Subnet]]:
    """The form of /proc/net/ipv6_route."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) < 10:
            continue
        subnet = Subnet(6, int(fields[0], 16), int(fields[1], 16))
        shared = any(subnet.overlaps(other) for other in _SHARED_V6)
        if 0 < subnet.bits < 128 and not shared and fields[9] != "lo" and not int(fields[8], 16) & _REJECT:
            found.append((fields[9], subnet))
    return found
