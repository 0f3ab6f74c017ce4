"""``python -m benches [ROUNDS] [start] [images] …``: rows of docs/performance.md against every peer installed; needs root.

Each name is a module here with `rows(base, rounds)`: what it measures, below a directory of its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

MODULES = ("start", "images", "build", "compose", "network", "life")
_ROUNDS = 21


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


def main() -> None:
    """The rows asked for, or all."""
    if os.geteuid() != 0:
        raise SystemExit("benches need root")
    rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), _ROUNDS)
    names = [word for word in sys.argv[1:] if not word.isdigit()] or list(MODULES)
    unknown = set(names) - set(MODULES)
    if unknown:
        raise SystemExit(f"no such rows: {min(unknown)}; there are {', '.join(MODULES)}")
    enter_namespace_for_crun()
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pyctr-bench.") as directory:
            importlib.import_module(f"benches.{name}").rows(Path(directory), rounds)


if __name__ == "__main__":
    main()
