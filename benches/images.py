"""Image rows: pull and unpack, push, save, load, commit, against docker, podman, skopeo and umoci.

``PYCTR_BENCH_MB`` is the size of the sample, unpacked (830); ``PYCTR_BENCH_ROWS`` chooses rows (pull push archive commit); every run
writes to an ext4 made for it. Needs docker-registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

from benches.parts import Disk, Docker, Registry, make_sample, scratch, touch_memory
from benches.race import Contender, find, race

if TYPE_CHECKING:
    from pathlib import Path

_SIZE_MB = 830
_NAME = "sample:1"
#: Room for what was fetched, what was unpacked, and an archive of it.
_ROOM = 5
_COMMITTED = 4  # a commit's share of the sample is one of so many


def quietly(*argv: object, env: dict[str, str] | None = None) -> None:
    """Run what must work."""
    done = subprocess.run(
        [str(word) for word in argv], env={**os.environ, **(env or {})}, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, argv))}: {done.stderr.decode(errors='replace')[-500:]}")


class Bench:
    """What all rows share."""

    def __init__(self, base: Path, directory: Path, megabytes: int) -> None:
        self.base = base
        self.megabytes = megabytes
        self.disk = Disk(directory / "disk", base / "mnt", _ROOM * megabytes + 512)
        self.pyctr = str(__import__("pathlib").Path(sys.executable).parent / "pyctr")
        self.config = base / "daemon.json"
        self.config.write_text("{}")
        self.archive = directory / "sample.tar"
        self.source = Registry(base / "source", directory / "source-data")
        self.target = Registry(base / "target", directory / "target-data")
        self.docker = Docker(base / "docker") if find("dockerd") and find("docker") else None
        self.podman, self.skopeo, self.umoci = find("podman"), find("skopeo"), find("umoci")

    @property
    def env(self) -> dict[str, str]:
        """Where ours keeps things: on the disk."""
        return {
            "PYCTR_ROOT": f"{self.disk.mount}/pyctr", "PYCTR_RUN_ROOT": str(self.base / "run"),
            "PYCTR_CONFIG": str(self.config), "DOCKER_CONFIG": str(self.base),
        }  # fmt: skip

    def podman_argv(self, *words: str) -> list[str]:
        """Podman over the disk."""
        return [
            str(self.podman), "--root", f"{self.disk.mount}/podman", "--runroot", str(self.base / "podman"),
            "--storage-driver", "overlay", *words,
        ]  # fmt: skip

    def ours(self, argv: list[str], *, prepare: object = None) -> Contender:
        """Ours on a fresh disk, on which `prepare()` has put what a run begins with."""
        return Contender(
            "ours", lambda _: [self.pyctr, *argv], env=self.env, before=self._before(prepare), after=self._after
        )

    def of_podman(self, argv: list[str], promise: float | None, *, prepare: object = None) -> list[Contender]:
        """The same of podman, if it is there."""
        if self.podman is None:
            return []
        words = self.podman_argv(*argv)
        return [Contender("podman", lambda _: words, promise, before=self._before(prepare), after=self._after)]

    def of_docker(self, argv: list[str], promise: float | None, *, prepare: object = None) -> list[Contender]:
        """The same of docker, its daemon started before the run."""
        docker = self.docker
        if docker is None:
            return []

        def begin() -> None:
            docker.start(self.disk.mount / "docker")
            if prepare is not None:
                prepare()  # type: ignore[operator]

        def after(number: int) -> None:
            docker.end()
            self._after(number)

        return [
            Contender("docker", lambda _: [*docker.command, *argv], promise, before=self._before(begin), after=after)
        ]

    def plain(self, name: str, argv: list[str], *, prepare: object = None) -> Contender:
        """A tool without storage of its own."""
        return Contender(name, lambda _: argv, before=self._before(prepare), after=self._after)

    def _before(self, prepare: object) -> object:
        def before(_: int) -> None:
            self.disk.fresh()
            if prepare is not None:
                prepare()  # type: ignore[operator]
            os.sync()

        return before

    def _after(self, _: int) -> None:
        # What ours syncs behind the user's back is not to be measured with the next contender.
        deadline = time.monotonic() + 60
        while os.path.exists(f"{self.disk.mount}/pyctr/unsettled") and time.monotonic() < deadline:
            time.sleep(0.05)
        self.disk.end()


def bare_pipeline(bench: Bench) -> list[Contender]:
    """What a pull is at least, by the system's own tools: download, both digests, inflate, write; all layers side by side."""
    tools = [find(name) for name in ("bash", "curl", "openssl", "gzip", "tar")]
    if None in tools:
        return []
    bash, curl, openssl, gzip, tar = map(str, tools)
    base = f"http://{bench.source.address}/v2/sample"
    kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    asked = urllib.request.Request(f"{base}/manifests/1", headers={"Accept": kinds})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        layers = json.load(answer)["layers"]
    digest = f"{openssl} dgst -sha256"
    script = "set -o pipefail; pids=()\n"
    for number, layer in enumerate(layers):
        target = f"{bench.disk.mount}/bare{number}"
        script += (
            f"mkdir {target}; ({curl} -sf {base}/blobs/{layer['digest']} | tee {target}.gz >({digest} > {target}.digest)"
            f" | {gzip} -dc | tee >({digest} > {target}.diff) | {tar} -x -C {target}) & pids+=($!)\n"
        )
    script += 'for pid in "${pids[@]}"; do wait "$pid" || exit 1; done'
    return [
        Contender("bare pipeline", lambda _: [bash, "-c", script], 1.2, before=bench._before(None), after=bench._after)
    ]


