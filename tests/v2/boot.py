"""Boots a Linux with nothing but control groups v2 and runs commands in it.

The host's kernel has what hierarchies it has; this brings Debian's cloud kernel (downloaded with apt-get, unpacked, not installed)
up under qemu without any disk: an initramfs of busybox, the files given with the libraries they need, and kernel modules. What the
commands print is printed here; the exit code is that of the first command that fails.

    boot.py --file target/debug/deps/core_test:/bin/core_test --run '/bin/core_test cgroup::'
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KERNEL_PACKAGE = "linux-image-cloud-amd64"
QEMU = "qemu-system-x86_64"
BUSYBOX = "/bin/busybox"
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
)
EXIT_MARK = "pyctr-v2-exit:"
SKIPPED = 77

# The initramfs is a root that nothing can be pivoted away from; a tmpfs takes its place before anything else.
INIT = """#!/bin/busybox sh
if [ "$1" != moved ]; then
  /bin/busybox mkdir /new
  /bin/busybox mount -t tmpfs -o mode=755,size=80% tmpfs /new
  for entry in /*; do [ "$entry" = /new ] || /bin/busybox cp -a "$entry" /new/; done
  exec /bin/busybox switch_root /new /init moved
fi
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin HOME=/root
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
exec </dev/null >/dev/ttyS1 2>&1
export PATH=/bin:/usr/bin:/sbin HOME=/root
stty -F /dev/ttyS1 raw
code=0
{commands}
echo "{mark} $code"
poweroff -f
"""

PYTHON = "/usr/bin/python3.11"
# Parts of Python's library that no command of the engine imports.
NOT_NEEDED = {"__pycache__", "test", "tests", "idlelib", "lib2to3", "tkinter", "pydoc_data", "ensurepip", "distutils"}

SYSTEMD = "/lib/systemd/systemd"
DBUS = "/usr/bin/dbus-daemon"
# Just enough for systemd to be there and to be spoken to: the bus, and a service that runs the commands.
UNITS = {
    "pyctr-test.target": "[Unit]\nDefaultDependencies=no\nRequires=dbus.service pyctr-test.service\n",
    "pyctr-test.service": "[Unit]\nDefaultDependencies=no\nAfter=dbus.service\n[Service]\nType=oneshot\nExecStart=/commands\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart="
    f"{DBUS} --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
}


class Skip(Exception):
    """What the machine lacks."""


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a command and returns what it printed."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def kernel_package() -> str:
    """The package behind the meta package: linux-image-6.1.0-50-cloud-amd64."""
    try:
        depends = run("apt-cache", "depends", "--important", KERNEL_PACKAGE)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"apt-cache knows no {KERNEL_PACKAGE}: {error}") from error
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise Skip(f"apt-cache knows no {KERNEL_PACKAGE}")
    return found[1]


def fetch_kernel(cache: Path) -> Path:
    """The unpacked kernel package, downloaded once."""
    package = kernel_package()
    tree = cache / package
    if tree.is_dir():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        try:
            run("apt-get", "download", "-qq", package, cwd=work)
        except subprocess.CalledProcessError as error:
            raise Skip(f"cannot download {package}: {error}") from error
        unpacked = work / "tree"
        run("dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(unpacked))
        unpacked.rename(tree)
    return tree


def module_files(tree: Path, names: Iterable[str]) -> list[Path]:
    """The files of modules and of what they depend on, in the order to load them."""
    top = next((tree / "lib/modules").iterdir())
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in top.rglob("*.ko*")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name.replace("-", "_"))
        if path is None or path in ordered:
            return
        for needed in run("/sbin/modinfo", "-F", "depends", str(path)).strip().split(","):
            if needed:
                add(needed)
        ordered.append(path)

    for name in names:
        add(name)
    return ordered


def libraries(binary: Path) -> list[Path]:
    """The shared libraries of a program, its loader among them; none for a static one or a script."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return []
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listed.stdout)]


class Archive:
    """An initramfs in cpio's newc format (kernel documentation, driver-api/early-userspace/buffer-format)."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.names: set[str] = set()

    def add(self, name: str, mode: int, data: bytes = b"") -> None:
        """Adds an entry, and the directories it lies in."""
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
        """Adds a program or other file, or a directory with all that is in it."""
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if not path.is_dir():
                    self.add_file(path, f"{destination}/{path.relative_to(source)}")
            return
        self.add(destination, stat.S_IFREG | stat.S_IMODE(source.stat().st_mode), source.read_bytes())
        if os.access(source, os.X_OK) or source.suffix == ".so":
            for library in libraries(source):
                self.add(str(library), stat.S_IFREG | 0o755, library.read_bytes())

    def finish(self) -> bytes:
        """The archive."""
        self.add("TRAILER!!!", 0)
        # Level 1: it is read once, from memory.
        return gzip.compress(b"".join(self.chunks), 1)


def add_systemd(archive: Archive) -> None:
    """Adds systemd, the message bus, and their units."""
    for source in (SYSTEMD, DBUS, "/usr/share/dbus-1/system.conf", "/usr/share/dbus-1/system.d"):
        archive.add_file(Path(source), source)
    for name, text in UNITS.items():
        archive.add(f"/etc/systemd/system/{name}", stat.S_IFREG | 0o644, text.encode())
    archive.add("/etc/machine-id", stat.S_IFREG | 0o644, b"0123456789abcdef0123456789abcdef\n")


def add_engine(archive: Archive) -> None:
    """Adds Debian's Python, what the engine needs of its library, and this checkout's package as built by `make dev`."""
    archive.add_file(Path(PYTHON), "/usr/bin/python3")
    library = Path(f"/usr/lib/{Path(PYTHON).name}")
    for path in sorted(library.rglob("*")):
        if not path.is_dir() and not set(path.relative_to(library).parts) & NOT_NEEDED:
            archive.add_file(path, str(path))
    package = Path(__file__).parents[2] / "python/pyctr"
    for path in sorted(package.rglob("*")):
        if not path.is_dir() and path.parent.name != "__pycache__":
            archive.add_file(path, f"/opt/pyctr/{path.relative_to(package)}")
    archive.add_file(Path(__file__).with_name("engine.sh"), "/bin/engine-test")


def pack(
    tree: Path,
    files: Sequence[tuple[Path, str]],
    modules: Sequence[str],
    commands: Sequence[str],
    *,
    systemd: bool,
    engine: bool,
) -> bytes:
    """Makes the initramfs."""
    archive = Archive()
    archive.add_file(Path(BUSYBOX), "/bin/busybox")
    following = f"{SYSTEMD} --unit=pyctr-test.target" if systemd else "/commands"
    cgroups = "" if systemd else "mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup"
    init = INIT.replace("{next}", following).replace("{cgroups}", cgroups)
    archive.add("/init", stat.S_IFREG | 0o755, init.encode())
    if systemd:
        add_systemd(archive)
    if engine:
        add_engine(archive)
    for directory in ("proc", "sys", "dev", "root", "usr/bin", "sbin", "var/lib", "etc"):
        archive.add(directory, stat.S_IFDIR | 0o755)
    archive.add(
        "/etc/passwd", stat.S_IFREG | 0o644, b"root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n"
    )
    archive.add("/etc/group", stat.S_IFREG | 0o644, b"root:x:0:\nmessagebus:x:100:\n")
    ordered = module_files(tree, modules)
    for path in ordered:
        archive.add_file(path, f"/modules/{path.name}")
    archive.add("/modules/order", stat.S_IFREG | 0o644, "\n".join(path.name for path in ordered).encode())
    for source, destination in files:
        archive.add_file(source, destination)
    # Every command is run, the first failure is the result.
    lines = [f"{{ {command}\n}} || {{ last=$?; [ $code != 0 ] || code=$last; }}" for command in commands]
    script = COMMANDS.replace("{commands}", "\n".join(lines)).replace("{mark}", EXIT_MARK)
    archive.add("/commands", stat.S_IFREG | 0o755, script.encode())
    return archive.finish()


def boot(kernel: Path, initramfs: Path, *, memory_mib: int, cpus: int, timeout_s: float, log: Path) -> int:
    """Boots; prints what the commands print; returns their exit code."""
    command = [
        *(QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(memory_mib), "-smp", str(cpus)),
        *("-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-nic", "none"),
        *("-serial", f"file:{log}", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cgroup_no_v1=all"),
    ]
    code = None
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as qemu:
        watchdog = threading.Timer(timeout_s, qemu.kill)
        watchdog.start()
        assert qemu.stdout is not None
        for line in qemu.stdout:
            if line.startswith(EXIT_MARK):
                code = int(line.removeprefix(EXIT_MARK))
            else:
                print(line, end="", flush=True)
        watchdog.cancel()
    if code is None:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        print(
            f"boot.py: the machine ended, or was stopped after {timeout_s} s, before its commands did", file=sys.stderr
        )
        return 1
    return code


def parse_file(text: str) -> tuple[Path, str]:
    """`SOURCE[:DESTINATION]`."""
    source, _, destination = text.partition(":")
    path = Path(source).resolve()
    return path, destination or f"/bin/{path.name}"


def main() -> int:
    """Parses the command line, boots, returns the exit code; 77 where something the machine lacks makes it impossible."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--file", action="append", default=[], type=parse_file, metavar="SOURCE[:DESTINATION]")
    parser.add_argument(
        "--module", action="append", default=list(MODULES), help="kernel module to load, beside the usual"
    )
    parser.add_argument("--run", action="append", default=[], metavar="COMMAND", required=True)
    parser.add_argument(
        "--cache", type=Path, default=Path("target/v2"), help="where the kernel is kept (default: %(default)s)"
    )
    parser.add_argument("--systemd", action="store_true", help="run the commands below a real systemd")
    parser.add_argument("--engine", action="store_true", help="bring Python and the package, and engine-test")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    options = parser.parse_args()
    try:
        if platform.machine() != "x86_64":
            raise Skip("the virtual machine is set up for x86_64 only")
        wanted = [*((SYSTEMD, DBUS) if options.systemd else ()), *((PYTHON,) if options.engine else ())]
        for program in (QEMU, BUSYBOX, "/sbin/modinfo", "dpkg-deb", "apt-get", *wanted):
            if shutil.which(program) is None:
                raise Skip(f"{program} is not installed")
        tree = fetch_kernel(options.cache)
    except Skip as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        initramfs = Path(name) / "initramfs"
        initramfs.write_bytes(
            pack(tree, options.file, options.module, options.run, systemd=options.systemd, engine=options.engine)
        )
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        return boot(
            kernel,
            initramfs,
            memory_mib=options.memory,
            cpus=options.cpus,
            timeout_s=options.timeout,
            log=Path(name) / "console.log",
        )


if __name__ == "__main__":
    sys.exit(main())
