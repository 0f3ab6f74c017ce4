"""Docker's seccomp profile format resolved to the runtime-spec's: includes, excludes, archMap."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import HostFacts

#: uname machine → (Go's name, libseccomp's).
_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}
_COPIED = ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")


def plan_seccomp(text: str, capabilities: dict[str, list[str]], host: HostFacts) -> dict[str, Any]:
    """`linux.seccomp` of a profile in Docker's or the runtime-spec's own form; raises InvalidArgument."""
    from pyctr._core import json_loads

    profile = json_loads(text)
    if "defaultAction" not in profile:
        raise InvalidArgument("seccomp profile: defaultAction is missing")
    if profile.get("architectures") and profile.get("archMap"):
        raise InvalidArgument(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either of them"
        )
    goarch, architecture = _MACHINES.get(host.machine, (host.machine, ""))
    planned: dict[str, Any] = {"defaultAction": profile["defaultAction"]}
    planned |= {name: profile[name] for name in _COPIED if name in profile}
    planned["architectures"] = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == architecture:
            planned["architectures"] = [entry["architecture"], *(entry.get("subArchitectures") or ())]
    planned["syscalls"] = [
        plan_call(call)
        for call in profile.get("syscalls") or ()
        if applies(call, goarch, set(capabilities["bounding"]), host.kernel)
    ]
    return planned


def plan_call(call: dict[str, Any]) -> dict[str, Any]:
    """One group of system calls without its conditions."""
    if call.get("name") and call.get("names"):
        raise InvalidArgument("both 'name' and 'names' are specified in the seccomp profile, use either of them")
    names = [call["name"]] if call.get("name") else list(call.get("names") or ())
    planned: dict[str, Any] = {"names": names, "action": call["action"]}
    if call.get("errnoRet") is not None:
        planned["errnoRet"] = call["errnoRet"]
    if call.get("args"):
        planned["args"] = call["args"]
    return planned


def applies(call: dict[str, Any], goarch: str, capabilities: set[str], kernel: tuple[int, int]) -> bool:
    """Whether a group's includes and excludes let it in."""
    excludes, includes = call.get("excludes") or {}, call.get("includes") or {}
    if goarch in (excludes.get("arches") or ()) or capabilities & set(excludes.get("caps") or ()):
        return False
    if excludes.get("minKernel") and kernel >= parse_kernel(excludes["minKernel"]):
        return False
    if includes.get("arches") and goarch not in includes["arches"]:
        return False
    if not set(includes.get("caps") or ()) <= capabilities:
        return False
    return not includes.get("minKernel") or kernel >= parse_kernel(includes["minKernel"])


def parse_kernel(text: str) -> tuple[int, int]:
    """``4.8`` as two numbers."""
    major, _, minor = text.partition(".")
    if not major.isdigit() or not minor.isdigit():
        raise InvalidArgument(f"seccomp profile: invalid kernel version {text}")
    return int(major), int(minor)
