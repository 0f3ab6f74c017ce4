"""The engine's configuration file: daemon.json's own keys and values (docs/registry.md lists them).

Read once, when first asked for; a start without one pays for one failed open(2). A key nobody here acts on is refused by
name, never ignored.
"""

from __future__ import annotations

import os

from pyctr._core import json_loads
from pyctr.engine.options.units import parse_size
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "/etc/pyctr/daemon.json"
_TRANSFERS = ("max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts")
_STRINGS = ("registry-mirrors", "insecure-registries", "dns", "dns-search", "dns-opts")
_TEXTS = ("log-driver", "bip", "fixed-cidr", "default-gateway", "ip")
_FLAGS = ("init", "debug")
_NUMBERS = ("mtu", *_TRANSFERS)
#: What this is not, and what there is instead.
_REFUSED = {
    "hosts": "there is no daemon",
    "pidfile": "there is no daemon",
    "data-root": "use --root or PYCTR_ROOT",
    "exec-root": "use --run-root or PYCTR_RUN_ROOT",
    "live-restore": "containers never depend on a daemon",
    "storage-driver": "layers are overlayfs's",
    "userns-remap": "not supported",
    "runtimes": "the runtime is pyctr-runtime",
}


class Config:
    """What a file says; what it does not say is empty, 0 or None."""

    __slots__ = (
        "address_pools", "bip", "build_keep_bytes", "cgroup_driver", "debug", "default_gateway", "dns", "dns_opts", "dns_search", "fixed_cidr", "init",
        "insecure_registries", "ip", "log_driver", "log_opts", "max_concurrent_downloads", "max_concurrent_uploads",
        "max_download_attempts", "mtu", "path", "registry_mirrors", "shm_size_bytes", "ulimits",
    )  # fmt: skip

    def __init__(self, path: str) -> None:
        self.path = path
        self.registry_mirrors: list[str] = []
        self.insecure_registries: list[str] = []
        self.dns: list[str] = []
        self.dns_search: list[str] = []
        self.dns_opts: list[str] = []
        self.log_driver = ""
        self.log_opts: dict[str, str] = {}
        #: As `--ulimit` parses them: Name, Soft, Hard.
        self.ulimits: list[dict[str, Any]] = []
        self.shm_size_bytes: int | None = None
        self.init: bool | None = None
        self.debug = False
        #: ``systemd`` or ``cgroupfs``; empty is ``cgroupfs``.
        self.cgroup_driver = ""
        #: Address and prefix of the default bridge: ``172.17.0.1/16``.
        self.bip = ""
        self.fixed_cidr = ""
        self.default_gateway = ""
        #: The host's address ports are published on.
        self.ip = ""
        self.mtu = 0
        #: Bytes of build cache that may stay; None: a tenth of the disk, 0: all.
        self.build_keep_bytes: int | None = None
        #: (network, prefix length of the subnets taken from it).
        self.address_pools: list[tuple[str, int]] = []
        # Docker's own defaults (dockerd --help).
        self.max_concurrent_downloads = 3
        self.max_concurrent_uploads = 5
        self.max_download_attempts = 5


