"""Questions before something is removed."""

import sys


def confirm(warning: str) -> bool:
    """Whether the user says y; anything else, the end of input too, is no."""
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
