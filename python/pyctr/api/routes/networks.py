"""`/networks`."""

from __future__ import annotations

from typing import Any

from pyctr.api.http import Request, Response, answer, empty
from pyctr.api.router import Route
from pyctr.errors import InvalidArgument


def list_networks(request: Request) -> Response:
    """Every network."""
    return answer([{**network, "Containers": {}} for network in request.engine.networks.list(request.filters())])


def inspect(request: Request, id: str) -> Response:
    """Everything about one."""
    return answer(request.engine.networks.inspect(id))


def create(request: Request) -> Response:
    """Make one."""
    from pyctr.engine.network_api import ipam_options

    body = request.json()
    if not body.get("Name"):
        raise InvalidArgument("network name is required")
    for field in ("Ingress", "ConfigOnly", "ConfigFrom"):
        value = body.get(field)
        if value and not (isinstance(value, dict) and not value.get("Network")):
            raise InvalidArgument(f"{field} is not supported")
    options: dict[str, Any] = {
        "driver": body.get("Driver") or "bridge",
        "internal": bool(body.get("Internal")),
        "attachable": bool(body.get("Attachable")),
        "opt": [f"{key}={value}" for key, value in (body.get("Options") or {}).items()],
        "label": [f"{key}={value}" for key, value in (body.get("Labels") or {}).items()],
        **ipam_options(body.get("IPAM") or {}),
    }
    if body.get("EnableIPv6"):
        options["ipv6"] = True
    if body.get("EnableIPv4") is False:
        options["ipv4"] = False
    return answer({"Id": request.engine.networks.create(body["Name"], options), "Warning": ""}, status=201)


def remove(request: Request, id: str) -> Response:
    """Remove one."""
    request.engine.networks.remove(id)
    return empty()


def connect(request: Request, id: str) -> Response:
    """Connect a container."""
    body = request.json()
    endpoint = body.get("EndpointConfig") or {}
    addresses = endpoint.get("IPAMConfig") or {}
    given = (("ip", addresses.get("IPv4Address")), ("ip6", addresses.get("IPv6Address")))
    options: dict[str, Any] = {key: value for key, value in given if value}
    if endpoint.get("GwPriority"):
        options["gw_priority"] = str(endpoint["GwPriority"])
    for key, field in (("alias", "Aliases"), ("link", "Links"), ("link_local_ip", "LinkLocalIPs")):
        value = (addresses if field == "LinkLocalIPs" else endpoint).get(field)
        if value:
            options[key] = list(value)
    if endpoint.get("DriverOpts"):
        options["driver_opt"] = [f"{key}={value}" for key, value in endpoint["DriverOpts"].items()]
    request.engine.networks.connect(id, body.get("Container", ""), options)
    return empty(200)


def disconnect(request: Request, id: str) -> Response:
    """Take a container off."""
    body = request.json()
    request.engine.networks.disconnect(id, body.get("Container", ""), force=bool(body.get("Force")))
    return empty(200)


def prune(request: Request) -> Response:
    """Remove those no container asks for."""
    return answer({"NetworksDeleted": request.engine.networks.prune(request.filters()) or None})


ROUTES = [
    Route("GET", "/networks", list_networks),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
]
