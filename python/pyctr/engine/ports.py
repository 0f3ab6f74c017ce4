"""How ports are shown: pyctr.network's words, where the command line may ask for them."""

from __future__ import annotations

from pyctr.network.port import display, show_host

__all__ = ["display", "show_host"]
