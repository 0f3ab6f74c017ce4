"""`--change` of `commit` and `import`: Dockerfile instructions that change an image's run configuration.

The instructions and their words are those of moby's builder (`validCommitCommands`); what they mean is Docker's Dockerfile reference.
"""

from __future__ import annotations

import re

from pyctr._core import json_loads
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Config = dict[str, Any]

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_SHELL = ["/bin/sh", "-c"]


def apply_changes(config: Config, changes: list[str]) -> Config:
    """A copy of a run configuration with the instructions carried out. Raises InvalidArgument in Docker's words."""
    changed = dict(config)
    command_given = False
    for text in changes:
        if not text.strip():
            raise InvalidArgument("file with no instructions")
        for line in _lines(text):
            word, _, rest = line.partition(" ") if " " in line else line.partition("\t")
            apply = _INSTRUCTIONS.get(word.lower())
            if apply is None:
                known = word.lower() in _OTHERS
                raise InvalidArgument(
                    f"{word.lower()} is not a valid change command" if known else f"unknown instruction: {word.upper()}"
                )
            if not rest.strip() and apply not in (_cmd, _entrypoint):
                raise InvalidArgument(f"{word.upper()} requires at least one argument")
            apply(changed, rest.strip())
            command_given = command_given or apply is _cmd
            # A new entry point takes the old one's arguments away, unless they were changed too (moby dispatchEntrypoint).
            if apply is _entrypoint and not command_given:
                changed["Cmd"] = None
    return changed


def _lines(text: str) -> list[str]:
    """Instructions, continuation lines joined, comments left out."""
    joined = re.sub(r"\\[ \t]*\n", "", text)
    return [line.strip() for line in joined.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _json_list(text: str) -> list[str] | None:
    """The exec form, if it is one: a JSON array of strings."""
    if not text.startswith("["):
        return None
    try:
        value = json_loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _expand(text: str, config: Config) -> str:
    """Words without their quotes, `$VARIABLES` of the configuration's environment in their place."""
    environment: dict[str, str] = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])

    def variable(match: re.Match[str]) -> str:
        name, operator, word = match[1] or match[2], match[3], match[4] or ""
        value = environment.get(name, "")
        if operator == ":-":
            return value or word
        if operator == ":+":
            return word if value else ""
        return value

    out, position = "", 0
    quote = ""
    while position < len(text):
        letter = text[position]
        if letter == "\\" and quote != "'" and position + 1 < len(text):
            escapes = not quote or text[position + 1] in '"$\\'
            out += text[position + 1] if escapes else text[position : position + 2]
            position += 2
        elif letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
            position += 1
        elif letter == "$" and quote != "'" and (match := _VARIABLE.match(text, position)):
            out += variable(match)
            position = match.end()
        else:
            out += letter
            position += 1
    if quote:
        raise InvalidArgument(f"unexpected end of statement while looking for matching {_QUOTES[quote]}")
    return out


_QUOTES = {'"': "double-quote", "'": "single-quote"}


def _words(text: str) -> list[str]:
    """Words separated by blanks outside of quotes, quotes kept."""
    words, word, quote, escaped = [], "", "", False
    for letter in text:
        if escaped or (letter == "\\" and quote != "'"):
            word, escaped = word + letter, not escaped
        elif letter.isspace() and not quote:
            words += [word] if word else []
            word = ""
        else:
            if letter in "\"'" and quote in ("", letter):
                quote = "" if quote else letter
            word += letter
    return words + ([word] if word else [])


def _pairs(text: str, config: Config, instruction: str) -> list[tuple[str, str]]:
    """`KEY=VALUE …`, or the old form `KEY VALUE`."""
    words = _words(text)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{instruction} must have two arguments")
        return [(_expand(key, config), _expand(value.strip(), config))]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value')
        if not key:
            raise InvalidArgument(f"{instruction} names can not be blank")
        pairs.append((_expand(key, config), _expand(value, config)))
    return pairs


def _cmd(config: Config, text: str) -> None:
    config["Cmd"] = _command(config, text)


def _entrypoint(config: Config, text: str) -> None:
    config["Entrypoint"] = _command(config, text)


def _command(config: Config, text: str) -> list[str] | None:
    given = _json_list(text) if text else []
    return [*(config.get("Shell") or _SHELL), text] if given is None else given


