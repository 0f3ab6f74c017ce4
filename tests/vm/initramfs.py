"""What a virtual machine boots from: all of a Debian tree that tests need, in memory."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.vm.machine import Machine

# What the tests of a start need beyond what is built in; those a kernel lacks as modules are built in or unknown to it.
MODULES = (
    "overlay",
    "loop",
    "bfq",
    "veth",
    "bridge",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_fib_inet",
    "nft_numgen",
)
EXIT_MARK = "pyctr-vm-exit:"
# Parts of the Debian tree that nothing here reads.
NOT_NEEDED = re.compile(
    r"boot|dev|tmp|lib/modules|lib/udev|usr/lib/udev|usr/share/(doc|man|locale|info|bash-completion|zsh|lintian|bug)|var/(cache|lib)"
    r"|usr/lib/python3\.11/(test|idlelib|lib2to3|tkinter|pydoc_data|ensurepip|distutils)|.*/__pycache__"
)

# The initramfs is a root that nothing can be pivoted away from; a tmpfs takes its place before anything else.
INIT = """#!/bin/busybox sh
if [ "$1" != moved ]; then
  /bin/busybox mkdir /new
  /bin/busybox mount -t tmpfs -o mode=755,size=80% tmpfs /new
  for entry in /*; do [ "$entry" = /new ] || /bin/busybox cp -a "$entry" /new/; done
  exec /bin/busybox switch_root /new /init moved
fi
for name in $(/bin/busybox --list); do [ -e /bin/$name ] || /bin/busybox ln -s busybox /bin/$name; done
export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /run /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
{cgroups}
ip link set lo up
for module in $(cat /modules/order 2>/dev/null); do insmod /modules/$module || echo "insmod $module failed"; done
exec {next}
"""

# Runs the commands; the first that fails gives the exit code.
COMMANDS = """#!/bin/busybox sh
exec </dev/null >/dev/{port} 2>&1
export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/root
stty -F /dev/{port} raw
code=0
{commands}
echo "{mark} $code"
poweroff -f
"""

SYSTEMD = "/lib/systemd/systemd"
# Just enough for systemd to be there and to be spoken to: the bus, and a service that runs the commands.
UNITS = {
    "pyctr-test.target": "[Unit]\nDefaultDependencies=no\nRequires=dbus.service pyctr-test.service\n",
    "pyctr-test.service": "[Unit]\nDefaultDependencies=no\nAfter=dbus.service\n[Service]\nType=oneshot\nExecStart=/commands\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart="
    "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
}
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n"
GROUP = b"root:x:0:\nmessagebus:x:100:\n"


class Archive:
    """cpio's newc format (kernel documentation, driver-api/early-userspace/buffer-format)."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.names: set[str] = set()

    def add(self, name: str, mode: int, data: bytes = b"") -> None:
        """Adds an entry, and the directories it lies in; the first of a name stays."""
        name = name.strip("/")
        parent = name.rpartition("/")[0]
        if parent and parent not in self.names:
            self.add(parent, stat.S_IFDIR | 0o755)
        if name in self.names:
            return
        self.names.add(name)
        encoded = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self.chunks += [header, encoded, b"\0" * (-(len(header) + len(encoded)) % 4), data, b"\0" * (-len(data) % 4)]

    def add_file(self, source: Path, destination: str) -> None:
        """Adds a file or a link, or a directory with all that is in it but compiled Python."""
        if source.is_symlink():
            self.add(destination, stat.S_IFLNK | 0o777, os.readlink(source).encode())
        elif source.is_dir():
            for path in sorted(source.iterdir()):
                if path.name != "__pycache__":
                    self.add_file(path, f"{destination}/{path.name}")
        elif source.is_file():
            self.add(destination, stat.S_IFREG | stat.S_IMODE(source.stat().st_mode), source.read_bytes())

    def add_text(self, destination: str, text: str | bytes, mode: int = 0o644) -> None:
        """Adds a file of this text."""
        self.add(destination, stat.S_IFREG | mode, text.encode() if isinstance(text, str) else text)

    def finish(self) -> bytes:
        """The archive; not compressed: an emulated processor would take longer to inflate it."""
        self.add("TRAILER!!!", 0)
        return b"".join(self.chunks)


def module_files(debian: Path, names: Iterable[str]) -> list[Path]:
    """The files of modules and of what they depend on, in the order to load them."""
    top = next((debian / "lib/modules").iterdir())
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in top.rglob("*.ko*")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name.replace("-", "_"))
        if path is None or path in ordered:
            return
        command = ["/sbin/modinfo", "-F", "depends", str(path)]
        for needed in subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split(","):
            if needed:
                add(needed)
        ordered.append(path)

    for name in names:
        add(name)
    return ordered


def add_debian(archive: Archive, debian: Path, below: str = "") -> None:
    """Adds what is needed of the tree."""
    for path in sorted((debian / below).iterdir()):
        name = f"{below}/{path.name}".lstrip("/")
        if NOT_NEEDED.fullmatch(name):
            continue
        if path.is_dir() and not path.is_symlink():
            add_debian(archive, debian, name)
        else:
            archive.add_file(path, name)


def pack(
    machine: Machine, debian: Path, files: Sequence[tuple[Path, str]], commands: Sequence[str], *, systemd: bool
) -> bytes:
    """The initramfs: `files` by destination, and the commands to run, below systemd if asked."""
    archive = Archive()
    following = f"{SYSTEMD} --unit=pyctr-test.target" if systemd else "/commands"
    cgroups = "" if systemd else "mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup"
    archive.add_text("/init", INIT.replace("{next}", following).replace("{cgroups}", cgroups), 0o755)
    # Every command is run, the first failure is the result.
    lines = [f"{{ {command}\n}} || {{ last=$?; [ $code != 0 ] || code=$last; }}" for command in commands]
    script = COMMANDS.replace("{commands}", "\n".join(lines)).replace("{mark}", EXIT_MARK)
    archive.add_text("/commands", script.replace("{port}", machine.port), 0o755)
    archive.add_text("/etc/passwd", PASSWD)
    archive.add_text("/etc/group", GROUP)
    archive.add_text("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    for name, text in UNITS.items():
        archive.add_text(f"/etc/systemd/system/{name}", text)
    for directory in ("proc", "sys", "dev", "root", "var/lib"):
        archive.add(directory, stat.S_IFDIR | 0o755)
    archive.add_file(Path(__file__).with_name("engine.sh"), "/bin/engine-test")
    for source, destination in files:
        archive.add_file(source, destination)
    ordered = module_files(debian, MODULES)
    for path in ordered:
        archive.add_file(path, f"/modules/{path.name}")
    archive.add_text("/modules/order", "\n".join(path.name for path in ordered))
    add_debian(archive, debian)
    return archive.finish()
