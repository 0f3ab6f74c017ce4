"""The image config as a build goes on: what each instruction writes, and its entry in the history (BuildKit's dockerfile2llb)."""

from __future__ import annotations

import posixpath

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "buildkit.dockerfile.v0"
_SHELL = ["/bin/sh", "-c"]
#: What BuildKit reads of a base image's config; the rest (container, docker_version …) is of whoever made that.
_IMAGE_KEYS = ("author", "architecture", "variant", "os", "os.version", "os.features", "history")
_CONFIG_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped", "Healthcheck",
    "OnBuild", "Shell",
)  # fmt: skip
_SIGNALS = frozenset(
    ("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT",
     "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ")
)  # fmt: skip


def _copied(value: Any) -> Any:
    """A copy of what JSON holds."""
    if isinstance(value, dict):
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def _is_real_time(name: str) -> bool:
    import re

    return re.fullmatch(r"RTM(IN(\+\d+)?|AX(-\d+)?)", name) is not None


class ImageConfig:
    """One stage's image config. `image` is the whole of it but for rootfs; `run` its `config`."""

    __slots__ = ("command_given", "image")

    def __init__(self, image: dict[str, Any]) -> None:
        self.image = image
        #: CMD was in this stage: ENTRYPOINT leaves it alone.
        self.command_given = False

    @classmethod
    def empty(cls, platform: str) -> ImageConfig:
        """For `FROM scratch`."""
        system, architecture, variant = (*platform.split("/"), "", "")[:3]
        image: dict[str, Any] = {"architecture": architecture, "os": system}
        if variant:
            image["variant"] = variant
        image["config"] = {"Env": [PATH], "WorkingDir": "/"}
        image["history"] = []
        return cls(image)

    @classmethod
    def of_base(cls, base: dict[str, Any]) -> ImageConfig:
        """For `FROM image`: what matters of its config; PATH is there in any case."""
        image = {name: _copied(base[name]) for name in _IMAGE_KEYS if base.get(name)}
        given = base.get("config") or {}
        run = {name: _copied(given[name]) for name in _CONFIG_KEYS if given.get(name)}
        if not any(entry.startswith("PATH=") for entry in run.get("Env", [])):
            run["Env"] = [*run.get("Env", []), PATH]
        if run.get("WorkingDir"):
            run["WorkingDir"] = clean_directory("", run["WorkingDir"])
        image["config"] = run
        image.setdefault("history", [])
        return cls(image)

    def inherit(self) -> ImageConfig:
        """For `FROM stage`: a copy; triggers stay behind."""
        other = ImageConfig(_copied(self.image))
        other.run.pop("OnBuild", None)
        return other

    @property
    def run(self) -> dict[str, Any]:
        """The run configuration."""
        value: dict[str, Any] = self.image["config"]
        return value

    @property
    def shell(self) -> list[str]:
        """What shell forms are run by."""
        return list(self.run.get("Shell") or _SHELL)

    def note(self, text: str, *, layer: bool = False) -> None:
        """A line of history."""
        entry: dict[str, Any] = {"created_by": text, "comment": COMMENT}
        if not layer:
            entry["empty_layer"] = True
        self.image["history"].append(entry)

    def set_environment(self, pairs: list[tuple[str, str]]) -> None:
        """ENV."""
        entries: list[str] = self.run.setdefault("Env", [])
        for name, value in pairs:
            at = next((index for index, entry in enumerate(entries) if entry.partition("=")[0] == name), len(entries))
            entries[at : at + 1] = [f"{name}={value}"]
        self.note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))

    def set_labels(self, pairs: list[tuple[str, str]]) -> None:
        """LABEL."""
        self.run.setdefault("Labels", {}).update(pairs)
        self.note("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))

    def set_command(self, words: list[str], *, shell: bool) -> None:
        """CMD."""
        words = [*self.shell, " ".join(words)] if shell else words
        self.run["Cmd"] = words
        self.run["ArgsEscaped"] = True
        self.command_given = True
        self.note(f"CMD {quoted_list(words)}")

    def set_entry_point(self, words: list[str], *, shell: bool) -> None:
        """ENTRYPOINT; takes the base's CMD away."""
        words = [*self.shell, " ".join(words)] if shell else words
        self.run["Entrypoint"] = words
        if not self.command_given:
            self.run.pop("Cmd", None)
        self.note(f"ENTRYPOINT {quoted_list(words)}")

    def set_health(self, check: dict[str, Any]) -> None:
        """HEALTHCHECK."""
        self.run["Healthcheck"] = check
        times = " ".join(
            f"{name}:{duration_text(check.get(name, 0))}"
            for name in ("Interval", "Timeout", "StartPeriod", "StartInterval")
        )
        test = " ".join(check["Test"])
        self.note(f"HEALTHCHECK {{Test:[{test}] {times} Retries:{check.get('Retries', 0)}}}")

    def set_user(self, user: str) -> None:
        """USER."""
        self.run["User"] = user
        self.note(f"USER {user}")

    def add_volumes(self, paths: list[str]) -> None:
        """VOLUME. Raises InvalidArgument."""
        if not all(paths):
            raise InvalidArgument("VOLUME specified can not be an empty string")
        self.run.setdefault("Volumes", {}).update({path: {} for path in paths})
        self.note(f"VOLUME [{' '.join(paths)}]")

    def add_ports(self, words: list[str]) -> None:
        """EXPOSE. Raises InvalidArgument."""
        ports = [port for word in words for port in parse_exposed(word)]
        self.run.setdefault("ExposedPorts", {}).update({port: {} for port in ports})
        self.note(f"EXPOSE [{' '.join(ports)}]")

    def set_stop_signal(self, text: str) -> None:
        """STOPSIGNAL. Raises InvalidArgument."""
        name = text.upper().removeprefix("SIG")
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number == 0 or (number < 0 and name not in _SIGNALS and not _is_real_time(name)):
            raise InvalidArgument(f"invalid signal: {text}")
        if number > 64:
            raise InvalidArgument(f"invalid signal: {text}")
        self.run["StopSignal"] = text
        self.note(f"STOPSIGNAL {text}")

    def set_shell(self, words: list[str]) -> None:
        """SHELL."""
        self.run["Shell"] = words
        self.note(f"SHELL [{' '.join(words)}]")

    def set_author(self, text: str) -> None:
        """MAINTAINER."""
        self.image["author"] = text
        self.note(f"MAINTAINER {text}")

    def finished(self, labels: dict[str, str]) -> dict[str, Any]:
        """The image config as it is written: `--label` in it, empty fields out of it."""
        image: dict[str, Any] = _copied(self.image)
        run = image["config"]
        if labels:
            run["Labels"] = {**run.get("Labels", {}), **labels}
        image["config"] = {
            name: run[name] for name in _CONFIG_KEYS if run.get(name) or (name == "Cmd" and run.get(name) == [])
        }
        if image["config"].get("Cmd") == []:
            del image["config"]["Cmd"]
        return image


def clean_directory(current: str, path: str) -> str:
    """A working directory: absolute, relative ones from `current` on, without `.` and `..`."""
    joined = posixpath.join("/", current, path)
    return posixpath.normpath("/" + joined.lstrip("/"))


def quoted_list(words: list[str]) -> str:
    """Go's %q of strings: `["sh" "-c" "x"]`."""
    return f"[{' '.join(go_quote(word) for word in words)}]"


_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def go_quote(text: str) -> str:
    """Go's strconv.Quote."""
    out = ""
    for letter in text:
        if letter in _ESCAPES:
            out += _ESCAPES[letter]
        elif letter.isprintable():
            out += letter
        elif letter < "\x80":
            out += f"\\x{ord(letter):02x}"
        else:
            out += f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
    return f'"{out}"'


def duration_text(time_ns: int) -> str:
    """Go's Duration.String: `1h2m3.5s`, `1.5ms`."""
    if time_ns == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if time_ns < size * 1000:
            return f"{_decimal(time_ns, size)}{unit}"
    minutes, rest_ns = divmod(time_ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return f"{text}{_decimal(rest_ns, 1_000_000_000)}s"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    digits = str(rest).zfill(len(str(size)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_exposed(text: str) -> list[str]:
    """`[[ip:]host:]port[-port][/protocol]` → `port/protocol` each. Raises InvalidArgument."""
    address, _, rest = text.rpartition(":")
    ports, _, protocol = rest.partition("/")
    if not ports:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f"invalid proto: {protocol}")
    span = _port_range(ports)
    if span is None:
        raise InvalidArgument(f"invalid containerPort: {ports}")
    host = address.rpartition(":")[2]
    if host and _port_range(host) is None:
        raise InvalidArgument(f"invalid hostPort: {host}")
    return [f"{port}/{protocol}" for port in range(span[0], span[1] + 1)]


def _port_range(text: str) -> tuple[int, int] | None:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not all(part.isascii() and part.isdigit() and int(part) <= 65535 for part in (first, last)):
        return None
    return (int(first), int(last)) if int(first) <= int(last) else None
