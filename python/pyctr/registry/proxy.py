"""Which proxy stands before a URL: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go reads them (golang.org/x/net/http/httpproxy)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy for a URL, None for none. This machine itself is never behind one."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if host == "localhost" or not _uses_proxy(host, port, _get(environment, "NO_PROXY")):
        return None
    # CVE-2016-5385: inside a CGI program HTTP_PROXY is a header of the request.
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    if name == "HTTP_PROXY" and "REQUEST_METHOD" in environment and "http_proxy" not in environment:
        return None
    proxy = _get(environment, name)
    if not proxy:
        return None
    return proxy if "://" in proxy else "http://" + proxy


def _get(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.lower()) or ""


def _uses_proxy(host: str, port: int, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return False
    for text in filter(None, (part.strip().lower() for part in no_proxy.split(","))):
        if text == "*":
            return False
        entry = text
        name, colon, wanted = text.rpartition(":")
        if colon and wanted.isdigit() and (name.count(":") == 0 or name.startswith("[")):
            if int(wanted) != port:
                continue
            entry = name
        if _matches(host.lower(), address, entry.strip("[]")):
            return False
    return True


def _matches(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, entry: str) -> bool:
    try:
        if "/" in entry:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        if address is not None:
            return address == ipaddress.ip_address(entry)
    except ValueError:
        return False
    suffix = entry.removeprefix("*")
    # ``.example.com`` means what is below it; ``example.com`` the name itself too.
    return host.endswith(suffix if suffix.startswith(".") else "." + suffix) or host == suffix
