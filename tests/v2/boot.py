"""``python -m tests.v2.boot PROGRAM...``: boot Debian's cloud kernel under qemu with cgroup v2 alone, run programs there.

Each program (a test executable, dynamically linked ones with their libraries) runs as root with `/bin/busybox` at hand; the exit
code is 0 if every one of them ended with 0. Needs qemu-system-x86, busybox-static, cpio and apt-get; the kernel is
downloaded, not installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_TIMEOUT_S = 300
_MODULES = ("overlay",)
#: The initramfs itself cannot be pivoted away from, so a tmpfs takes its place first.
_INIT = """#!/bin/busybox sh
if [ "$1" != moved ]; then
  /bin/busybox mkdir /new
  /bin/busybox mount -t tmpfs -o mode=755 tmpfs /new
  for entry in /*; do [ "$entry" != /new ] && /bin/busybox cp -a "$entry" /new/; done
  exec /bin/busybox switch_root /new /init moved
fi
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /etc /var
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/pts /dev/shm
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox mount -t tmpfs tmpfs /tmp
/bin/busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TMPDIR=/tmp
for module in /modules/*.ko*; do [ -e "$module" ] && insmod "$module"; done
echo "kernel $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
failed=0
for program in /programs/*; do
  echo "== $program"
  "$program" </dev/null || { echo "exit code $?"; failed=1; }
done
echo "RESULT $failed"
poweroff -f
"""


def kernel_package(directory: Path) -> Path:
    """Download and unpack the newest cloud kernel; where it was unpacked."""
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if found is None:
        raise SystemExit("apt-cache knows no linux-image-cloud-amd64: apt-get update first")
    subprocess.run(["apt-get", "download", "-qq", found[1]], cwd=directory, check=True)
    package = next(directory.glob("linux-image-*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(directory / "kernel")], check=True)
    return directory / "kernel"


def copy_with_libraries(program: Path, tree: Path) -> None:
    """Put a program into the tree, and what it is linked to where the loader looks for it."""
    target = tree / "programs" / program.name.partition("-")[0]
    shutil.copy(program, target)
    linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", linked):
        place = tree / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)


def make_initramfs(programs: list[Path], kernel: Path, directory: Path) -> Path:
    """An initramfs of busybox, modules, programs."""
    tree = directory / "tree"
    for name in ("bin", "programs", "modules", "root"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SystemExit("busybox-static is not installed")
    shutil.copy(busybox, tree / "bin/busybox")
    for name in _MODULES:
        for module in kernel.rglob(f"{name}.ko*"):
            shutil.copy(module, tree / "modules")
    for program in programs:
        copy_with_libraries(program, tree)
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    image = directory / "initramfs"
    with open(image, "wb") as out:
        files = subprocess.run(["find", "."], cwd=tree, capture_output=True, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=files, stdout=out, check=True)
    return image


def boot(programs: list[Path]) -> int:
    """Boot, run, power off; 0 if every program ended well."""
    with tempfile.TemporaryDirectory(prefix="pyctr-v2.") as name:
        directory = Path(name)
        os.chmod(directory, 0o755)  # apt-get downloads as another user
        kernel = kernel_package(directory)
        image = make_initramfs(programs, kernel, directory)
        vmlinuz = next((kernel / "boot").glob("vmlinuz-*"))
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot",
            "-kernel", str(vmlinuz), "-initrd", str(image),
            "-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all init=/init",
        ]  # fmt: skip
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
    text = done.stdout.decode(errors="replace").replace("\r", "")
    sys.stdout.write(text[text.find("kernel ") :] if "kernel " in text else text)
    return 0 if "RESULT 0" in text else 1


if __name__ == "__main__":
    sys.exit(boot([Path(argument) for argument in sys.argv[1:]]))