def _env(config: Config, text: str) -> None:
    entries = list(config.get("Env") or [])
    for key, value in _pairs(text, config, "ENV"):
        entry = f"{key}={value}"
        at = next((index for index, old in enumerate(entries) if old.partition("=")[0] == key), None)
        if at is None:
            entries.append(entry)
        else:
            entries[at] = entry
    config["Env"] = entries


def _label(config: Config, text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text, config, "LABEL"))}


def _expose(config: Config, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in _words(text):
        for port in _ports(_expand(word, config)):
            ports[port] = {}
    config["ExposedPorts"] = ports


def _ports(text: str) -> list[str]:
    numbers, _, protocol = text.partition("/")
    first, dash, last = numbers.rpartition(":")[2].partition("-")
    last = last if dash else first
    protocol = protocol.lower() or "tcp"
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last) <= 65535):
        raise InvalidArgument(f"invalid containerPort: {text}")
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f"invalid proto: {protocol}")
    return [f"{port}/{protocol}" for port in range(int(first), int(last) + 1)]


def _volume(config: Config, text: str) -> None:
    paths = _json_list(text)
    volumes = dict(config.get("Volumes") or {})
    for path in _words(text) if paths is None else paths:
        expanded = _expand(path, config).strip()
        if not expanded:
            raise InvalidArgument("VOLUME specified can not be an empty string")
        volumes[expanded] = {}
    config["Volumes"] = volumes


def _workdir(config: Config, text: str) -> None:
    import posixpath

    joined = posixpath.join(config.get("WorkingDir") or "/", _expand(text, config))
    config["WorkingDir"] = posixpath.normpath("/" + joined.lstrip("/"))


def _user(config: Config, text: str) -> None:
    config["User"] = _expand(text, config)


def _stop_signal(config: Config, text: str) -> None:
    from signal import Signals

    signal = _expand(text, config)
    name = "SIG" + signal.upper().removeprefix("SIG")
    real_time = re.fullmatch(r"SIGRTM(IN|AX)([+-]\d+)?", name)
    if not (signal.isdigit() and 0 < int(signal) <= 64) and name not in Signals.__members__ and not real_time:
        raise InvalidArgument(f"invalid signal: {signal}")
    config["StopSignal"] = signal


def _on_build(config: Config, text: str) -> None:
    trigger = text.split(maxsplit=1)[0].upper()
    if trigger == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def _health_check(config: Config, text: str) -> None:
    check: dict[str, Any] = {}
    words = text.split(None, 1)
    while words and words[0].startswith("--"):
        name, _, value = words[0][2:].partition("=")
        if name == "retries":
            if not value.isdigit():
                raise InvalidArgument(f"invalid value for --retries: {value}")
            check["Retries"] = int(value)
        elif name in _HEALTH_TIMES:
            check[_HEALTH_TIMES[name]] = _nanoseconds(name, value)
        else:
            raise InvalidArgument(f"unknown flag: --{name}")
        words = words[1].split(None, 1) if len(words) > 1 else []
    kind = words[0].upper() if words else ""
    rest = words[1] if len(words) > 1 else ""
    if kind == "NONE":
        if rest:
            raise InvalidArgument("HEALTHCHECK NONE takes no arguments")
        config["Healthcheck"] = {"Test": ["NONE"]}
    elif kind == "CMD" and rest:
        given = _json_list(rest)
        config["Healthcheck"] = {"Test": ["CMD-SHELL", rest] if given is None else ["CMD", *given], **check}
    elif kind == "CMD":
        raise InvalidArgument("missing command after HEALTHCHECK CMD")
    else:
        raise InvalidArgument(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')


_HEALTH_TIMES = {
    "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval",
}  # fmt: skip


def _nanoseconds(name: str, text: str) -> int:
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise InvalidArgument(f'invalid duration for --{name}: "{text}"')
    total = int(sum(float(number) * _NANOSECONDS[unit] for number, unit in pieces))
    if 0 < total < 1_000_000:
        raise InvalidArgument(f'Interval "--{name}" cannot be less than 1ms')
    return total


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "cmd": _cmd,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "healthcheck": _health_check,
    "label": _label,
    "onbuild": _on_build,
    "stopsignal": _stop_signal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
#: Instructions of a Dockerfile that change more than the run configuration.
_OTHERS = frozenset(("add", "arg", "copy", "from", "maintainer", "run", "shell"))
