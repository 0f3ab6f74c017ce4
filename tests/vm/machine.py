"""The machines qemu can be, and the Debian they run: unpacked by mmdebstrap, never installed, kept for the next time."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUITE = "bookworm"
# What the tests need of user space, beside the machine's kernel.
PACKAGES = ("busybox-static", "dbus", "iproute2", "libpython3.11-stdlib", "nftables", "python3.11-minimal", "systemd")


class Skip(Exception):
    """What this host lacks."""


@dataclass(frozen=True)
class Machine:
    """A machine qemu can be. `console` is the kernel's, `port` the serial port the commands print to."""

    name: str
    debian: str
    qemu: Sequence[str]
    console: str
    port: str = "ttyS1"


#: A second PL011 needs the secure world, so the commands' port is a PCI card there.
MACHINES = {
    "x86_64": Machine("x86_64", "amd64", ("qemu-system-x86_64", "-serial", "file:{log}", "-serial", "stdio"), "ttyS0"),
    "aarch64": Machine(
        "aarch64",
        "arm64",
        (
            *("qemu-system-aarch64", "-machine", "virt", "-serial", "file:{log}"),
            *("-chardev", "stdio,id=port", "-device", "pci-serial,chardev=port"),
        ),
        "ttyAMA0",
        "ttyS0",
    ),
}


def fetch_debian(machine: Machine, cache: Path) -> Path:
    """The tree of the packages and of the cloud kernel. Raises Skip where a program or the network is missing."""
    for program in (machine.qemu[0], "mmdebstrap", "modinfo"):
        if shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin") is None:
            raise Skip(f"{program} is not installed")
    tree = cache / f"{SUITE}-{machine.debian}"
    if tree.is_dir():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    new = tree.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    packages = ",".join((*PACKAGES, f"linux-image-cloud-{machine.debian}"))
    command = ("mmdebstrap", "--quiet", f"--architectures={machine.debian}", "--variant=extract")
    done = subprocess.run([*command, f"--include={packages}", SUITE, str(new)], check=False, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Skip(f"mmdebstrap cannot unpack Debian for {machine.debian}: {' '.join(reason)}")
    new.rename(tree)
    return tree
