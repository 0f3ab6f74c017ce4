"""``-v``, ``--mount``, ``--tmpfs``, ``--volumes-from``: what of the host a container sees, and where."""

from __future__ import annotations

import os

from pyctr.engine.options.process import clean_path
from pyctr.engine.options.units import parse_bool, parse_size
from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

PROPAGATIONS = ("shared", "rshared", "slave", "rslave", "private", "rprivate")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Binds, Mounts, Tmpfs, VolumesFrom and Config.Volumes."""
    host = request.host_config
    driver = options.get("volume_driver", "")
    if driver not in ("", "local"):
        raise InvalidArgument(f"volume driver {driver}: not supported (local is)")
    host["VolumeDriver"] = driver
    binds: list[str] = []
    volumes: dict[str, dict[str, Any]] = {}
    for text in options.get("volume", ()):
        bind = parse_volume(text)
        if bind.source:
            binds.append(bind.text())
        else:
            volumes[bind.target] = {}
    host["Binds"] = binds or None
    request.config["Volumes"] = volumes or None
    tmpfs: dict[str, str] = {}
    for text in options.get("tmpfs", ()):
        path, _, flags = text.partition(":")
        tmpfs[check_target(path)] = flags
    if tmpfs:
        host["Tmpfs"] = tmpfs
    mounts = [parse_mount(text) for text in options.get("mount", ())]
    if mounts:
        host["Mounts"] = mounts
    host["VolumesFrom"] = [check_volumes_from(text) for text in options.get("volumes_from", ())] or None
    check_duplicates(host, volumes)


class Volume:
    """One ``-v``: source (absolute path, volume name, or empty), target, mode words."""

    __slots__ = ("modes", "source", "target")

    def __init__(self, source: str, target: str, modes: list[str]) -> None:
        self.source = source
        self.target = target
        self.modes = modes

    @property
    def is_bind(self) -> bool:
        """Whether the source is a path of the host."""
        return self.source.startswith("/")

    def text(self) -> str:
        """As recorded in Binds."""
        return ":".join([self.source, self.target, *([",".join(self.modes)] if self.modes else [])])


def parse_volume(text: str) -> Volume:
    """``[SOURCE:]TARGET[:MODE]``; a relative source is taken from the working directory."""
    if not text:
        raise InvalidArgument("invalid empty volume spec")
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidArgument(f"invalid spec: {text}: too many colons")
    if "" in parts:
        raise InvalidArgument(f"invalid spec: {text}: empty section between colons")
    source, target, mode = ("", parts[0], "") if len(parts) == 1 else (parts[0], parts[1], "".join(parts[2:]))
    if source in (".", "..") or source.startswith(("./", "../", "~")):
        source = os.path.abspath(os.path.expanduser(source))
    modes = mode.split(",") if mode else []
    if not target.startswith("/"):
        kind = "bind" if source.startswith("/") else "volume"
        raise InvalidArgument(
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": "
            f"invalid mount path: '{target}' mount path must be absolute"
        )
    clean = clean_path(target)
    if clean == "/":
        why = "invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        raise InvalidArgument(f"invalid volume specification: '{text}': {why}")
    check_modes(text, mode, modes, is_bind=source.startswith("/"))
    if source.startswith("/"):
        source = clean_path(source)
    elif source:
        check_name(source)
    return Volume(source, clean, modes)


def check_modes(text: str, mode: str, modes: list[str], *, is_bind: bool) -> None:
    """At most one of each kind of word; ``z`` and ``Z`` are accepted, there being no SELinux to relabel for."""
    kinds = {"ro": "rw", "rw": "rw", "z": "label", "Z": "label", "nocopy": "copy", "delegated": "consistency"}
    kinds |= {"cached": "consistency", "consistent": "consistency"} | dict.fromkeys(PROPAGATIONS, "propagation")
    seen = [kinds.get(word) for word in modes]
    if None in seen or len(set(seen)) != len(seen):
        raise InvalidArgument(f"invalid mode: {mode}")
    prefix = f"invalid volume specification: '{text}': invalid mount config for type"
    if is_bind and "copy" in seen:
        raise InvalidArgument(f'{prefix} "bind": field VolumeOptions must not be specified')
    if not is_bind and "propagation" in seen:
        raise InvalidArgument(f'{prefix} "volume": field BindOptions must not be specified')


def check_name(name: str) -> None:
    """Raises InvalidArgument unless `name` is a volume's: it becomes a directory."""
    if not set(name) <= _NAME_CHARACTERS or name[0] in "_.-":
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    if len(name) < 2:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )


