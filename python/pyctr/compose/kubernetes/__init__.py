"""`compose export --format kubernetes`: a project as manifests, and a list of every key they do not carry.

Each part takes the keys it carries out of its copy of a service; what is left over at the end is what was lost. Nothing is
dropped without a line in that list.
"""

from __future__ import annotations

from pyctr.compose.kubernetes.export import Export, export

__all__ = ["Export", "export"]
