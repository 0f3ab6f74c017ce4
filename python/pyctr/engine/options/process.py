"""What runs and as whom: user, directory, entry point, terminal, hostname, restart, and the odd single options."""

from __future__ import annotations

from pyctr.engine.options.record import DEFAULT_SHM_BYTES
from pyctr.engine.options.units import parse_duration_flag, parse_int, parse_size_flag
from pyctr.engine.signals import parse_signal
from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_STREAMS = ("stdin", "stdout", "stderr")
#: __NEW_UTS_LEN of the kernel.
_HOSTNAME_BYTES = 64
_POLICIES = ("no", "always", "on-failure", "unless-stopped")


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill the fields of Config and HostConfig that concern the process."""
    parse_streams(request.config, options)
    parse_identity(request.config, options)
    host = request.host_config
    if options.get("restart"):
        host["RestartPolicy"] = parse_restart(options["restart"])
        for option, field in (("restart_delay", "Delay"), ("restart_window", "Window")):  # compose's; no flags
            if options.get(option):
                host["RestartPolicy"][field] = parse_duration_flag(options[option], option)
    host["AutoRemove"] = bool(options.get("rm"))
    host["ReadonlyRootfs"] = bool(options.get("read_only"))
    host["ContainerIDFile"] = options.get("cidfile", "")
    if "init" in options:
        host["Init"] = bool(options["init"])
    if "shm_size" in options:
        host["ShmSize"] = parse_size_flag(options["shm_size"], "--shm-size") or DEFAULT_SHM_BYTES
    if "oom_score_adj" in options:
        host["OomScoreAdj"] = parse_int(options["oom_score_adj"], "--oom-score-adj")
    if options.get("group_add"):
        if "" in options["group_add"]:
            raise InvalidFlag("", "--group-add", "empty group")
        host["GroupAdd"] = list(options["group_add"])
    parse_annotations(host, options)
    refuse_foreign(options)


def parse_streams(config: dict[str, Any], options: dict[str, Any]) -> None:
    """``-a -i -t -d``; stdin closes with the client that attached it."""
    interactive, detach = bool(options.get("interactive")), bool(options.get("detach"))
    attached = [text.lower() for text in options.get("attach", ())]
    for given, text in zip(attached, options.get("attach", ()), strict=True):
        if given not in _STREAMS:
            raise InvalidFlag(text, "-a, --attach", "valid streams are STDIN, STDOUT and STDERR")
    if not attached and not detach:
        attached = ["stdout", "stderr"]
    if interactive and not detach:
        attached.append("stdin")
    for stream in _STREAMS:
        config["Attach" + stream.capitalize()] = stream in attached
    config["Tty"] = bool(options.get("tty"))
    config["OpenStdin"] = interactive
    config["StdinOnce"] = interactive and "stdin" in attached


def parse_identity(config: dict[str, Any], options: dict[str, Any]) -> None:
    """User, directory, names, entry point, stop signal."""
    config["User"] = options.get("user", "")
    if config["User"].count(":") > 1 or config["User"].startswith(":"):
        raise InvalidFlag(config["User"], "-u, --user", "expected <name|uid>[:<group|gid>]")
    config["Hostname"] = options.get("hostname", "")
    config["Domainname"] = options.get("domainname", "")
    for name in ("Hostname", "Domainname"):
        if len(config[name].encode()) > _HOSTNAME_BYTES:
            raise InvalidFlag(config[name], "--" + name.lower(), f"longer than {_HOSTNAME_BYTES} bytes")
        if any(character in config[name] for character in "\0\n"):
            raise InvalidFlag(config[name], "--" + name.lower(), "invalid character")
    config["WorkingDir"] = parse_workdir(options["workdir"]) if options.get("workdir") else ""
    if "entrypoint" in options:
        words = options["entrypoint"]  # a list only from programs: the command line has no way to say it
        config["Entrypoint"] = list(words) if isinstance(words, list) else [words]
    if options.get("stop_signal"):
        parse_signal(options["stop_signal"])
        config["StopSignal"] = options["stop_signal"]
    if "stop_timeout" in options:
        config["StopTimeout"] = parse_int(options["stop_timeout"], "--stop-timeout", maximum=2**31 - 1)


def parse_workdir(text: str) -> str:
    """An absolute, clean path."""
    if not text.startswith("/"):
        raise InvalidArgument(f"the working directory '{text}' is invalid, it needs to be an absolute path")
    return clean_path(text)


def clean_path(text: str) -> str:
    """path.Clean of Go for an absolute path: no ``.``, ``..``, doubled or trailing slash."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def parse_restart(text: str) -> dict[str, Any]:
    """``always``, ``unless-stopped``, ``no``, ``on-failure[:N]``."""
    name, colon, count_text = text.partition(":")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    count = 0
    if count_text:
        try:
            if count_text.strip() != count_text or "_" in count_text:
                raise ValueError
            count = int(count_text)
        except ValueError:
            raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer") from None
    if name not in _POLICIES:
        raise InvalidArgument(f"invalid restart policy '{name}'")
    if count and name != "on-failure":
        raise InvalidArgument(f"maximum retry count cannot be used with restart policy '{name}'")
    if count < 0:
        raise InvalidArgument("maximum retry count cannot be negative")
    return {"Name": name, "MaximumRetryCount": count}


def parse_annotations(host: dict[str, Any], options: dict[str, Any]) -> None:
    """``--annotation name=value``, handed to the runtime's spec."""
    annotations: dict[str, str] = {}
    for text in options.get("annotation", ()):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidFlag(text, "--annotation", "expected name=value")
        annotations[name] = value
    if annotations:
        host["Annotations"] = annotations


def refuse_foreign(options: dict[str, Any]) -> None:
    """Options that name something this engine is not."""
    runtime = options.get("runtime", "")
    if runtime not in ("", "pyctr-runtime"):
        raise InvalidArgument(f"unknown or invalid runtime name: {runtime}")
    isolation = options.get("isolation", "")
    if isolation not in ("", "default"):
        raise InvalidArgument(f"Invalid isolation: \"{isolation}\" - linux only supports 'default'")
    if options.get("storage_opt"):
        raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
