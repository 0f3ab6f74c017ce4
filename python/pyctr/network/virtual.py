"""Virtual addresses: one address that leads to each of several containers in turn (docs/networks.md, ADR 0012).

Which it is is the network's matter: an auxiliary address, so no container is given it. An endpoint says by the driver options
`pyctr.endpoint.vip` and `pyctr.endpoint.vip6` that its aliases stand for it.
"""

from __future__ import annotations

import os

from pyctr.errors import Conflict, InvalidArgument
from pyctr.network.address import parse_address
from pyctr.network.plan import ICC, VIPS, is_true
from pyctr.network.pool import Pool
from pyctr.network.store import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.network.store import Networks


def check_network(network: dict[str, Any]) -> None:
    """Raise InvalidArgument for a network whose packets the host does not see, or must not carry."""
    why = ""
    if network["Driver"] != "bridge":
        why = f"driver {network['Driver']}"
    elif not is_true(network["Options"] or {}, ICC):
        why = f"{ICC}=false"
    if why:
        raise InvalidArgument(f"network {network['Name']} has no virtual addresses ({why})")


def plan_vip(network: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """An endpoint's `vip` in the monitor's request; raises InvalidArgument for an address the network does not keep."""
    check_network(network)
    kept = {parse_address(address) for config in network["IPAM"]["Config"] for address in auxiliary(config).values()}
    found: dict[str, Any] = {"names": [alias.lower() for alias in settings.get("aliases", ())]}
    for option, family in VIPS.items():
        given = settings["driver_opts"].get(option)
        address = parse_address(given) if given is not None else None
        if address is not None and (address not in kept or f"ipv{address.version}" != family):
            raise InvalidArgument(
                f"{option}={given}: not an auxiliary address of network {network['Name']} of that kind"
            )
        found[family] = address and str(address)
    return found


def auxiliary(config: dict[str, Any]) -> dict[str, str]:
    """Addresses of a subnet that no container is given, by name."""
    return config.get("AuxiliaryAddresses") or {}


def reserve(networks: Networks, name: str, key: str) -> dict[str, str]:
    """Addresses of a network kept under `key`, one of each family it has, as an endpoint's driver options.

    They are chosen when first asked for, and the same ever after.

    Raises NotFound, InvalidArgument (no such addresses there), Conflict (none left).
    """
    lock = networks.lock()
    try:
        network = networks.load(name)
        check_network(network)
        found: dict[str, str] = {}
        chosen = False
        for config in network["IPAM"]["Config"]:
            family = "ipv6" if ":" in config["Subnet"] else "ipv4"
            option = next(option for option, kind in VIPS.items() if kind == family)
            if option in found:
                continue  # a container has one address of a family, and its network's first subnet of it
            kept = auxiliary(config)
            if key not in kept:
                config["AuxiliaryAddresses"] = kept | {key: choose(networks, network, config)}
                chosen = True
            found[option] = config["AuxiliaryAddresses"][key]
        if chosen:
            networks.save(network)
        return found
    finally:
        os.close(lock)


def choose(networks: Networks, network: dict[str, Any], config: dict[str, Any]) -> str:
    """The highest address nobody has: containers are given the lowest.

    Its lease stays, the network's own, for a start that has read the network before it said so.
    """
    directory = networks.home(network["Id"]) + "/addresses"
    for address in Pool(config).from_above():
        if take(directory, str(address), network["Id"]):
            return str(address)
    raise Conflict(f"no available addresses in {config['Subnet']} of network {network['Name']} for a virtual address")


def release(networks: Networks, name: str, key: str) -> None:
    """Keep nothing under `key` any more."""
    lock = networks.lock()
    try:
        network = networks.load(name)
        for config in network["IPAM"]["Config"]:
            address = auxiliary(config).pop(key, None)
            if address is not None:
                networks.release(network["Id"], [address], network["Id"])
        networks.save(network)
    finally:
        os.close(lock)
