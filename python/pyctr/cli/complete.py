"""Shell completion: what can stand at the cursor. Reads the table and a few directories, imports nothing heavy.

`pyctr __complete WORD...` prints a candidate a line, ``word<tab>what it is``, and at last ``:files``, ``:dirs``,
``:nospace`` or ``:``, which tells the shell what else to do. The last word is the one at the cursor.
"""

from __future__ import annotations

import os
import sys

from pyctr.cli import names
from pyctr.cli.table import ALIASES, COMMANDS, FLAG, GLOBAL, GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILES, DIRECTORIES, NO_SPACE, NOTHING = ":files", ":dirs", ":nospace", ":"
#: Command → what its arguments name; the last kind goes on.
_ARGUMENTS = {
    "run": ("image", ""), "create": ("image", ""), "exec": ("running", ""), "attach": ("running",), "start": ("container",),
    "rm": ("container",), "kill": ("running",), "stop": ("running",), "restart": ("container",), "cp": ("path",),
    "stats": ("running",), "top": ("running", ""), "pause": ("running",), "unpause": ("running",), "update": ("container",),
    "wait": ("container",), "rename": ("container", ""), "logs": ("container", ""), "inspect": ("any",), "port": ("running", ""),
    "commit": ("container", "image"), "diff": ("container", ""), "export": ("container", ""), "import": ("file", "image"),
    "rmi": ("image",), "tag": ("image", ""), "history": ("image", ""), "save": ("image",), "push": ("image", ""),
    "pull": ("image", ""), "image inspect": ("image",), "container inspect": ("container",), "network connect":
    ("network", "container"), "network disconnect": ("network", "container"), "network inspect": ("network",),
    "network rm": ("network",), "volume inspect": ("volume",), "volume rm": ("volume",), "build": ("directory",),
    "completion": ("shell", ""),
}  # fmt: skip
_SIGNALS = ("HUP", "INT", "KILL", "QUIT", "STOP", "CONT", "TERM", "USR1", "USR2", "WINCH")
#: Option → kind of its value, or the values there are.
_VALUES: dict[str, str | tuple[str, ...]] = {
    "network": "network", "net": "network", "volumes-from": "container", "link": "container", "env-file": "file",
    "label-file": "file", "cidfile": "file", "file": "file", "input": "file", "output": "file", "config-file": "file",
    "root": "directory", "run-root": "directory", "volume": "source", "workdir": "", "iidfile": "file", "metadata-file": "file",
    "restart": ("no", "on-failure", "always", "unless-stopped"), "pull": ("always", "missing", "never"),
    "signal": _SIGNALS, "stop-signal": _SIGNALS, "log-driver": ("json-file", "local", "syslog", "none"),
    "pid": ("host", "container:"), "ipc": ("private", "shareable", "host", "none", "container:"), "uts": ("host",),
    "userns": ("host", "remap"), "cgroupns": ("host", "private"), "type": ("container", "image", "network", "volume"),
    "attach": ("stdin", "stdout", "stderr"), "progress": ("auto", "plain", "tty", "json"), "driver": ("bridge", "macvlan", "ipvlan"),
    "format": ("json", "table"), "security-opt": ("no-new-privileges", "seccomp=", "apparmor="),
    "cap-add": ("ALL", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_TIME"), "cap-drop": ("ALL", "MKNOD", "NET_RAW", "SETUID"),
    "platform": ("linux/amd64", "linux/arm64"),
}  # fmt: skip
#: Command → keys of its `--filter`.
_FILTERS = {
    "ps": ("ancestor=", "before=", "exited=", "health=", "id=", "label=", "name=", "network=", "publish=", "since=", "status=", "volume="),
    "images": ("before=", "dangling=", "label=", "reference=", "since=", "until="),
    "volume ls": ("dangling=", "driver=", "label=", "name="),
    "network ls": ("dangling=", "driver=", "id=", "label=", "name=", "scope=", "type="),
    "events": ("action=", "container=", "event=", "image=", "label=", "network=", "type=", "volume="),
}  # fmt: skip
SHELLS = ("bash", "fish", "zsh")


class Place:
    """Where names are looked for."""

    __slots__ = ("root", "run_root")

    def __init__(self, settings: dict[str, str]) -> None:
        root, run_root = "/var/lib/pyctr", "/run/pyctr"
        if os.geteuid():
            from pyctr.engine.rootless import default_root, default_run_root

            root, run_root = default_root(), default_run_root()
        self.root = settings.get("root") or os.environ.get("PYCTR_ROOT") or root
        self.run_root = settings.get("run-root") or os.environ.get("PYCTR_RUN_ROOT") or run_root


def main(words: list[str]) -> int:
    """Print what can stand for the last word."""
    *before, current = words or [""]
    found, directive = complete(before, current)
    lines = [f"{word}\t{text}" if text else word for word, text in found if word.startswith(current)]
    sys.stdout.write("".join(f"{line}\n" for line in [*lines, directive]))
    return 0


def complete(before: list[str], current: str) -> tuple[list[tuple[str, str]], str]:
    """Candidates with what they are, and the directive. `before` are the words between `pyctr` and the cursor."""
    settings: dict[str, str] = {}
    rest, waiting = _skip(GLOBAL, before, settings, stop=True)
    place = Place(settings)
    if waiting:
        return _values(waiting, "", place, current)
    if not rest:
        if current.startswith("-"):
            return _options(GLOBAL), NOTHING
        return [
            *((name, COMMANDS[name][5]) for name in COMMANDS if " " not in name),
            *((name, "") for name in GROUPS),
        ], NOTHING
    if rest[0] == "compose":
        return _compose(rest[1:], current, place)
    name, words = rest[0], rest[1:]
    if name in GROUPS and not words:
        own = [other for other in (*COMMANDS, *ALIASES) if other.startswith(name + " ")]
        return [(other.partition(" ")[2], COMMANDS[ALIASES.get(other, other)][5]) for other in own], NOTHING
    if name in GROUPS:
        name, words = f"{name} {words[0]}", words[1:]
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        return [], NOTHING
    return _command(name, COMMANDS[name], words, current, place)


def _command(name: str, entry: Any, words: list[str], current: str, place: Place) -> tuple[list[tuple[str, str]], str]:
    options = entry[6]
    arguments, waiting = _skip(options, words, {}, stop=entry[3])
    if waiting:
        return _values(waiting, name, place, current)
    if current.startswith("-") and not (entry[3] and arguments):
        long, equals, value = current.partition("=")
        if equals and long.startswith("--"):
            found, directive = _values(long[2:], name, place, value)
            return [(f"{long}={word}", text) for word, text in found], directive
        return _options(options), NOTHING
    kinds = _ARGUMENTS.get(name, ("",))
    found, directive = _kind(kinds[min(len(arguments), len(kinds) - 1)], place, current)
    return [(word, text) for word, text in found if word not in arguments], directive


def _compose(words: list[str], current: str, place: Place) -> tuple[list[tuple[str, str]], str]:
    from pyctr.cli.compose_table import COMPOSE_COMMANDS, COMPOSE_GLOBAL

    rest, waiting = _skip(COMPOSE_GLOBAL, words, {}, stop=True)
    if waiting:
        return _values(waiting, "compose", place, current)
    if rest and rest[0] in COMPOSE_COMMANDS:
        return _command(f"compose {rest[0]}", COMPOSE_COMMANDS[rest[0]], rest[1:], current, place)
    if current.startswith("-"):
        return _options(COMPOSE_GLOBAL), NOTHING
    return ([(name, entry[5]) for name, entry in COMPOSE_COMMANDS.items()] if not rest else []), NOTHING


def _skip(options: Any, words: list[str], values: dict[str, str], *, stop: bool) -> tuple[list[str], str]:
    """The arguments among words, and the option that waits for its value at the cursor; `values` takes those given."""
    by_name = {f"--{option[0]}": option for option in options} | {
        f"-{option[1]}": option for option in options if option[1]
    }
    arguments: list[str] = []
    index = 0
    while index < len(words):
        word, index = words[index], index + 1
        if word == "--":
            return arguments + words[index:], ""
        if not word.startswith("-") or word == "-":
            if stop:
                return words[index - 1 :], ""
            arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(name) > 2:  # -it, -p80:80: the first letter that takes a value ends it
            taking = next((place for place, letter in enumerate(name[1:], 1) if _takes(by_name, letter)), 0)
            name, equals = (f"-{name[taking]}", "=" if taking < len(name) - 1 else "") if taking else (name, "=")
        option = by_name.get(name)
        if option is None or option[2] == FLAG or equals:
            if option is not None:
                values[option[0]] = value
            continue
        if index >= len(words):
            return arguments, str(option[0])
        values[option[0]] = words[index]
        index += 1
    return arguments, ""


def _takes(by_name: dict[str, Any], letter: str) -> bool:
    option = by_name.get(f"-{letter}")
    return option is not None and option[2] != FLAG


def _options(options: Any) -> list[tuple[str, str]]:
    return [(f"--{option[0]}", option[4]) for option in options] + [("--help", "Show what the command takes")]


def _values(option: str, command: str, place: Place, current: str) -> tuple[list[tuple[str, str]], str]:
    if option == "filter":
        return [(key, "") for key in _FILTERS.get(command, ("label=", "label!=", "until="))], NO_SPACE
    if option == "driver" and command.startswith("volume"):
        return [("local", "")], NOTHING
    kind = _VALUES.get(option, "")
    if isinstance(kind, tuple):
        return [(value, "") for value in kind], NO_SPACE if any(value[-1] in ":=" for value in kind) else NOTHING
    return _kind(kind, place, current)


def _kind(kind: str, place: Place, current: str) -> tuple[list[tuple[str, str]], str]:
    """Candidates of a kind of thing."""
    where = (place.root, place.run_root)
    if kind == "container":
        return [(name, "container") for name in names.containers(*where)], NOTHING
    if kind == "running":
        return [(name, "container") for name in names.containers(*where, running=True)], NOTHING
    if kind == "image":
        return [(name, "image") for name in names.images(*where)], NOTHING
    if kind == "volume":
        return [(name, "volume") for name in names.volumes(*where)], NOTHING
    if kind == "network":
        return [(name, "network") for name in names.networks(*where)], NOTHING
    if kind == "any":
        found = [(name, "container") for name in names.containers(*where)]
        found += [(name, "image") for name in names.images(*where)]
        return found + [(name, "volume") for name in names.volumes(*where)], NOTHING
    if kind == "path":
        paths = [(f"{name}:", "container") for name in names.containers(*where)]
        return (paths, FILES) if ":" not in current else ([], NOTHING)
    if kind == "source":
        return [(f"{name}:", "volume") for name in names.volumes(*where)], FILES
    if kind == "shell":
        return [(shell, "") for shell in SHELLS], NOTHING
    return [], {"file": FILES, "directory": DIRECTORIES}.get(kind, NOTHING)