def check_target(path: str) -> str:
    """A clean absolute path other than ``/``."""
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    clean = clean_path(path)
    if clean == "/":
        raise InvalidArgument("invalid specification: destination can't be '/'")
    return clean


def check_volumes_from(text: str) -> str:
    """``NAME[:ro|rw|z]``."""
    name, colon, mode = text.partition(":")
    if not name:
        raise InvalidArgument(f"invalid volumes-from specification: {text}")
    if colon and mode not in ("ro", "rw", "z", "Z"):
        raise InvalidArgument(f"invalid mode: {mode}")
    return text


def check_duplicates(host: dict[str, Any], volumes: dict[str, Any]) -> None:
    """Two mounts on one target hide one another. Like Docker, the same -v twice is one, and -v may repeat --volume."""
    binds: dict[str, str] = {}
    for text in host["Binds"] or ():
        target = text.split(":")[1]
        if binds.setdefault(target, text) != text:
            raise InvalidArgument(f"Duplicate mount point: {target}")
    seen = set(binds) | set(volumes)
    if len(seen) != len(binds) + len(volumes):
        raise InvalidArgument(f"Duplicate mount point: {sorted(set(binds) & set(volumes))[0]}")
    for target in [mount["Target"] for mount in host.get("Mounts", ())] + list(host.get("Tmpfs", ())):
        if target in seen:
            raise InvalidArgument(f"Duplicate mount point: {target}")
        seen.add(target)


_MOUNT_KEYS = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "dst": "Target",
    "destination": "Target",
    "readonly": "ReadOnly",
    "ro": "ReadOnly",
    "consistency": "Consistency",
}
_OPTION_GROUPS = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions"}


def parse_mount(text: str) -> dict[str, Any]:
    """``type=bind,source=…,target=…[,readonly,bind-propagation=…]`` in Docker's record form."""
    if not text:
        raise InvalidFlag(text, "--mount", "EOF")
    mount: dict[str, Any] = {"Type": "volume", "Source": "", "Target": ""}
    groups: dict[str, dict[str, Any]] = {}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        try:
            parse_mount_field(mount, groups, key, value if equals else None, field)
        except ValueError as error:
            raise InvalidFlag(text, "--mount", str(error)) from None
    if not mount["Target"]:
        raise InvalidFlag(text, "--mount", "target is required")
    for group, settings in groups.items():
        if group != mount["Type"]:
            raise InvalidFlag(text, "--mount", f"cannot mix '{group}-*' options with mount type '{mount['Type']}'")
        mount[_OPTION_GROUPS[group]] = settings
    finish_recursion(text, mount)
    check_mount(mount)
    return {name: value for name, value in mount.items() if value != "" or name == "Target"}


def split_csv(text: str) -> list[str]:
    """One line of CSV, double quotes as in RFC 4180."""
    fields, field, quoted = [], "", False
    for index, character in enumerate(text):
        if character == '"' and (quoted or not field or text[index - 1] == '"'):
            if quoted or text[index - 1 : index] != '"':
                quoted = not quoted
            else:
                field, quoted = field + '"', True
        elif character == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += character
    if quoted:
        raise InvalidFlag(text, "--mount", 'extraneous or missing " in quoted-field')
    return [*fields, field]


