"""`version` and `info`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


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
    found = engine.containers.list(all=True)
    states = [item.state for item in found]
    host = os.uname()
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    value = {
        "Containers": len(found),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len(engine.image_store.images()),
        "Driver": "overlay2",
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if unified else "1",
        "KernelVersion": host.release,
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": host.nodename,
        "DockerRootDir": engine.root,
        "SecurityOptions": ["name=seccomp,profile=builtin"],
    }
    return _print(options, value, value, title="")


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
