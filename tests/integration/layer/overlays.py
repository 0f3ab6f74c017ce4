"""A real overlay, mounted in a mount namespace of its own for as long as one command runs in it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Overlay:
    """Directories of an overlay below `base`; `lowers` are layers, topmost first."""

    def __init__(self, base: Path, lowers: list[Path]) -> None:
        self.lowers = [str(lower) for lower in lowers]
        self.upper, self.work, self.merged = (base / name for name in ("upper", "work", "merged"))
        for directory in (self.upper, self.work, self.merged):
            directory.mkdir(parents=True)

    @property
    def layers(self) -> list[str]:
        """All layers, topmost first."""
        return [str(self.upper), *self.lowers]

    def run(self, script: str, *arguments: str) -> str:
        """Run a script by sh in the merged directory; its output."""
        options = f"lowerdir={':'.join(self.lowers)},upperdir={self.upper},workdir={self.work}"
        mount = 'mount -t overlay overlay -o "$1" "$2" && cd "$2" && shift 2 && '
        command = ["unshare", "-m", "sh", "-ec", mount + script, "sh", options, str(self.merged), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
