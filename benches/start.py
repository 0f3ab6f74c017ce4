"""Start rows: `pyctr-runtime run` of a bundle, and the whole `pyctr run`; needs busybox-static and runc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benches.race import Contender, find, race

_PAUSE_S = 0.15
_CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip


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


def rows(base: Path, rounds: int) -> None:
    """All start rows."""
    runtime_rows(base, rounds)
    run_rows(base, rounds)
    subprocess.run(["umount", "-l", str(base / "podman/overlay")], check=False, capture_output=True)
