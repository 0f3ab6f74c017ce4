"""``python -m benches [ROUNDS]``: every start row against every peer installed; needs root and busybox-static.

Each round runs ours, then each peer once (A B C A B C …), so that a machine that drifts drifts for all. Ratios are of
medians; minimum and median are milliseconds.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_S = 0.15
_CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip


@dataclass
class Contender:
    """One way to do it: a name, argv for the n-th run, and the ratio promised against it."""

    name: str
    argv: Callable[[int], list[str]]
    promise: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    times_ms: list[float] = field(default_factory=list)


def timed(argv: list[str], env: dict[str, str]) -> float:
    """Milliseconds from spawn to exit; an exit code other than 0 ends the benchmark."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {**os.environ, **env}, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    taken = (time.perf_counter() - began) * 1000
    if status != 0:
        raise SystemExit(f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}")
    return taken


def race(title: str, ours: Contender, peers: list[Contender], rounds: int, pause_s: float = 0) -> None:
    """Run all in turn and print a line a peer."""
    contenders = [ours, *peers]
    for contender in contenders:
        timed(contender.argv(10_000), contender.env)  # a warm-up
    for number in range(rounds):
        for contender in contenders:
            if pause_s:
                time.sleep(pause_s)
            contender.times_ms.append(timed(contender.argv(number), contender.env))
    print(f"\n{title}")
    print(f"  {'ours':10} median {statistics.median(ours.times_ms):7.2f}  min {min(ours.times_ms):7.2f}")
    for peer in peers:
        ratio = statistics.median(ours.times_ms) / statistics.median(peer.times_ms)
        verdict = (
            ""
            if peer.promise is None
            else f"  promised <= {peer.promise}: {'met' if ratio <= peer.promise else 'MISSED'}"
        )
        print(
            f"  {peer.name:10} median {statistics.median(peer.times_ms):7.2f}  min {min(peer.times_ms):7.2f}"
            f"  ratio {ratio:.3f}{verdict}"
        )