def pull_row(bench: Bench, rounds: int) -> None:
    """A pull with all that belongs to it, onto an empty disk."""
    name = f"{bench.source.address}/{_NAME}"
    mount = bench.disk.mount
    peers = bench.of_podman(["pull", "-q", "--tls-verify=false", name], 0.25) + bench.of_docker(
        ["pull", "-q", name], 0.25
    )
    peers += bare_pipeline(bench)
    if bench.skopeo is not None:
        copy = [bench.skopeo, "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci:{mount}/oci:1"]
        peers.append(bench.plain("skopeo, no unpacking", copy))
        if bench.umoci is not None:
            unpack = [bench.umoci, "unpack", "--image", f"{mount}/oci:1", f"{mount}/bundle"]
            peers.append(bench.plain("umoci unpack, no pull", unpack, prepare=lambda: quietly(*copy)))
    title = f"pull and unpack of six gzip layers, {bench.megabytes} MB, from a registry on loopback"
    race(title, bench.ours(["pull", "-q", name]), peers, rounds, warm_up=False)


def push_row(bench: Bench, rounds: int) -> None:
    """A push to an empty registry of an image that came from elsewhere."""
    name = f"{bench.target.address}/{_NAME}"

    def loaded(load: list[str], tag: list[str], env: dict[str, str] | None = None) -> object:
        def prepare() -> None:
            quietly(*load, env=env)
            quietly(*tag, env=env)
            bench.target.end()
            bench.target.start(empty=True)

        return prepare

    pyctr, archive = bench.pyctr, str(bench.archive)
    ours = bench.ours(
        ["push", "-q", name], prepare=loaded([pyctr, "load", "-i", archive], [pyctr, "tag", _NAME, name], bench.env)
    )
    podman = loaded(bench.podman_argv("load", "-q", "-i", archive), bench.podman_argv("tag", _NAME, name))
    peers = bench.of_podman(["push", "-q", "--tls-verify=false", name], None, prepare=podman)
    if bench.docker is not None:
        command = bench.docker.command
        docker = loaded([*command, "load", "-q", "-i", archive], [*command, "tag", _NAME, name])
        peers += bench.of_docker(["push", "-q", name], 0.5, prepare=docker)
    try:
        race("push to an empty registry", ours, peers, rounds, warm_up=False)
    finally:
        bench.target.end()


def archive_rows(bench: Bench, rounds: int) -> None:
    """`load` of an archive of compressed layers onto an empty disk, and `save` of what was loaded."""
    pyctr, archive, out = bench.pyctr, str(bench.archive), f"{bench.disk.mount}/out.tar"
    load = ["load", "-q", "-i", archive]
    peers = bench.of_podman(load, None) + bench.of_docker(load, 0.5)
    race("load of an archive", bench.ours(load), peers, rounds, warm_up=False)
    save = ["save", "-o", out, _NAME]
    ours = bench.ours(save, prepare=lambda: quietly(pyctr, *load, env=bench.env))
    peers = bench.of_podman(["save", "-q", "-o", out, _NAME], None, prepare=lambda: quietly(*bench.podman_argv(*load)))
    if bench.docker is not None:
        command = bench.docker.command
        peers += bench.of_docker(save, 0.5, prepare=lambda: quietly(*command, *load))
    race("save of an image", ours, peers, rounds, warm_up=False)


def commit_row(bench: Bench, rounds: int) -> None:
    """`commit` of a container whose changes are a quarter of the sample."""
    changes = bench.base / "changes"
    quietly("mkdir", changes)
    wanted = (bench.megabytes << 20) // _COMMITTED
    from benches.parts import host_files

    for number, (path, _) in enumerate(host_files(wanted)):
        directory = changes / str(number // 200)
        directory.mkdir(exist_ok=True)
        shutil.copy(path, directory / f"{number}")

    def changed(command: list[str], env: dict[str, str] | None = None) -> object:
        def prepare() -> None:
            quietly(*command, "load", "-q", "-i", bench.archive, env=env)
            quietly(*command, "create", "--name", "changed", _NAME, "true", env=env)
            quietly(*command, "cp", changes, "changed:/changes", env=env)

        return prepare

    argv = ["commit", "changed", "committed:1"]
    ours = bench.ours(argv, prepare=changed([bench.pyctr], bench.env))
    peers = bench.of_podman(["commit", "-q", *argv[1:]], None, prepare=changed(bench.podman_argv()))
    if bench.docker is not None:
        peers += bench.of_docker(argv, 0.5, prepare=changed(bench.docker.command))
    race(f"commit of {bench.megabytes // _COMMITTED} MB of changes", ours, peers, rounds, warm_up=False)


ROWS = {"pull": pull_row, "push": push_row, "archive": archive_rows, "commit": commit_row}


def rows(base: Path, rounds: int) -> None:
    """All image rows."""
    megabytes = int(os.environ.get("PYCTR_BENCH_MB") or _SIZE_MB)
    touch_memory()
    with scratch(base, megabytes) as directory:
        bench = Bench(base, directory, megabytes)
        make_sample(bench.archive, megabytes)
        try:
            bench.disk.fresh()
            bench.source.start(empty=True)
            name = f"{bench.source.address}/{_NAME}"
            # The archive is then one in Docker's own form, which all of them read.
            for words in (
                ["load", "-i", str(bench.archive)], ["tag", _NAME, name], ["push", "-q", name],
                ["save", "-o", str(bench.archive), _NAME],
            ):  # fmt: skip
                quietly(bench.pyctr, *words, env=bench.env)
            for row in (os.environ.get("PYCTR_BENCH_ROWS") or " ".join(ROWS)).split():
                ROWS[row](bench, rounds)
        finally:
            bench.source.end()
            bench.disk.end()
