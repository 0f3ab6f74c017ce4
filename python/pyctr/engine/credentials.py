"""Logging in and out: credentials are kept once a registry has taken them, where Docker keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.errors import InvalidArgument, RegistryError
from pyctr.image.reference import DEFAULT_DOMAIN, parse_reference
from pyctr.registry.credentials import HUB_KEY, ClientConfig, Credentials, server_key

if TYPE_CHECKING:
    from pyctr.engine import Engine


class Kept:
    """Where credentials went: a helper's name, or the path of the file that has them unencrypted."""

    __slots__ = ("helper", "path")

    def __init__(self, helper: str, path: str) -> None:
        self.helper = helper
        self.path = path


def domain_of(server: str) -> str:
    """The registry a server's name means. Raises InvalidArgument."""
    key = server_key(server)
    if key == HUB_KEY:
        return DEFAULT_DOMAIN
    try:
        # A name without a dot or a port is a host too, where a host is asked for.
        parse_reference(f"{key}/x" if "." in key or ":" in key else f"{key}:443/x")
    except InvalidArgument:
        raise InvalidArgument(f"{server}: not a registry's host or host:port") from None
    return key


def given_credentials(user: str, password: str, identity_token: str = "", registry_token: str = "") -> Credentials:
    """Credentials that a client brings along."""
    return Credentials(user, password, identity_token, registry_token)


def check_login(engine: Engine, server: str, credentials: Credentials) -> Credentials:
    """Try credentials; those to keep, which are an identity token if the registry's token server gives one.

    Raises RegistryError if the registry does not take them.
    """
    from pyctr.engine.transfer import make_transport
    from pyctr.registry.client import Registry

    domain = domain_of(server)
    transport = make_transport(engine)
    try:
        registry = Registry(domain, transport, pull=False, login=True, find=lambda: credentials)
        try:
            registry.ping()
        except RegistryError as error:
            if "authentication required" in str(error):
                url = registry.endpoints()[-1].url
                raise RegistryError(f"login attempt to {url}/v2/ failed with status: 401 Unauthorized") from None
            raise
    finally:
        transport.close()
    token = registry.auth.identity_token
    return Credentials(credentials.user, identity_token=token) if token else credentials


def login(engine: Engine, server: str, user: str, password: str) -> Kept:
    """Try credentials and keep them. Raises RegistryError if the registry does not take them; nothing is kept then."""
    credentials = check_login(engine, server, Credentials(user, password))
    config = ClientConfig()
    helper = config.store(server, credentials)
    return Kept(helper, "" if helper else config.path)


def logout(server: str) -> str:
    """Forget credentials, if there are any; whose."""
    ClientConfig().erase(server)
    return server_key(server)
