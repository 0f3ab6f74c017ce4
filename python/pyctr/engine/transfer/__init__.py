"""Images to and from registries: `pull`, `push`, and what they share.

`connect` is where the configuration file becomes connections; `partial` keeps broken transfers, `layers` is the pull
pipeline. Progress goes to a `Report`; nothing here prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from pyctr.engine import Engine
    from pyctr.registry.client import Registry
    from pyctr.registry.transport import Transport

    class Report(Protocol):
        """Told what happens, in Docker's words (its JSON messages): a status, of which part, bytes done and to do."""

        def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
            """Take an event, from any thread."""


def silent(status: str, id: str = "", current: int = 0, total: int = 0) -> None:
    """The report of who does not want to know."""
    del status, id, current, total


def make_transport(engine: Engine) -> Transport:
    """Connections by the configuration file; certs.d beside that file comes first."""
    import os

    from pyctr.registry.hosts import CERTIFICATES, Settings
    from pyctr.registry.transport import Transport

    config = engine.config
    beside = os.path.join(os.path.dirname(os.path.abspath(config.path)), "certs.d")
    certificates = list(dict.fromkeys((beside, *CERTIFICATES)))
    settings = Settings(mirrors=config.registry_mirrors, insecure=config.insecure_registries, certificates=certificates)
    return Transport(settings)


def connect(engine: Engine, domain: str, *, pull: bool, insecure: bool = False) -> Registry:
    """A registry; to pull, mirrors are asked first. An `insecure` one need not prove who it is."""
    from pyctr.registry.client import Registry

    transport = make_transport(engine)
    if insecure:
        transport.settings.insecure.append(domain)
    given = engine.credentials
    if given is None:
        return Registry(domain, transport, pull=pull)
    return Registry(domain, transport, pull=pull, find=lambda: given)
