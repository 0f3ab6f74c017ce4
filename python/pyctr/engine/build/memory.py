"""Where secrets may lie: file systems that are memory. What is written here reaches no disk (but swap, if there is any)."""

from __future__ import annotations

import os

from pyctr._core import remove_tree
from pyctr.errors import BuildError

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a directory of the step's own in it
_IN_MEMORY = frozenset(("tmpfs", "ramfs"))


def memory_directory(run_directory: str) -> str:
    """A directory for a step's secrets, made if it is not there: below its run directory, or in shared memory if that is on a disk.

    Raises BuildError: a secret is rather not given than written to a disk.
    """
    for directory in _candidates(run_directory):
        os.makedirs(directory, 0o700, exist_ok=True)
        if is_in_memory(directory):
            return directory
        os.rmdir(directory)
    raise BuildError(
        f"secrets have no place: neither {os.path.dirname(run_directory)} nor {_SHARED_MEMORY} is in memory",
        hint="mount a tmpfs at one of them",
    )


def remove_secrets(run_directory: str) -> None:
    """Take a step's secrets away, wherever they are."""
    for directory in _candidates(run_directory):
        remove_tree(directory)


def _candidates(run_directory: str) -> tuple[str, str]:
    return f"{run_directory}/secrets", f"{_SHARED_MEMORY}/pyctr-build-{os.path.basename(run_directory)}"


def is_in_memory(path: str) -> bool:
    """Whether a file system is a tmpfs or its like; the mount table says so by the device number."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if before.split(" ", 3)[2] == wanted:
                return after.split(" ", 1)[0] in _IN_MEMORY
    return False
