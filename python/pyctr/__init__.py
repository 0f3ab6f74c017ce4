"""Docker without a daemon.

>>> import pyctr
>>> pyctr.Engine().containers.run("hello", remove=True)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.client import Engine as Engine
    from pyctr.errors import PyctrError as PyctrError

__version__ = "0.1.0"
__all__ = ["Engine", "PyctrError", "__version__"]

#: PEP 562: what the package offers → the module it is imported from when first touched.
_LAZY = {"Engine": "pyctr.client", "PyctrError": "pyctr.errors"}


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(__import__(module, fromlist=(name,)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
