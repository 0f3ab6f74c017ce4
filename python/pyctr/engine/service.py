"""The systemd unit that calls `pyctr system boot`, for the root of an engine (docs/restarts.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pyctr._core import write_atomic
from pyctr.engine import DEFAULT_ROOT, DEFAULT_RUN_ROOT
from pyctr.errors import InvalidArgument, PyctrError

if TYPE_CHECKING:
    from pyctr.engine import Engine

NAME = "pyctr.service"
_UNIT = """\
[Unit]
Description=Containers of pyctr that should run
After=network-online.target local-fs.target
Wants=network-online.target
RequiresMountsFor={root}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} system boot
# One container that cannot start is no failure of the unit: systemd would end all the others.
SuccessExitStatus=1
# Monitors pass a SIGTERM on as their container's stop signal and wait for its stop timeout.
KillMode=control-group
TimeoutStopSec=120

[Install]
WantedBy={target}
"""


def unit_directory() -> str:
    """Where units of this user belong."""
    if os.geteuid() == 0:
        return "/etc/systemd/system"
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return home + "/systemd/user"


def plan_unit(root: str, run_root: str, *, is_root: bool) -> str:
    """The unit's text. Raises InvalidArgument for a path that a unit cannot hold."""
    words = [sys.executable, "-m", "pyctr"]
    for flag, path, default in (("--root", root, DEFAULT_ROOT), ("--run-root", run_root, DEFAULT_RUN_ROOT)):
        if path != default:
            words += [flag, path]
    for word in (*words, root):
        if any(letter in word for letter in "\n\"'\\"):
            raise InvalidArgument(f"{word!r}: a systemd unit cannot name this path")
    command = " ".join(f'"{escape(word)}"' if " " in word else escape(word) for word in words)
    quoted = f'"{escape(root)}"' if " " in root else escape(root)
    target = "multi-user.target" if is_root else "default.target"
    return _UNIT.format(root=quoted, command=command.replace("$", "$$"), target=target)


def escape(text: str) -> str:
    """Specifiers begin with a percent sign (systemd.unit(5))."""
    return text.replace("%", "%%")


def install_unit(engine: Engine, directory: str | None = None) -> str:
    """Write the unit and have it wanted at boot; its path. systemd reads it at once where it runs."""
    chosen = directory or unit_directory()
    is_root = os.geteuid() == 0
    text = plan_unit(engine.root, engine.run_root, is_root=is_root)
    path = f"{chosen}/{NAME}"
    wants = f"{chosen}/{'multi-user' if is_root else 'default'}.target.wants"
    try:
        os.makedirs(wants, 0o755, exist_ok=True)
        write_atomic(path, text.encode(), mode=0o644)
        if not os.path.lexists(f"{wants}/{NAME}"):
            os.symlink(f"../{NAME}", f"{wants}/{NAME}")
    except OSError as error:
        raise PyctrError(f"write {path}: {os.strerror(error.errno or 0).lower()}") from None
    reload_systemd(directory)
    return path


def remove_unit(directory: str | None = None) -> str:
    """Take the unit away; its path. What it started goes on."""
    chosen = directory or unit_directory()
    path = f"{chosen}/{NAME}"
    for name in (f"{chosen}/multi-user.target.wants/{NAME}", f"{chosen}/default.target.wants/{NAME}", path):
        try:
            os.unlink(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise PyctrError(f"remove {name}: {os.strerror(error.errno or 0).lower()}") from None
    reload_systemd(directory)
    return path


def reload_systemd(directory: str | None) -> None:
    """Have a systemd that runs here read its units again; a unit somewhere else is not its affair."""
    if directory is not None or not os.path.isdir("/run/systemd/system"):
        return
    scope = [] if os.geteuid() == 0 else ["--user"]
    done = subprocess.run(["systemctl", *scope, "daemon-reload"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PyctrError(f"systemctl daemon-reload: {done.stderr.strip()}")