def parse_mount_field(
    mount: dict[str, Any], groups: dict[str, dict[str, Any]], key: str, value: str | None, field: str
) -> None:
    """One ``key=value``; ValueError carries Docker's words."""
    flag = key in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
    if value is None and not flag:
        raise ValueError(f"invalid field '{field}' must be a key=value pair")
    if key in _MOUNT_KEYS:
        mount[_MOUNT_KEYS[key]] = parse_mount_bool(key, value) if flag else value
        if key in ("source", "src") and str(value).startswith("."):
            mount["Source"] = os.path.abspath(str(value))
        if key == "type":
            mount["Type"] = str(value).lower()
        return
    group, _, name = key.partition("-")
    if group not in _OPTION_GROUPS:
        raise ValueError(f"unexpected key '{key}' in '{field}'")
    if key == "volume-subpath":
        raise ValueError(f"{name} of {group} mounts is not supported yet")
    if not parse_group_field(groups.setdefault(group, {}), key, value):
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def parse_group_field(settings: dict[str, Any], key: str, value: str | None) -> bool:
    """A field of one type of mount only; False when there is none of that name."""
    text = value or ""
    if key == "bind-propagation":
        settings["Propagation"] = text.lower()
    elif key in ("bind-nonrecursive", "bind-create-src", "volume-nocopy"):
        names = {"bind-nonrecursive": "NonRecursive", "bind-create-src": "CreateMountpoint", "volume-nocopy": "NoCopy"}
        settings[names[key]] = parse_mount_bool(key, value)
    elif key == "bind-recursive":
        if text not in ("enabled", "disabled", "writable", "readonly"):
            raise ValueError(
                f'invalid value for {key}: {text} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        settings["Recursive"] = text
    elif key in ("volume-driver", "volume-opt", "volume-label"):
        parse_volume_field(settings, key, text)
    elif key == "tmpfs-size":
        try:
            settings["SizeBytes"] = parse_size(text)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {text}") from None
    elif key == "tmpfs-mode":
        if not text or set(text) - set("01234567") or int(text, 8) > 0o7777:
            raise ValueError(f"invalid value for {key}: {text}")
        settings["Mode"] = int(text, 8)
    else:
        return False
    return True


def parse_volume_field(settings: dict[str, Any], key: str, text: str) -> None:
    """Driver, its options, labels."""
    name, equals, content = text.partition("=")
    if key == "volume-label":
        settings.setdefault("Labels", {})[name] = content
        return
    driver = settings.setdefault("DriverConfig", {})
    if key == "volume-driver":
        driver["Name"] = text
        return
    if not equals or not name:
        raise ValueError(f"invalid value for {key}: {text} (must be key=value)")
    driver.setdefault("Options", {})[name] = content


def parse_mount_bool(key: str, value: str | None) -> bool:
    """A flag without a value is true."""
    try:
        return value is None or parse_bool(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def finish_recursion(text: str, mount: dict[str, Any]) -> None:
    """bind-recursive in the API's words (Docker 25)."""
    settings = mount.get("BindOptions", {})
    mode = settings.pop("Recursive", "enabled")
    if mode == "disabled":
        settings["NonRecursive"] = True
    if mode in ("writable", "readonly"):
        if not mount.get("ReadOnly"):
            raise InvalidFlag(
                text, "--mount", f"option 'bind-recursive={mode}' requires 'readonly' to be specified in conjunction"
            )
        settings["ReadOnlyNonRecursive" if mode == "writable" else "ReadOnlyForceRecursive"] = True
    if mode == "readonly" and settings.get("Propagation") != "rprivate":
        raise InvalidFlag(
            text,
            "--mount",
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        )


def check_mount(mount: dict[str, Any]) -> None:
    """What Docker's daemon refuses of a mount before it looks at the host."""
    kind, source = mount["Type"], mount["Source"]
    if kind in ("npipe", "cluster", "image"):
        raise InvalidArgument(f'mount type "{kind}": not supported (bind, volume and tmpfs are)')
    if kind not in _OPTION_GROUPS:
        raise InvalidArgument(f'invalid mount config for type "{kind}": mount type unknown')
    if kind == "volume" and source:
        check_name(source)
    driver = mount.get("VolumeOptions", {}).get("DriverConfig", {})
    if driver.get("Name", "local") not in ("", "local"):
        raise InvalidArgument(f'volume driver "{driver["Name"]}": plugin "{driver["Name"]}" not found')
    if driver.get("Options"):
        from pyctr.engine.volumes.manage import check_options

        check_options(source, driver["Options"])
    try:
        if kind == "tmpfs" and source:
            raise InvalidArgument("field Source must not be specified")
        if kind == "bind":
            if not source:
                raise InvalidArgument("field Source must not be empty")
            if not source.startswith("/"):
                raise InvalidArgument(f"invalid mount path: '{source}' mount path must be absolute")
            propagation = mount.get("BindOptions", {}).get("Propagation", "rprivate")
            if propagation not in PROPAGATIONS:
                raise InvalidArgument(f"invalid propagation mode: {propagation}")
        mount["Target"] = check_target(mount["Target"])
    except InvalidArgument as error:
        raise InvalidArgument(f'invalid mount config for type "{kind}": {error}') from None
