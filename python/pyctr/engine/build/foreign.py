"""RUN on a platform that is not this machine's: whether the kernel has an interpreter for it (binfmt_misc), or else no."""

from __future__ import annotations

import contextlib
import os

from pyctr.build.plan.step import Run
from pyctr.errors import BuildError
from pyctr.image.manifest import host_platform, parse_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.plan.step import Plan

BINFMT = "/proc/sys/fs/binfmt_misc"
#: Architecture → class (1: 32 bit, 2: 64 bit), byte order (1: little, 2: big) and e_machine of its ELF files (elf.h).
_ELF = {
    "386": (1, 1, 3), "amd64": (2, 1, 62), "arm": (1, 1, 40), "arm64": (2, 1, 183), "loong64": (2, 1, 258), "mips": (1, 2, 8),
    "mips64": (2, 2, 8), "mips64le": (2, 1, 8), "mipsle": (1, 1, 8), "ppc64": (2, 2, 21), "ppc64le": (2, 1, 21), "riscv64": (2, 1, 243),
    "s390x": (2, 2, 22),
}  # fmt: skip
#: What a processor runs beside its own.
_COMPATIBLE = {("amd64", "386"), ("arm64", "arm")}


def refuse_foreign(plan: Plan, *, directory: str = BINFMT) -> None:
    """Refuse a plan with a RUN that this machine cannot carry out, before anything runs. Raises BuildError with its line."""
    for step in plan.steps:
        if isinstance(step, Run) and not is_native(step.platform, directory=directory):
            system, architecture, _ = host_platform()
            failure = BuildError(
                f"RUN for {step.platform} cannot be carried out: this machine is {system}/{architecture}, and no interpreter is"
                " registered in binfmt_misc",
                hint=f"register one (qemu-user-static), or RUN in a stage FROM --platform=$BUILDPLATFORM: {step.where.name}",
            )
            failure.line, failure.last_line = step.where.first_line or None, step.where.last_line or None
            failure.step = step
            raise failure


def is_native(platform: str, *, directory: str = BINFMT) -> bool:
    """Whether this machine runs what is for a platform, itself or through a registered interpreter."""
    system, architecture, _ = parse_platform(platform)
    own = host_platform()
    if system != own[0]:
        return False
    if architecture == own[1] or (own[1], architecture) in _COMPATIBLE:
        return True
    return architecture in _ELF and any(matches(entry, elf_header(architecture)) for entry in _entries(directory))


def _entries(directory: str) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        with open(f"{directory}/status", encoding="ascii") as file:
            if file.read().strip() != "enabled":
                return []
        for name in sorted(os.listdir(directory)):
            if name not in ("register", "status"):
                with (
                    contextlib.suppress(OSError),
                    open(f"{directory}/{name}", encoding="ascii", errors="replace") as file,
                ):
                    found.append(file.read())
    return found


def elf_header(architecture: str) -> bytes:
    """How an executable for an architecture begins."""
    width, order, machine = _ELF[architecture]
    byte_order: tuple[str, str] = ("little", "big")
    numbers = b"".join(
        value.to_bytes(size, byte_order[order - 1])  # type: ignore[arg-type]
        for value, size in ((2, 2), (machine, 2), (1, 4))  # ET_EXEC, e_machine, EV_CURRENT
    )
    return b"\x7fELF" + bytes((width, order, 1)) + bytes(9) + numbers


def matches(entry: str, header: bytes) -> bool:
    """Whether an entry of binfmt_misc, as the kernel shows it, is for files that begin so."""
    lines = entry.splitlines()
    values = dict(line.partition(" ")[::2] for line in lines[1:])
    if not lines or lines[0] != "enabled" or "magic" not in values:
        return False
    try:
        offset, magic = int(values.get("offset", "0")), bytes.fromhex(values["magic"])
        mask = bytes.fromhex(values["mask"]) if "mask" in values else b"\xff" * len(magic)
    except ValueError:
        return False
    there = header[offset : offset + len(magic)]
    return len(there) == len(magic) and all(
        (have & bits) == (want & bits) for have, want, bits in zip(there, magic, mask, strict=False)
    )
