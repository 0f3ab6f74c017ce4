"""Boots a Linux with nothing but control groups v2, on this or another processor, and runs commands in it.

The host's kernel has what hierarchies it has; this brings Debian's cloud kernel up under qemu without any disk: the initramfs holds
busybox, Python, systemd, nftables, kernel modules and the files given. What the commands print is printed here; the exit code is that
of the first command that fails, or 77 where this host lacks something.

    python -m tests.vm --file target/debug/deps/core_test:/bin/core_test --run '/bin/core_test cgroup::'
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.vm.initramfs import EXIT_MARK, pack
from tests.vm.machine import MACHINES, Machine, Skip, fetch_debian

SKIPPED = 77


def boot(machine: Machine, kernel: Path, initramfs: Path, options: argparse.Namespace, log: Path) -> int:
    """Boots; prints what the commands print; returns their exit code."""
    command = [
        *(word.replace("{log}", str(log)) for word in machine.qemu),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(options.memory), "-smp", str(options.cpus)),
        *("-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-nic", "none"),
        *("-kernel", str(kernel), "-initrd", str(initramfs)),
        *(
            "-append",
            f"console={machine.console} quiet panic=-1 nokaslr no_timer_check mitigations=off cgroup_no_v1=all",
        ),
    ]
    code = None
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as qemu:
        watchdog = threading.Timer(options.timeout, qemu.kill)
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
        why = f"the machine ended, or was stopped after {options.timeout} s, before its commands did"
        print(f"tests.vm: {why}", file=sys.stderr)
        return 1
    return code


def parse_file(text: str) -> tuple[Path, str]:
    """`SOURCE[:DESTINATION]`."""
    source, _, destination = text.partition(":")
    path = Path(source).resolve()
    return path, destination or f"/bin/{path.name}"


def main() -> int:
    """Parses the command line, boots, returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--machine", choices=sorted(MACHINES), default=platform.machine())
    parser.add_argument("--file", action="append", default=[], type=parse_file, metavar="SOURCE[:DESTINATION]")
    parser.add_argument("--run", action="append", default=[], metavar="COMMAND", required=True)
    parser.add_argument("--cache", type=Path, default=Path("target/vm"), help="where Debian is kept (%(default)s)")
    parser.add_argument("--systemd", action="store_true", help="run the commands below a real systemd")
    parser.add_argument("--package", type=Path, metavar="DIR", help="bring this pyctr package, as /opt/pyctr")
    parser.add_argument("--memory", type=int, default=1536, metavar="MIB")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS")
    options = parser.parse_args()
    machine = MACHINES[options.machine]
    try:
        debian = fetch_debian(machine, options.cache)
    except Skip as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    files = [*options.file, *([(options.package, "/opt/pyctr")] if options.package else [])]
    with tempfile.TemporaryDirectory() as name:
        initramfs = Path(name) / "initramfs"
        initramfs.write_bytes(pack(machine, debian, files, options.run, systemd=options.systemd))
        kernel = next((debian / "boot").glob("vmlinuz-*"))
        return boot(machine, kernel, initramfs, options, Path(name) / "console.log")


if __name__ == "__main__":
    sys.exit(main())
