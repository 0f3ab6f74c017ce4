"""What a template's names mean: Docker's types, of which JSON has kept only the values.

A Go client knows of each field whether it is a structure, a map, a slice or a pointer, and shows what is missing accordingly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Fields that are maps: any key may be asked for, and a missing one is no mistake.
MAPS = frozenset(
    ("Labels", "Volumes", "ExposedPorts", "Ports", "PortBindings", "Options", "Sysctls", "Tmpfs", "StorageOpt", "Annotations",
     "Data", "Networks", "DriverOpts", "GwPriority", "Containers", "IPAMConfig", "AuxiliaryAddresses", "Runtimes", "Attributes")
)  # fmt: skip
#: Fields that are slices.
SLICES = frozenset(
    ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell", "Args", "Binds", "VolumesFrom", "CapAdd", "CapDrop", "Dns", "DnsOptions",
     "DnsSearch", "ExtraHosts", "GroupAdd", "Links", "SecurityOpt", "Devices", "DeviceCgroupRules", "DeviceRequests", "Ulimits",
     "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps",
     "MaskedPaths", "ReadonlyPaths", "Mounts", "ExecIDs", "RepoTags", "RepoDigests", "Layers", "Aliases", "DNSNames",
     "SecondaryIPAddresses", "SecondaryIPv6Addresses", "ConsoleSize")
)  # fmt: skip
#: Fields that are pointers.
POINTERS = frozenset(
    ("SizeRw", "SizeRootFs", "Health", "Healthcheck", "Init", "MemorySwappiness", "OomKillDisable", "PidsLimit", "StopTimeout",
     "ImageManifestDescriptor", "Descriptor")
)  # fmt: skip


class Nil:
    """A nil that has a type."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


NIL_MAP, NIL_SLICE, NIL_POINTER = Nil("map[]"), Nil("[]"), Nil("<nil>")


class Missing(Exception):
    """A field that a value does not have: why."""


def field(value: Any, name: str, parent: str) -> Any:
    """A field of a value, which is itself the field `parent`. Raises Missing."""
    if isinstance(value, dict):
        if name not in value:
            if parent in MAPS:
                return None
            if name in POINTERS:
                return NIL_POINTER  # left out of JSON where it is nil
            raise Missing(f'map has no entry for key "{name}"')
        return typed(value[name], name)
    if value is None or value is NIL_POINTER:
        if value is None:
            raise Missing(f'nil data; no entry for key "{name}"')
        raise Missing(f"nil pointer evaluating interface {{}}.{name}")
    if value is NIL_MAP:
        return None
    getter = getattr(value, "template_field", None)
    if getter is not None:
        return getter(name)
    raise Missing(f"can't evaluate field {name} in type interface {{}}")


def typed(value: Any, name: str) -> Any:
    """A field's value; its nil as the type has it."""
    if value is not None:
        return value
    if name in MAPS:
        return NIL_MAP
    if name in SLICES:
        return NIL_SLICE
    return NIL_POINTER if name in POINTERS else None


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return None if isinstance(value, Nil) else value


def type_name(value: Any) -> str:
    """Go's word for a value's type."""
    if value is None:
        return "untyped nil"
    names = {
        bool: "bool",
        int: "int",
        float: "float64",
        str: "string",
        dict: "map[string]interface {}",
        list: "[]interface {}",
    }
    return names.get(type(value), "interface {}")
