"""Build rows: everything cached, COPY of 10,000 files, two stages side by side, against docker's two builders and buildah.

``PYCTR_BENCH_FILES`` is how many files (10,000). Each has its storage on one ext4; a round that must not be cached changes one file first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benches.parts import Disk, Docker, scratch
from benches.race import Contender, find, nothing, race

_FILES = 10_000
_DISK_MB = 4096
_FILE = b"some content that is not the same everywhere, and not a single byte either\n" * 20
#: Debian's client has BuildKit built in; the one found first may want a plugin for it.
_CLIENT = "/usr/bin/docker"


class Bench:
    """What all rows share: contexts, and each contender's command line."""

    def __init__(self, base: Path, directory: Path, files: int) -> None:
        self.base = base
        self.files = files
        self.disk = Disk(directory / "disk", base / "mnt", _DISK_MB)
        self.docker = Docker(base / "docker") if find("dockerd") and os.path.exists(_CLIENT) else None
        self.buildah = find("buildah")
        self.env = {"PYCTR_ROOT": f"{base}/mnt/pyctr", "PYCTR_RUN_ROOT": f"{base}/run"}

    def start(self) -> None:
        """Everybody has busybox."""
        self.disk.fresh()
        pyctr, archive = str(Path(sys.executable).parent / "pyctr"), self.base / "busybox.tar"
        _quietly([pyctr, "image", "bootstrap", "busybox"], self.env)
        _quietly([pyctr, "save", "-o", str(archive), "busybox"], self.env)
        if self.docker is not None:
            self.docker.start(self.disk.mount / "docker")
            self.docker.client = _CLIENT
            _quietly([*self.docker.command, "load", "-i", str(archive)], {})
        if self.buildah is not None:
            _quietly([*self._buildah(), "pull", f"docker-archive:{archive}"], {})

    def end(self) -> None:
        """Nothing is left."""
        if self.docker is not None:
            self.docker.end()
        self.disk.end()

    def _buildah(self) -> list[str]:
        return [
            str(self.buildah), "--root", f"{self.disk.mount}/buildah", "--runroot", f"{self.base}/buildah",
            "--storage-driver", "overlay",
        ]  # fmt: skip

    def race(
        self, title: str, context: Path, rounds: int, promises: tuple[float | None, float | None], *, fresh: bool
    ) -> None:
        """All of them on one context; with `fresh` a file of it is another every time."""

        def change(number: int) -> None:
            (context / "stamp").write_text(f"{title} {number} {os.urandom(8).hex()}")
            os.sync()

        before = change if fresh else nothing
        words = ["build", "-q", "--network", "none", "-t", "made", str(context)]
        pyctr = str(Path(sys.executable).parent / "pyctr")
        ours = Contender("ours", lambda _: [pyctr, *words], env=self.env, before=before)
        peers = []
        if self.docker is not None:
            argv = [*self.docker.command, *words]
            for name, flag in (("docker, BuildKit", "1"), ("docker, classic", "0")):
                env = {"DOCKER_BUILDKIT": flag}
                peers.append(Contender(name, lambda _: argv, promises[0], env=env, before=before))
        if self.buildah is not None:
            bud = [*self._buildah(), "bud", "-q", "--layers", "--network", "none", "-t", "made", str(context)]
            peers.append(Contender("buildah", lambda _: bud, promises[1], before=before))
        race(title, ours, peers, rounds)


def _quietly(argv: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')[-500:]}")


def _context(directory: Path, dockerfile: str, files: int) -> Path:
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "stamp").write_text("")
    for number in range(files):
        below = directory / f"d{number // 100}"
        if number % 100 == 0:
            below.mkdir()
        (below / f"f{number % 100}").write_bytes(b"%d\n" % number + _FILE)
    return directory


def rows(base: Path, rounds: int) -> None:
    """All rows."""
    files = int(os.environ.get("PYCTR_BENCH_FILES", _FILES))
    with scratch(base, _DISK_MB) as directory:
        bench = Bench(base, directory, files)
        try:
            bench.start()
            steps = 'FROM busybox\nWORKDIR /app\nCOPY stamp .\nRUN echo 1 > 1\nRUN echo 2 > 2\nRUN echo 3 > 3\nENV A=1\nCMD ["sh"]\n'
            small = _context(base / "small", steps, 0)
            bench.race("rebuild of seven steps, all cached", small, rounds, (0.1, 0.5), fresh=False)
            many = _context(base / "many", "FROM busybox\nCOPY . /app\n", files)
            bench.race(f"COPY of {files} files, cached", many, rounds, (0.1, 0.5), fresh=False)
            bench.race(f"COPY of {files} files", many, max(3, rounds // 3), (0.1, 0.5), fresh=True)
            stages = (
                "FROM busybox AS a\nCOPY stamp /\nRUN sleep 1; cp /stamp /a\nFROM busybox AS b\nCOPY stamp /\nRUN sleep 1; cp /stamp /b\n"
                "FROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
            )
            two = _context(base / "two", stages, 0)
            bench.race("two stages that take a second each", two, max(3, rounds // 3), (None, None), fresh=True)
        finally:
            bench.end()
