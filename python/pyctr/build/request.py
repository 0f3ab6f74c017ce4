"""What a build was asked for: options, parsed."""

from __future__ import annotations

from pyctr.build.plan.step import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Secret(Frozen):
    """`--secret`: exactly one of `path` (a file of this machine) and `variable` (of this process's environment) is set."""

    __slots__ = ("identity", "path", "variable")

    def __init__(self, identity: str, *, path: str = "", variable: str = "") -> None:
        self.identity = identity
        self.path = path
        self.variable = variable


class Agent(Frozen):
    """`--ssh`: the socket of an agent, or private keys an agent is to be made of."""

    __slots__ = ("identity", "keys", "socket")

    def __init__(self, identity: str, *, socket: str = "", keys: tuple[str, ...] = ()) -> None:
        self.identity = identity
        self.socket = socket
        self.keys = keys


class Typed(Frozen):
    """`type=…,key=value,…` of `--output`, `--cache-from`, `--cache-to`; keys without `type`."""

    __slots__ = ("attributes", "kind")

    def __init__(self, kind: str, attributes: Mapping[str, str]) -> None:
        #: Output: image, local, tar, oci, docker, registry, cacheonly. Cache: registry, local, inline.
        self.kind = kind
        self.attributes = attributes


class Request(Frozen):
    """Everything but the Dockerfile itself. Paths are absolute; strings were checked."""

    __slots__ = (
        "add_hosts", "allow", "annotations", "build_args", "cache_from", "cache_to", "cgroup_parent", "context", "contexts", "dockerfile_name",
        "ignore", "labels", "limits", "network", "no_cache", "no_cache_filter", "outputs", "platforms", "pull", "secrets", "shm_size_bytes",
        "source_date_epoch", "ssh", "tags", "target", "timestamp", "ulimits",
    )  # fmt: skip

    context: str
    contexts: Mapping[str, str]
    ignore: tuple[str, ...]
    dockerfile_name: str
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    target: str
    platforms: tuple[str, ...]
    no_cache: bool
    no_cache_filter: tuple[str, ...]
    pull: bool
    tags: tuple[str, ...]
    outputs: tuple[Typed, ...]
    cache_from: tuple[Typed, ...]
    cache_to: tuple[Typed, ...]
    secrets: Mapping[str, Secret]
    ssh: Mapping[str, Agent]
    network: str
    add_hosts: tuple[tuple[str, str], ...]
    ulimits: tuple[str, ...]
    shm_size_bytes: int
    limits: Mapping[str, Any]
    cgroup_parent: str
    allow: frozenset[str]
    source_date_epoch: int | None
    timestamp: str

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            default = _DEFAULTS.get(name)
            setattr(self, name, values.pop(name) if name in values else default() if callable(default) else default)
        if values:
            raise TypeError(f"no such part of a build: {', '.join(values)}")


#: Empty, for each field: what was not asked for.
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("contexts", "build_args", "labels", "annotations", "secrets", "ssh", "limits"), dict),
    **dict.fromkeys(
        ("ignore", "platforms", "no_cache_filter", "tags", "outputs", "cache_from", "cache_to", "add_hosts", "ulimits"),
        tuple,
    ),
    **dict.fromkeys(("context", "target", "cgroup_parent", "timestamp"), ""),
    **dict.fromkeys(("no_cache", "pull"), False),
    "dockerfile_name": "Dockerfile",
    "network": "default",
    "shm_size_bytes": 0,
    "allow": frozenset,
    "source_date_epoch": None,
}
