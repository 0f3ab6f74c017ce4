"""IP addresses and subnets as numbers. `ipaddress` costs a start four milliseconds, and does less."""

from __future__ import annotations

import _socket

from pyctr.errors import InvalidArgument

_FAMILIES = {4: (_socket.AF_INET, 32), 6: (_socket.AF_INET6, 128)}


class Address:
    """An address: `version` 4 or 6, `number`."""

    __slots__ = ("number", "version")

    def __init__(self, version: int, number: int) -> None:
        self.version, self.number = version, number

    def __str__(self) -> str:
        family, bits = _FAMILIES[self.version]
        return _socket.inet_ntop(family, self.number.to_bytes(bits // 8, "big"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.version, self.number) == (other.version, other.number)

    def __hash__(self) -> int:
        return hash((self.version, self.number))


class Subnet:
    """`base`/`bits`; of an interface's address the network it is in."""

    __slots__ = ("base", "bits", "version")

    def __init__(self, version: int, base: int, bits: int) -> None:
        self.version, self.bits = version, bits
        self.base = base >> self.host_bits << self.host_bits

    @property
    def host_bits(self) -> int:
        """How many bits tell its hosts apart."""
        return _FAMILIES[self.version][1] - self.bits

    @property
    def last(self) -> int:
        """Its last address."""
        return self.base + (1 << self.host_bits) - 1

    def __str__(self) -> str:
        return f"{Address(self.version, self.base)}/{self.bits}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subnet) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((self.version, self.base, self.bits))

    def overlaps(self, other: Subnet) -> bool:
        """Whether they share an address."""
        return self.version == other.version and self.base <= other.last and other.base <= self.last

    def contains(self, address: Address) -> bool:
        """Whether an address is in it."""
        return self.version == address.version and self.base <= address.number <= self.last

    def first_host(self) -> int:
        """Its first address a host can have (not the network's own, but in the smallest ones)."""
        return self.base if self.host_bits <= 1 else self.base + 1

    def last_host(self) -> int:
        """Its last address a host can have: not IPv4's broadcast address, but in the smallest ones."""
        return self.last if self.version == 6 or self.host_bits <= 1 else self.last - 1


def parse_address(text: str) -> Address:
    """An address without zone; raises InvalidArgument."""
    if "\0" not in text and text.isascii():
        for version, (family, _) in _FAMILIES.items():
            try:
                return Address(version, int.from_bytes(_socket.inet_pton(family, text), "big"))
            except OSError:
                continue
    raise InvalidArgument(f"invalid IP address: {text}")


def parse_subnet(text: str) -> Subnet:
    """``10.0.0.0/8``; bits behind the prefix are ignored, as Docker's client does. Raises InvalidArgument."""
    start, slash, bits = text.partition("/")
    invalid = InvalidArgument(f"invalid CIDR address: {text}")
    try:
        address = parse_address(start)
    except InvalidArgument:
        raise invalid from None
    if not slash or not bits.isascii() or not bits.isdigit() or int(bits) > _FAMILIES[address.version][1]:
        raise invalid
    return Subnet(address.version, address.number, int(bits))


def parse_mac(text: str) -> str:
    """A hardware address of a single host, lower case with colons; raises InvalidArgument."""
    parts = text.replace("-", ":").split(":")
    valid = len(parts) == 6 and all(len(part) == 2 and set(part.lower()) <= set("0123456789abcdef") for part in parts)
    if not valid or int(parts[0], 16) & 1:
        raise InvalidArgument(f"{text} is not a valid mac address")
    return ":".join(parts).lower()


def mac_of(address: Address | None, entropy: bytes) -> str:
    """A locally administered hardware address: Docker's ``02:42`` and the IPv4 address, else of `entropy` (4 bytes)."""
    rest = address.number.to_bytes(4, "big") if address is not None and address.version == 4 else entropy[:4]
    return "02:42:" + ":".join(f"{byte:02x}" for byte in rest)
