"""`pyctr load` of what docker, podman and skopeo write, and of what is broken."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool, needs_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of one small image in every form skopeo and podman write."""
    skopeo, podman = need_tool("skopeo"), need_tool("podman")
    base = tmp_path_factory.mktemp("archives")
    layer = base / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        data = b"#!/nothing\n"
        entry = tarfile.TarInfo("etc/file")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    short = tempfile.mkdtemp(prefix="pyctr.")  # podman wants a run root of at most 50 characters
    storage = ["--root", f"{short}/root", "--runroot", f"{short}/run"]
    done = subprocess.run([podman, *storage, "import", str(layer), "bb"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"podman import does not work here: {done.stderr.strip()}")
    for kind in ("docker-archive", "oci-archive"):
        subprocess.run(
            [podman, *storage, "save", "--format", kind, "-o", str(base / f"podman-{kind}.tar"), "bb"],
            check=True,
            capture_output=True,
        )
    source = f"docker-archive:{base}/podman-docker-archive.tar"
    copy = [skopeo, "copy", "-q", "--insecure-policy"]
    subprocess.run([*copy, source, f"oci-archive:{base}/skopeo-gzip.tar:bb:gzip"], check=True, capture_output=True)
    subprocess.run(
        [*copy, "--dest-compress-format", "zstd", source, f"oci:{base}/oci:bb:zstd"], check=True, capture_output=True
    )
    subprocess.run(["tar", "-C", str(base / "oci"), "-cf", str(base / "skopeo-zstd.tar"), "."], check=True)
    subprocess.run(
        f"xz -k {base}/podman-docker-archive.tar && mv {base}/podman-docker-archive.tar.xz {base}/xz.tar",
        shell=True,
        check=True,
    )
    subprocess.run(["umount", "-l", f"{short}/root/overlay"], check=False, capture_output=True)
    shutil.rmtree(short)
    return base


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("podman-docker-archive", "localhost/bb:latest"),
        ("podman-oci-archive", "localhost/bb:latest"),
        ("skopeo-gzip", "bb:gzip"),
        ("skopeo-zstd", "bb:zstd"),
        ("xz", "localhost/bb:latest"),
    ],
)
def test_load_reads_what_others_wrote(archives: Path, tmp_path: Path, name: str, loaded: str) -> None:
    cli = Cli(tmp_path)
    assert cli("load", "-i", str(archives / f"{name}.tar")).stdout == f"Loaded image: {loaded}\n"
    with open(archives / f"{name}.tar") as file:
        assert cli("load", stdin=file).stdout == f"Loaded image: {loaded}\n"
    inspected = json.loads(cli("image", "inspect", loaded).stdout)[0]
    layer = tmp_path / "root/layers" / inspected["RootFS"]["Layers"][0][7:]
    assert (layer / "etc/file").read_bytes() == b"#!/nothing\n"
    assert cli("rmi", loaded).stdout.startswith(f"Untagged: {loaded}\nDeleted: sha256:")
    assert os.listdir(tmp_path / "root/blobs/sha256") == []
    assert os.listdir(tmp_path / "root/layers") == []


def test_load_truncated_anywhere_is_one_line_and_leaves_nothing(archives: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    data = (archives / "podman-docker-archive.tar").read_bytes()
    for cut in (0, 1, 511, 512, 700, len(data) // 2, len(data) - 4000):
        done = subprocess.run(cli.command("load"), env=cli.env, input=data[:cut], capture_output=True, check=False)
        assert done.returncode == 1, cut
        assert done.stderr.startswith(b"pyctr: ")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert cli("images", "-q").stdout == ""
        assert os.listdir(tmp_path / "root/blobs/sha256") == []


def test_load_of_what_is_no_archive_says_so(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "text").write_text("not a tar")
    (tmp_path / "noise").write_bytes(bytes(range(1, 256)) * 8)
    for name in ("text", "noise"):
        done = cli("load", "-i", str(tmp_path / name), code=1)
        assert done.stderr == "pyctr: load archive: this is no tar archive\n"
    for command in (("load", "-i"), ("import",)):
        assert cli(*command, str(tmp_path), code=1).stderr == f"pyctr: read {tmp_path}: is a directory\n"


def repack(source: Path, target: Path, change: dict[str, bytes]) -> None:
    """The same archive with some members replaced, by the ending of their names."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for entry in old:
            data = old.extractfile(entry).read() if entry.isfile() else b""  # type: ignore[union-attr]
            for ending, replacement in change.items():
                if entry.isfile() and entry.name.endswith(ending):
                    data = replacement
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({".tar": b"\0" * 1024}, "digest"),
        ({"manifest.json": b"{"}, "manifest.json"),
        ({"manifest.json": b'[{"Config": "../../etc/passwd", "Layers": []}]'}, "missing"),
    ],
)
def test_load_wrong_content_is_refused(archives: Path, tmp_path: Path, change: dict[str, bytes], words: str) -> None:
    cli = Cli(tmp_path)
    repack(archives / "podman-docker-archive.tar", tmp_path / "bad.tar", change)
    done = cli("load", "-i", str(tmp_path / "bad.tar"), code=1)
    assert words in done.stderr
    assert cli("images", "-q").stdout == ""


def test_load_wrong_layer_in_an_oci_archive_is_refused(archives: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with tarfile.open(archives / "skopeo-gzip.tar") as tar:
        largest = max((entry for entry in tar if entry.isfile()), key=lambda entry: entry.size)
    repack(archives / "skopeo-gzip.tar", tmp_path / "bad.tar", {largest.name: b"evil"})
    assert "digest is" in cli("load", "-i", str(tmp_path / "bad.tar"), code=1).stderr


def test_load_two_at_once_agree(archives: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    command = cli.command("load", "-i", str(archives / "skopeo-zstd.tar"))
    both = [subprocess.Popen(command, env=cli.env, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(180) for process in both] == [0] * 4
    assert len(cli("images", "-q").stdout.split()) == 1


def test_load_killed_in_the_middle_leaves_a_store_that_works(archives: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    for delay_s in (0.02, 0.04, 0.06, 0.08, 0.1):
        process = subprocess.Popen(
            cli.command("load", "-i", str(archives / "skopeo-gzip.tar")), env=cli.env, stdout=subprocess.DEVNULL
        )
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    cli("load", "-i", str(archives / "skopeo-gzip.tar"))
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout == "bb:gzip\n"


def test_load_full_disk_is_one_line_and_the_store_is_as_before(archives: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True)
    try:
        big = tmp_path / "big.tar"
        repack(archives / "podman-docker-archive.tar", big, {".tar": os.urandom(300_000)})
        cli = Cli(mount)
        done = cli("load", "-i", str(big), code=1)
        assert "No space left on device" in done.stderr
        assert cli("images", "-q").stdout == ""
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_rmi_refuses_an_image_that_a_container_uses(cli: Cli) -> None:
    container = cli("create", "busybox").stdout.strip()
    done = cli("rmi", "busybox", code=1)
    assert "must force" in done.stderr
    assert container[:12] in done.stderr
    cli("rm", container)


def test_tag_and_untag_keep_the_image(cli: Cli) -> None:
    cli("tag", "busybox", "example.org/other:v1")
    assert cli("rmi", "example.org/other:v1").stdout == "Untagged: example.org/other:v1\n"
    assert cli("run", "--rm", "busybox", "true").returncode == 0
