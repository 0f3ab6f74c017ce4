"""What image rows are made of: a sample image, a file system fresh for every run, a registry, dockerd."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.race import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYERS = 6
_GZIP_LEVEL = 6  # what docker and gzip take
_START_S = 60
#: Shares of the sample's bytes, the base layer first: as images are, one large and some small.
_SHARES = (0.36, 0.22, 0.16, 0.12, 0.09, 0.05)
_SPARE = 4


def touch_memory(size_bytes: int = 3 << 30) -> None:
    """Touch memory once: a virtual machine's is slow at first touch after idling (docs/performance.md)."""
    subprocess.run(
        ["dd", "if=/dev/zero", "of=/dev/null", f"bs={size_bytes // 3}", "count=1", "status=none"], check=True
    )


def host_files(size_bytes: int) -> list[tuple[str, int]]:
    """Regular files of this host's /usr, in order of their names, until they are so many bytes; names begin anew if need be."""
    found: list[tuple[str, int]] = []
    for base, directories, names in os.walk("/usr"):
        directories.sort()
        for name in sorted(names):
            path = f"{base}/{name}"
            status = os.lstat(path)
            if os.path.isfile(path) and not os.path.islink(path) and status.st_size < size_bytes // LAYERS:
                found.append((path, status.st_size))
    chosen: list[tuple[str, int]] = []
    total = 0
    while total < size_bytes:
        for path, size in found:
            chosen.append((path, size))
            total += size
            if total >= size_bytes:
                break
    return chosen


def make_layer(number: int, files: list[tuple[str, int]]) -> tuple[bytes, str]:
    """A gzip layer of files, and its diff id."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for count, (path, _) in enumerate(files):
            entry = archive.gettarinfo(path, f"layer{number}/{count // 200}{path}")
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.type, entry.linkname = tarfile.REGTYPE, ""
            with open(path, "rb") as file:
                entry.size = os.fstat(file.fileno()).st_size
                archive.addfile(entry, file)
    data = out.getvalue()
    return gzip.compress(data, _GZIP_LEVEL, mtime=0), "sha256:" + hashlib.sha256(data).hexdigest()


def make_sample(archive: Path, megabytes: int) -> None:
    """An OCI archive of `sample:1`: six gzip layers of this host's own files."""
    files = host_files(megabytes << 20)
    total = sum(size for _, size in files)
    bounds, parts, part, done = [], [], [], 0
    for share in _SHARES:
        bounds.append((bounds[-1] if bounds else 0) + share)
    for path, size in files:
        part.append((path, size))
        done += size
        if done >= bounds[len(parts)] * total and len(parts) < LAYERS - 1:
            parts.append(part)
            part = []
    parts.append(part)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        layers = list(threads.map(make_layer, range(len(parts)), parts))
    blobs = [data for data, _ in layers]
    config = {"architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"), "os": "linux"}
    config_data = json.dumps(
        {**config, "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]}}
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config_data),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", data) for data in blobs],
    }
    manifest_data = json.dumps(manifest).encode()
    entry = descriptor(str(manifest["mediaType"]), manifest_data)
    entry["annotations"] = {
        "org.opencontainers.image.ref.name": "1",
        "io.containerd.image.name": "docker.io/library/sample:1",
    }
    with tarfile.open(archive, "w") as out:
        put(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put(out, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        for data in (manifest_data, config_data, *blobs):
            put(out, "blobs/sha256/" + hashlib.sha256(data).hexdigest(), data)


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    """An OCI descriptor."""
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


def put(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member of an archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


@dataclass
class Disk:
    """An ext4 of its own, made anew at will: ext4 allocates inodes slowly after a mass delete (docs/performance.md)."""

    image: Path
    mount: Path
    megabytes: int

    def fresh(self) -> None:
        """An empty one, mounted."""
        self.end()
        self.mount.mkdir(exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(self.megabytes << 20)
        # Nothing is left for the kernel to initialise meanwhile.
        options = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", options, self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)
        os.sync()

    def end(self) -> None:
        """Unmounted and gone."""
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            below = [line.split(" ")[4] for line in file if f" {self.mount}" in line]
        for path in reversed(below):
            subprocess.run(["umount", "-l", path], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch(base: Path, megabytes: int) -> Iterator[Path]:
    """Where file systems' images lie: in memory if there is plenty, so that the host's disk is not what is measured."""
    with open("/proc/meminfo", encoding="ascii") as file:
        free_kib = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    directory = base / "scratch"
    directory.mkdir()
    in_memory = free_kib // 1024 > 3 * _SPARE * megabytes
    if in_memory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80%", "tmpfs", directory], check=True)
    else:
        print("too little memory for file systems in it: the host's disk is measured too")
    try:
        yield directory
    finally:
        if in_memory:
            subprocess.run(["umount", "-l", directory], check=True)


class Service:
    """A server that is started and ended between runs."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self, argv: list[str], ready: object) -> None:
        """Start it and wait until `ready()`."""
        with open(self.base / "log", "wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not ready():  # type: ignore[operator]
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{argv[0]} does not start: " + (self.base / "log").read_text()[-500:])
            time.sleep(0.05)

    def end(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_START_S)
            self.process = None


class Registry(Service):
    """Debian's docker-registry on loopback, always at the same port."""

    def __init__(self, base: Path, data: Path) -> None:
        super().__init__(base)
        base.mkdir(exist_ok=True)
        self.data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        program = find("docker-registry")
        if program is None:
            raise SystemExit("image rows need docker-registry")
        self.program = program

    def start(self, *, empty: bool = False) -> None:
        """Start it, with what it had or with nothing."""
        if empty:
            shutil.rmtree(self.data, ignore_errors=True)
        config = self.base / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.data}}}}}\nhttp: {{addr: '{self.address}'}}\n"
        )
        self.spawn([self.program, "serve", str(config)], self._answers)

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False


class Docker(Service):
    """dockerd with a data root of our choice, without networks."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        base.mkdir(exist_ok=True)
        self.daemon, self.client = find("dockerd"), find("docker")
        self.socket = f"unix://{base}/sock"

    @property
    def command(self) -> list[str]:
        """The client, at this daemon."""
        return [str(self.client), "-H", self.socket]

    def start(self, data: Path) -> None:
        """Start it over a data root."""
        argv = [
            str(self.daemon), "--data-root", str(data), "--exec-root", str(self.base / "exec"), "--pidfile",
            str(self.base / "pid"), "-H", self.socket, "--bridge=none", "--iptables=false", "--ip6tables=false",
            "--storage-driver=overlay2",
        ]  # fmt: skip
        self.spawn(
            argv, lambda: subprocess.run([*self.command, "version"], capture_output=True, check=False).returncode == 0
        )