def load_config(path: str | None = None) -> Config:
    """The configuration of `path`, else ``PYCTR_CONFIG``, else /etc/pyctr/daemon.json, which alone may be missing.

    Raises InvalidArgument naming file and key.
    """
    asked = path or os.environ.get("PYCTR_CONFIG")
    config = Config(asked or DEFAULT_PATH)
    try:
        fd = os.open(config.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if not asked and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return config
        raise InvalidArgument(f"read {config.path}: {(error.strerror or '').lower()}") from None
    with open(fd, "rb") as file:
        data = file.read()
    try:
        parse_config(data, config)
    except (ValueError, InvalidArgument) as error:
        raise InvalidArgument(f"read {config.path}: {error}") from None
    return config


def parse_config(data: bytes, config: Config) -> None:
    """Fill `config` from a file's content. Raises ValueError, InvalidArgument."""
    value = json_loads(data) if data.strip() else {}
    if not isinstance(value, dict):
        raise InvalidArgument("not a JSON object")
    for key, item in value.items():
        try:
            _set(config, key, item)
        except (InvalidArgument, ValueError) as error:
            raise InvalidArgument(f"{key}: {error}") from None


def _set(config: Config, key: str, item: Any) -> None:
    field = key.replace("-", "_")
    if key in _REFUSED:
        raise InvalidArgument(_REFUSED[key])
    if key in _STRINGS:
        setattr(config, field, _strings(item))
        _check_list(key, getattr(config, field))
    elif key in _TEXTS:
        setattr(config, field, _typed(item, str, "a string"))
    elif key in _FLAGS:
        setattr(config, field, _typed(item, bool, "true or false"))
    elif key in _NUMBERS:
        setattr(config, field, _number(item, 1 if key in _TRANSFERS else 0))
    elif key in _SPECIAL:
        _SPECIAL[key](config, item)
    else:
        raise InvalidArgument("unknown key")


def _runtime(_: Config, item: Any) -> None:
    if item not in ("pyctr-runtime", "runc"):
        raise InvalidArgument(f"runtime {item} is not supported: the runtime is pyctr-runtime")


def _exec_opts(config: Config, item: Any) -> None:
    for option in _strings(item):
        name, _, value = option.partition("=")
        if name != "native.cgroupdriver":
            raise InvalidArgument(f"unknown option {name}")
        if value not in ("systemd", "cgroupfs"):
            raise InvalidArgument(f"invalid {name}: {value} is neither systemd nor cgroupfs")
        config.cgroup_driver = value


def _log_opts(config: Config, item: Any) -> None:
    config.log_opts = {name: _typed(text, str, "an object of strings") for name, text in _object(item).items()}


def _shm_size(config: Config, item: Any) -> None:
    size = item if isinstance(item, int) and not isinstance(item, bool) else parse_size(_typed(item, str, "a size"))
    config.shm_size_bytes = _number(size, 1)


def _ulimits(config: Config, item: Any) -> None:
    config.ulimits = [_ulimit(name, limit) for name, limit in _object(item).items()]


def _pools(config: Config, item: Any) -> None:
    config.address_pools = [_pool(pool) for pool in _typed(item, list, "a list")]


def _builder(config: Config, item: Any) -> None:
    unknown = _object(item).keys() - {"gc"}
    if unknown:
        raise InvalidArgument(f"unknown key {min(unknown)}")
    collection = _object(item.get("gc", {}))
    unknown = collection.keys() - {"enabled", "defaultKeepStorage"}
    if unknown:
        raise InvalidArgument(f"gc: unknown key {min(unknown)}")
    keep = collection.get("defaultKeepStorage")
    if keep is not None:
        config.build_keep_bytes = parse_size(_typed(keep, str, "a size"))
    if not _typed(collection.get("enabled", True), bool, "true or false"):
        config.build_keep_bytes = 0


_SPECIAL = {
    "builder": _builder,
    "default-runtime": _runtime,
    "exec-opts": _exec_opts,
    "log-opts": _log_opts,
    "default-shm-size": _shm_size,
    "default-ulimits": _ulimits,
    "default-address-pools": _pools,
}


def _number(value: Any, least: int) -> int:
    number: int = _typed(value, int, "a number")
    if number < least:
        raise InvalidArgument(f"{number} is out of range")
    return number


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = _typed(value, dict, "an object")
    return found


def _typed(value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidArgument(f"must be {words}")
    return value


def _strings(value: Any) -> list[str]:
    return [_typed(item, str, "a list of strings") for item in _typed(value, list, "a list of strings")]


def _check_list(key: str, values: list[str]) -> None:
    if key == "registry-mirrors":
        for url in values:
            scheme, separator, rest = url.partition("://")
            if scheme not in ("http", "https") or not separator or not rest.strip("/"):
                raise InvalidArgument(f"invalid mirror: {url} is not a URL of http or https")
            if "@" in rest or "?" in rest or "#" in rest:
                raise InvalidArgument(f"invalid mirror: {rest.rpartition('@')[2]} has more than a host and a path")
    if key == "insecure-registries":
        for name in values:
            if "://" in name or not name or name.startswith("-"):
                raise InvalidArgument(f"insecure registry {name} is not valid: a host, host:port or network is")


def _ulimit(name: str, limit: Any) -> dict[str, Any]:
    from pyctr.engine.options.resources import parse_ulimit

    entry = _typed(limit, dict, "an object of objects")
    unknown = entry.keys() - {"Name", "Soft", "Hard"}
    if unknown:
        raise InvalidArgument(f"{name}: unknown key {min(unknown)}")
    soft, hard = (_typed(entry.get(word, 0), int, "a number") for word in ("Soft", "Hard"))
    return parse_ulimit(f"{entry.get('Name', name)}={soft}:{hard}")


def _pool(pool: Any) -> tuple[str, int]:
    entry = _typed(pool, dict, "a list of objects")
    unknown = entry.keys() - {"base", "size"}
    if unknown:
        raise InvalidArgument(f"unknown key {min(unknown)}")
    base, size = _typed(entry.get("base"), str, "base, a string"), _typed(entry.get("size"), int, "size, a number")
    prefix = base.rpartition("/")[2]
    if not prefix.isdigit() or not int(prefix) <= size <= 128:
        raise InvalidArgument(f"invalid pool: {base} has no subnets of size {size}")
    return base, size


def with_defaults(config: Config, options: dict[str, Any]) -> dict[str, Any]:
    """Options as if the user had said what the file says and he did not; one parser reads both.

    The file's log-opts are its driver's: with another they mean nothing (moby daemon/logs.go, mergeAndVerifyLogConfig).
    """
    added: dict[str, Any] = {}
    default = config.log_driver or "json-file"
    driver = options.get("log_driver") or default
    if driver != "json-file":
        added["log_driver"] = driver
    if config.log_opts and driver == default and driver != "none":
        added["log_opt"] = [*(f"{name}={text}" for name, text in config.log_opts.items()), *options.get("log_opt", ())]
    if config.shm_size_bytes is not None:
        added["shm_size"] = options.get("shm_size", f"{config.shm_size_bytes}b")
    if config.init is not None:
        added["init"] = options.get("init", config.init)
    if config.ulimits:
        limits = (f"{limit['Name']}={limit['Soft']}:{limit['Hard']}" for limit in config.ulimits)
        added["ulimit"] = [*limits, *options.get("ulimit", ())]
    return {**options, **added} if added else options
