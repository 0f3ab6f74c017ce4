"""Networks as Docker's API asks for them, in the engine's options."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def ipam_options(ipam: Mapping[str, Any]) -> dict[str, Any]:
    """``IPAM`` of `POST /networks/create` as options of `network create`. Raises InvalidArgument."""
    options: dict[str, Any] = {}
    if ipam.get("Driver"):
        options["ipam_driver"] = str(ipam["Driver"])
    if ipam.get("Options"):
        options["ipam_opt"] = [f"{key}={value}" for key, value in ipam["Options"].items()]
    for config in ipam.get("Config") or ():
        if not config.get("Subnet") and any(config.get(key) for key in ("Gateway", "IPRange", "AuxiliaryAddresses")):
            raise InvalidArgument("invalid IPAM config: a gateway, range or auxiliary address needs a subnet")
        for key, name in (("Subnet", "subnet"), ("Gateway", "gateway"), ("IPRange", "ip_range")):
            if config.get(key):
                options.setdefault(name, []).append(str(config[key]))
        auxiliary = config.get("AuxiliaryAddresses") or config.get("AuxAddress") or {}
        if auxiliary:
            options.setdefault("aux_address", []).extend(f"{name}={address}" for name, address in auxiliary.items())
    return options
