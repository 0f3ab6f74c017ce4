"""`version` and `info`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

#: Only for programs.
_NOT_SHOWN = ("DriverStatus", "Labels", "Warnings", "IndexServerAddress", "InitBinary")


def version(_engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show versions."""
    from pyctr import __version__

    host = os.uname()
    value = {
        "Client": {
            "Version": __version__,
            "PythonVersion": sys.version.split()[0],
            "Os": "linux",
            "Arch": host.machine,
            "KernelVersion": host.release,
        }
    }
    return _print(options, value, value["Client"], title="Client: pyctr")


def info(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show what this host offers and what is stored."""
    from pyctr.engine.system import info

    value = info(engine)
    shown = {
        key: item for key, item in value.items() if not isinstance(item, (dict, type(None))) and key not in _NOT_SHOWN
    }
    code = _print(options, value, shown, title="")
    for warning in value["Warnings"] or ():
        sys.stderr.write(f"{warning}\n")
    return code


def _print(options: dict[str, Any], value: dict[str, Any], shown: dict[str, Any], *, title: str) -> int:
    template = options.get("format")
    if template is not None:
        from pyctr.cli.format import compile_template

        sys.stdout.write(compile_template("{{json .}}" if template == "json" else template)(value) + "\n")
        return 0
    if title:
        sys.stdout.write(title + "\n")
    indent = " " if title else ""
    for key, item in shown.items():
        text = ", ".join(item) if isinstance(item, list) else item
        sys.stdout.write(f"{indent}{key}: {text}\n")
    return 0
