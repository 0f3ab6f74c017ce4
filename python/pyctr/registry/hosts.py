"""Where a registry is: URLs to try for a name's domain, mirrors first, and the TLS each is spoken with."""

from __future__ import annotations

import ipaddress
import os
import ssl
from typing import TYPE_CHECKING

from pyctr.errors import PyctrError
from pyctr.image.reference import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

HUB_HOST = "registry-1.docker.io"
#: Docker's own place last: what is set up for it works here.
CERTIFICATES = ("/etc/pyctr/certs.d", "/etc/docker/certs.d")


class Settings:
    """What daemon.json says of registries; certificates are looked for in the first of the directories that has some."""

    __slots__ = ("certificates", "insecure", "mirrors")

    def __init__(
        self, *, mirrors: Sequence[str] = (), insecure: Sequence[str] = (), certificates: Sequence[str] = CERTIFICATES
    ) -> None:
        self.mirrors = list(mirrors)
        self.insecure = list(insecure)
        self.certificates = list(certificates)


class Endpoint:
    """One host to ask: scheme and host[:port], perhaps a path before ``/v2``; `insecure` need not prove who it is."""

    __slots__ = ("host", "insecure", "mirror", "path", "scheme")

    def __init__(self, scheme: str, host: str, *, path: str = "", insecure: bool = False, mirror: bool = False) -> None:
        self.scheme = scheme
        self.host = host
        self.path = path
        self.insecure = insecure
        self.mirror = mirror

    @property
    def url(self) -> str:
        """Everything before ``/v2/``."""
        return f"{self.scheme}://{self.host}{self.path}"

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, insecure={self.insecure}, mirror={self.mirror})"


def plan_endpoints(domain: str, settings: Settings, *, pull: bool) -> list[Endpoint]:
    """Hosts to try in turn. An insecure one is tried with TLS first, then without (moby registry/service_v2.go)."""
    endpoints: list[Endpoint] = []
    if domain == DEFAULT_DOMAIN:
        for url in settings.mirrors if pull else ():
            scheme, _, rest = url.rstrip("/").partition("://")
            host, slash, path = rest.partition("/")
            insecure = scheme == "http" or is_insecure(host, settings.insecure)
            endpoints.append(Endpoint(scheme, host, path=slash + path, insecure=insecure, mirror=True))
        return [*endpoints, Endpoint("https", HUB_HOST)]
    if is_insecure(domain, settings.insecure):
        return [Endpoint("https", domain, insecure=True), Endpoint("http", domain, insecure=True)]
    return [Endpoint("https", domain)]


def split_port(host: str) -> tuple[str, str]:
    """``[::1]:5000`` and ``host:5000`` → host without brackets, port or nothing."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port


def is_insecure(host: str, insecure: Sequence[str]) -> bool:
    """Whether a registry need not prove who it is: listed by name or network, or on this very machine, as Docker has it."""
    if host in insecure:
        return True
    name, _ = split_port(host)
    if name == "localhost" or name in insecure:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False  # Docker resolves the name and holds the address against the networks; a resolver may lie
    if address.is_loopback:
        return True
    for entry in insecure:
        try:
            if "/" in entry and address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def tls_context(host: str, settings: Settings, *, insecure: bool) -> ssl.SSLContext:
    """How to speak TLS with a host: the system's authorities and those of certs.d/HOST, with its client certificate.

    Raises PyctrError naming the file that cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    directory = None
    if host not in (".", "..") and "/" not in host:  # it may come from a redirect
        directory = next((f"{d}/{host}" for d in settings.certificates if os.path.isdir(f"{d}/{host}")), None)
    if directory is None:
        return context
    names = sorted(os.listdir(directory))
    for name in names:
        path = f"{directory}/{name}"
        try:
            if name.endswith(".crt"):
                context.load_verify_locations(cafile=path)
            elif name.endswith(".cert"):
                key = name.removesuffix(".cert") + ".key"
                if key not in names:
                    raise PyctrError(
                        f"missing key {key} for client certificate {name}", hint="CA certificates are .crt"
                    )
                context.load_cert_chain(path, f"{directory}/{key}")
            elif name.endswith(".key") and name.removesuffix(".key") + ".cert" not in names:
                raise PyctrError(f"missing client certificate {name.removesuffix('.key')}.cert for key {name}")
        except (OSError, ssl.SSLError) as error:
            raise PyctrError(f"use {path}: {getattr(error, 'strerror', None) or error}") from None
    return context
