"""Compose projects: files to a model (`load`), as docker compose understands them. See docs/compose.md."""

from __future__ import annotations

from pyctr.compose.errors import ComposeError
from pyctr.compose.hash import config_hash
from pyctr.compose.load import Options, Project, load
from pyctr.compose.profiles import select

__all__ = ["ComposeError", "Options", "Project", "config_hash", "load", "select"]
