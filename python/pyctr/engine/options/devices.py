"""``--device``, ``--device-cgroup-rule``, ``--gpus`` and the block devices' limits."""

from __future__ import annotations

from pyctr.engine.options.process import clean_path
from pyctr.engine.options.units import parse_size
from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_RATES = (
    ("device_read_bps", "BlkioDeviceReadBps"),
    ("device_write_bps", "BlkioDeviceWriteBps"),
    ("device_read_iops", "BlkioDeviceReadIOps"),
    ("device_write_iops", "BlkioDeviceWriteIOps"),
)


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Devices, DeviceCgroupRules and the Blkio lists of HostConfig."""
    if "gpus" in options:
        raise InvalidArgument("--gpus: GPUs are not supported")
    host = request.host_config
    host["Devices"] = [parse_device(text) for text in options.get("device", ())]
    host["DeviceCgroupRules"] = [check_rule(text) for text in options.get("device_cgroup_rule", ())] or None
    host["BlkioWeightDevice"] = [parse_weight(text) for text in options.get("blkio_weight_device", ())]
    for key, field in _RATES:
        host[field] = [parse_rate(text, "--" + key.replace("_", "-")) for text in options.get(key, ())]


def parse_device(text: str) -> dict[str, str]:
    """``/host[:/container][:rwm]``."""
    parts = text.split(":")
    if not text or len(parts) > 3 or "" in parts:
        raise InvalidArgument(f"bad format for path: {text}")
    source, target, mode = parts[0], parts[0], "rwm"
    if not source.startswith("/"):
        kind = "CDI devices are not supported" if "=" in source else "not an absolute path"
        raise InvalidArgument(f"{source} is {kind}" if kind.startswith("not") else f"{source}: {kind}")
    if len(parts) == 2 and is_mode(parts[1]):
        mode = parts[1]
    elif len(parts) > 1:
        target = parts[1]
    if len(parts) == 3:
        if not is_mode(parts[2]):
            raise InvalidArgument(f"bad mode specified: {parts[2]}")
        mode = parts[2]
    if not target.startswith("/"):
        raise InvalidArgument(f"{target} is not an absolute path")
    return {"PathOnHost": clean_path(source), "PathInContainer": clean_path(target), "CgroupPermissions": mode}


def is_mode(text: str) -> bool:
    """Some of r, w and m, each once."""
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def check_rule(text: str) -> str:
    """``c 1:3 rwm``, ``a *:* rwm``."""
    parts = text.split(" ")
    numbers = parts[1].split(":") if len(parts) == 3 else []
    known = all(number == "*" or (number.isascii() and number.isdigit()) for number in numbers)
    if len(numbers) != 2 or not known or parts[0] not in ("a", "b", "c") or not is_mode(parts[2]):
        raise InvalidFlag(text, "--device-cgroup-rule", f"invalid device cgroup format '{text}'")
    return text


def parse_weight(text: str) -> dict[str, Any]:
    """``/dev/x:WEIGHT``, 10 to 1000 or 0."""
    path, value = split_device(text, "--blkio-weight-device")
    if not value.isascii() or not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise InvalidFlag(text, "--blkio-weight-device", f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def parse_rate(text: str, flag: str) -> dict[str, Any]:
    """``/dev/x:RATE``; bytes a second take a unit, operations a second do not."""
    path, value = split_device(text, flag)
    if flag.endswith("bps"):
        try:
            rate = parse_size(value)
        except ValueError:
            raise InvalidFlag(
                text,
                flag,
                f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must "
                "be a positive integer. Unit is optional and can be kb, mb, or gb",
            ) from None
    elif value.isascii() and value.isdigit():
        rate = int(value)
    else:
        raise InvalidFlag(
            text,
            flag,
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer",
        )
    return {"Path": path, "Rate": rate}


def split_device(text: str, flag: str) -> tuple[str, str]:
    """The path and what follows the first colon."""
    path, colon, value = text.partition(":")
    if not colon:
        raise InvalidFlag(text, flag, f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidFlag(text, flag, f"bad format for device path: {text}")
    return path, value