def find(name: str) -> str | None:
    """A program, also where root's PATH would have it."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def make_bundle(base: Path) -> Path:
    """A busybox bundle with Docker's default capabilities, limits and, if its profile is at hand, seccomp."""
    bundle = base / "bundle"
    for directory in ("bin", "proc", "sys", "dev", "etc", "tmp"):
        (bundle / "rootfs" / directory).mkdir(parents=True)
    busybox = find("busybox")
    if busybox is None:
        raise SystemExit("benches need busybox-static")
    shutil.copy(busybox, bundle / "rootfs/bin/busybox")
    (bundle / "rootfs/bin/true").symlink_to("busybox")
    runc = find("runc")
    if runc is None:
        raise SystemExit("benches need runc, whose `spec` the bundle begins with")
    subprocess.run([runc, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(
        terminal=False,
        args=["/bin/true"],
        noNewPrivileges=False,
        capabilities=dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
    )
    config["linux"]["resources"] |= {"memory": {"limit": 256 << 20}, "pids": {"limit": 1000}, "cpu": {"shares": 512}}
    profile = Path("/usr/share/containers/seccomp.json")
    if profile.exists():
        config["linux"]["seccomp"] = oci_seccomp(json.loads(profile.read_text()))
    else:
        print("no seccomp profile of Debian's containers-common: the bundle has none")
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def oci_seccomp(profile: dict[str, object]) -> dict[str, object]:
    """Docker's profile format as OCI's, for this architecture and the capabilities above."""
    rules = []
    for rule in profile["syscalls"]:  # type: ignore[attr-defined]
        include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
        if include.get("caps") and not set(include["caps"]) <= set(_CAPABILITIES):
            continue
        if include.get("arches") and not {"amd64", "x86"} & set(include["arches"]):
            continue
        if set(exclude.get("caps") or []) & set(_CAPABILITIES) or {"amd64"} & set(exclude.get("arches") or []):
            continue
        rules.append({key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key) is not None})
    return {
        "defaultAction": profile["defaultAction"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }


def enter_namespace_for_crun() -> None:
    """crun refuses a host that has hugetlb on v2 and the rest on v1: give this process a mount of it on v1 first."""
    unified = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    if not unified.exists() or os.environ.get("PYCTR_BENCH_INNER"):
        return
    script = 'mkdir -p /sys/fs/cgroup/hugetlb 2>/dev/null; mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb; exec "$@"'
    command = [
        "unshare",
        "-m",
        "--propagation",
        "slave",
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-m",
        "benches",
        *sys.argv[1:],
    ]
    os.execvpe("unshare", command, {**os.environ, "PYCTR_BENCH_INNER": "1"})


def runtime_rows(base: Path, rounds: int) -> None:
    """`pyctr-runtime run` of a bundle against crun and runc."""
    import pyctr

    bundle = make_bundle(base)
    ours = str(Path(pyctr.__file__).parent / "_bin/pyctr-runtime")
    for title, pause_s, promises in (
        ("runtime run of a bundle, back to back", 0.0, {"crun": 0.6, "runc": 0.25}),
        ("runtime run of a bundle, 150 ms idle between", _PAUSE_S, {"crun": 0.5, "runc": None}),
    ):

        def contender(path: str, name: str, promise: float | None = None) -> Contender:
            return Contender(name, lambda n: [path, "run", "--bundle", str(bundle), f"bench-{name}-{n}"], promise)

        peers = [contender(path, name, promises[name]) for name in ("crun", "runc") if (path := find(name)) is not None]
        race(title, contender(ours, "ours"), peers, rounds, pause_s)


def run_rows(base: Path, rounds: int) -> None:
    """The whole `pyctr run` against `runc run` and `podman run` of the same root file system."""
    env = {"PYCTR_ROOT": str(base / "root"), "PYCTR_RUN_ROOT": str(base / "run")}
    command = str(Path(sys.executable).parent / "pyctr")
    subprocess.run(
        [command, "image", "bootstrap", "busybox"], env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL
    )
    ours = Contender("ours", lambda _: [command, "run", "--rm", "--network", "none", "busybox", "true"], env=env)
    peers = []
    runc, podman = find("runc"), find("podman")
    bundle = base / "bundle"
    if runc is not None:
        peers.append(Contender("runc run", lambda n: [runc, "run", "--bundle", str(bundle), f"bench-whole-{n}"], 1.0))
    if podman is not None:
        storage = ["--root", str(base / "podman"), "--runroot", str(base / "podman-run")]
        importing = f"tar -C {bundle}/rootfs -c . | {podman} {' '.join(storage)} import - bench >/dev/null"
        imported = subprocess.run(["sh", "-c", importing], check=False, capture_output=True)
        argv = [
            podman,
            *storage,
            "run",
            "--rm",
            "--network",
            "none",
            "--ulimit",
            "nofile=1024:4096",
            "--ulimit",
            "nproc=1024:1024",
            "bench",
            "/bin/true",
        ]
        probe = subprocess.run(argv, check=False, capture_output=True, text=True)
        if imported.returncode == 0 and probe.returncode == 0:
            peers.append(Contender("podman", lambda _: argv, 0.2))
        else:
            print(f"podman cannot run a container here and is left out: {probe.stderr.strip()}")
    race("pyctr run --rm --network none IMAGE true, the whole command", ours, peers, rounds)


def main() -> None:
    """All rows."""
    if os.geteuid() != 0:
        raise SystemExit("benches need root")
    enter_namespace_for_crun()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with tempfile.TemporaryDirectory(prefix="pyctr-bench.") as directory:
        base = Path(directory)
        runtime_rows(base, rounds)
        run_rows(base, rounds)
        subprocess.run(["umount", "-l", str(base / "podman/overlay")], check=False, capture_output=True)


if __name__ == "__main__":
    main()
