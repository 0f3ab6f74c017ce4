"""Extraction against GNU tar, Python's tarfile and umoci: what they make of an archive, we make of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from pyctr._core import extract_layer, remove_tree
from pyctr.errors import CorruptData
from tests.conftest import need_tool, needs_root
from tests.integration.layer.trees import extract, look, make_tree, pack

pytestmark = needs_root

VARIANTS = {
    "posix": ["--format=posix"],
    "posix-sparse-0.0": ["--format=posix", "-S", "--sparse-version=0.0"],
    "posix-sparse-0.1": ["--format=posix", "-S", "--sparse-version=0.1"],
    "posix-sparse-1.0": ["--format=posix", "-S", "--sparse-version=1.0"],
    "gnu": ["--format=gnu"],
    "gnu-sparse": ["--format=gnu", "-S"],
    "oldgnu-sparse": ["--format=oldgnu", "-S"],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("setfattr", "tar", "mkfifo"):
        need_tool(tool)
    return make_tree(tmp_path_factory.mktemp("layer") / "source")


@pytest.mark.parametrize("variant", VARIANTS)
def test_extract_tree_is_the_one_gnu_tar_makes(source: Path, tmp_path: Path, variant: str) -> None:
    archive = pack(source, tmp_path / "layer.tar", *VARIANTS[variant])
    info = extract(archive, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    command = ["tar", "-C", tmp_path / "theirs", "--xattrs", "--xattrs-include=*", "--same-owner", "-pxf", archive]
    subprocess.run(command, check=True)
    assert look(tmp_path / "ours") == look(tmp_path / "theirs")
    assert look(tmp_path / "ours", posix="posix" in variant) == look(source, posix="posix" in variant)
    data = archive.read_bytes()
    assert info.digest == info.diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    assert (info.compressed_size, info.skipped_devices) == (len(data), 0)
    if "sparse" in variant:
        assert os.stat(tmp_path / "ours/many").st_blocks * 512 < 4 << 20


def test_extract_seventh_edition_and_ustar_like_gnu_tar(source: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    script = (
        "mkdir d && echo x >d/f && ln d/f d/g && ln -s f d/s && chmod 751 d && chown 12:34 d/f; mkdir -p "
        + "p" * 90
        + "/"
        + "q" * 60
    )
    subprocess.run(["sh", "-ec", script], cwd=plain, check=True)
    for format in ("v7", "ustar"):
        if format == "v7":
            shutil.rmtree(plain / ("p" * 90))
            (plain / ("p" * 20)).mkdir()
        archive = tmp_path / f"{format}.tar"
        subprocess.run(["tar", "-C", plain, f"--format={format}", "--numeric-owner", "-cf", archive, "."], check=True)
        extract(archive, tmp_path / format)
        assert look(tmp_path / format, posix=False) == look(plain, posix=False)
        shutil.rmtree(plain)
        plain.mkdir()
        subprocess.run(["sh", "-ec", script], cwd=plain, check=True)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_extract_modes_are_the_archives_whatever_the_umask(source: Path, tmp_path: Path, umask: int) -> None:
    archive = pack(source, tmp_path / "layer.tar", "--format=posix")
    (tmp_path / "ours").mkdir()
    before = os.umask(umask)
    try:
        extract_layer(str(archive), str(tmp_path / "ours"))
    finally:
        os.umask(before)
    assert look(tmp_path / "ours") == look(source)


def test_extract_below_a_set_group_id_directory_owners_are_the_archives(source: Path, tmp_path: Path) -> None:
    # Without an entry for the root, which would make it right before anything is in it.
    archive = pack(source, tmp_path / "layer.tar", "--format=posix", members=os.listdir(source))
    target = tmp_path / "ours"
    target.mkdir()
    os.chown(target, 0, 50)
    os.chmod(target, 0o2775)
    implied = tmp_path / "implied.tar"
    with tarfile.open(implied, "w") as tar:
        tar.addfile(tarfile.TarInfo("not/listed/file"))
    extract_layer(str(implied), str(target))
    for name in ("not", "not/listed", "not/listed/file"):
        assert (target / name).stat().st_gid == 0
    assert (target / "not/listed").stat().st_mode & 0o7777 == 0o755
    remove_tree(str(target), contents_only=True)
    extract_layer(str(archive), str(target))
    expected = look(source)
    assert {name: facts for name, facts in look(target).items() if name != b"."} == {
        name: facts for name, facts in expected.items() if name != b"."
    }


@pytest.mark.parametrize("tool", [["gzip", "-6"], ["zstd", "-3", "--long=27"], ["zstd", "-1"]])
def test_extract_compressed_gives_both_digests(source: Path, tmp_path: Path, tool: list[str]) -> None:
    archive = pack(source, tmp_path / "layer.tar", "--format=posix")
    packed = tmp_path / "packed"
    with open(packed, "wb") as file:
        subprocess.run([need_tool(tool[0]), *tool[1:], "-c", archive], stdout=file, check=True)
    digest = "sha256:" + hashlib.sha256(packed.read_bytes()).hexdigest()
    diff_id = "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    info = extract(packed, tmp_path / "ours", digest=digest, size=packed.stat().st_size, diff_id=diff_id)
    assert (info.digest, info.diff_id) == (digest, diff_id)
    assert look(tmp_path / "ours") == look(source)
    wrong = "sha256:" + "0" * 64
    for number, expected in enumerate(({"digest": wrong}, {"diff_id": wrong}, {"size": 7}, {"size": 1 << 40})):
        with pytest.raises(CorruptData):
            extract(packed, tmp_path / str(number), **expected)


def test_extract_every_cut_of_a_compressed_layer_is_corrupt(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        member = tarfile.TarInfo("f")
        member.size = 5000
        tar.addfile(member, io.BytesIO(os.urandom(5000)))
    for tool in ("gzip", "zstd"):
        data = subprocess.run([need_tool(tool), "-c", tmp_path / "l.tar"], capture_output=True, check=True).stdout
        for cut in (*range(6, 40), *range(40, len(data), 997), len(data) - 1):
            (tmp_path / "cut").write_bytes(data[:cut])
            target = tmp_path / f"{tool}{cut}"
            with pytest.raises(CorruptData):
                extract(tmp_path / "cut", target)
        for rubbish in (b"\x00rubbish", b"\x1f\x8b", b"x"):
            (tmp_path / "cut").write_bytes(data + rubbish)
            with pytest.raises(CorruptData):
                extract(tmp_path / "cut", tmp_path / f"{tool}{rubbish!r}".replace("\\", "_"))


def test_extract_from_a_pipe_in_small_pieces(source: Path, tmp_path: Path) -> None:
    archive = pack(source, tmp_path / "layer.tar", "--format=gnu")
    reader, writer = os.pipe()

    def feed() -> None:
        with open(archive, "rb") as file, open(writer, "wb", buffering=0) as pipe:
            while data := file.read(4099):
                pipe.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    (tmp_path / "ours").mkdir()
    info = extract_layer(reader, str(tmp_path / "ours"))
    thread.join()
    os.close(reader)
    assert info.compressed_size == archive.stat().st_size
    assert look(tmp_path / "ours", posix=False) == look(source, posix=False)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_extract_what_tarfile_writes(tmp_path: Path, format: int) -> None:
    with tarfile.open(tmp_path / "l.tar", "w", format=format) as tar:
        for name in ("a", "d/e/f", "d/" + "x" * 80 + "/" + "y" * 90, "ünï"):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid, member.mtime = (
                len(name),
                0o640,
                5,
                2_000_000,
                1_234_567_890,
            )
            tar.addfile(member, io.BytesIO(name.encode()[: member.size]))
    extract(tmp_path / "l.tar", tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    with tarfile.open(tmp_path / "l.tar") as tar:
        tar.extractall(tmp_path / "theirs", filter="fully_trusted")
    ours, theirs = look(tmp_path / "ours"), look(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    for name, facts in ours.items():
        if "content" in facts:
            assert facts == theirs[name]


def descriptor(path: Path, blobs: Path, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    shutil.copy(path, blobs / digest)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": path.stat().st_size}


def test_extract_tree_is_the_one_umoci_makes(source: Path, tmp_path: Path) -> None:
    umoci = need_tool("umoci")
    layer = pack(source, tmp_path / "layer.tar", "--format=posix")
    blobs = tmp_path / "image/blobs/sha256"
    blobs.mkdir(parents=True)
    (tmp_path / "config").write_text(
        json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.read_bytes()).hexdigest()]},
            }
        )
    )
    manifest = {
        "schemaVersion": 2,
        "config": descriptor(tmp_path / "config", blobs, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, blobs, "application/vnd.oci.image.layer.v1.tar")],
    }
    (tmp_path / "manifest").write_text(json.dumps(manifest))
    entry = descriptor(tmp_path / "manifest", blobs, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (tmp_path / "image/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (tmp_path / "image/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    done = subprocess.run(
        [umoci, "raw", "unpack", "--image", f"{tmp_path}/image:x", str(tmp_path / "theirs")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"umoci cannot: {done.stderr.strip().splitlines()[-1]}")
    extract(layer, tmp_path / "ours")
    ours, theirs = look(tmp_path / "ours"), look(tmp_path / "theirs")
    for facts in (*ours.values(), *theirs.values()):
        # umoci cannot set attributes of links.
        if "target" in facts:
            facts["xattrs"] = {}
    assert ours == theirs


OVERLAY = """
import ctypes, os, subprocess, sys
assert ctypes.CDLL(None).unshare(0x20000) == 0
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
base, lowers = sys.argv[1], sys.argv[2]
os.mkdir(base + "/merged")
subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=" + lowers, base + "/merged"], check=True)
for parent, directories, files in os.walk(base + "/merged"):
    for name in sorted(directories + files):
        print(os.path.relpath(os.path.join(parent, name), base + "/merged"))
"""


def test_extract_whiteouts_hide_what_they_name(tmp_path: Path) -> None:
    lower = {
        "a/gone": "f",
        "a/kept": "f",
        "whole/x": "f",
        "whole/y": "f",
        "opaque/old": "f",
        "again/old": "f",
        "implied/old": "f",
    }
    upper = {
        "a/.wh.gone": "w", ".wh.whole": "w", "opaque/new": "f", "opaque/.wh..wh..opq": "w", ".wh..wh.plnk": "w",
        ".wh.again": "w", "again": "d", "again/new": "f", ".wh.implied": "w", "implied/new": "f",
        "same": "f", ".wh.same": "w",
    }  # fmt: skip
    for name, members in (("lower", lower), ("upper", upper)):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for path, kind in members.items():
                member = tarfile.TarInfo(path)
                member.type = tarfile.DIRTYPE if kind == "d" else tarfile.REGTYPE
                tar.addfile(member)
        extract(tmp_path / f"{name}.tar", tmp_path / name)
    lowers = f"{tmp_path}/upper:{tmp_path}/lower"
    done = subprocess.run(
        [sys.executable, "-c", OVERLAY, str(tmp_path), lowers], capture_output=True, text=True, check=False
    )
    if "unknown filesystem" in done.stderr:
        pytest.skip("needs overlay")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted(
        ["a", "a/kept", "again", "again/new", "implied", "implied/new", "opaque", "opaque/new", "same"]
    )


USER_NAMESPACE = """
import ctypes, os, sys
from pyctr._core import extract_layer
import pyctr.errors
libc = ctypes.CDLL(None)
archive, target = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY)
assert libc.unshare(0x10000000) == 0
os.write(1, b".")
sys.stdin.readline()
os.setgid(0); os.setuid(0)
info = extract_layer(archive, f"/proc/self/fd/{target}/.")
print(info.skipped_devices)
"""


def test_extract_in_a_user_namespace_leaves_devices_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        for name, kind in (
            ("null", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
            ("o/.wh..wh..opq", tarfile.REGTYPE),
            (".wh.x", tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.devmajor, member.devminor, member.uid = kind, 1, 3, 7
            tar.addfile(member)
    target = tmp_path / "target"
    target.mkdir()
    os.chown(target, 100000, 100000)
    process = subprocess.Popen(
        [sys.executable, "-c", USER_NAMESPACE, str(tmp_path / "l.tar"), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.read(1) != b".":
        pytest.skip("needs user namespaces")
    Path(f"/proc/{process.pid}/uid_map").write_text("0 100000 65536")
    Path(f"/proc/{process.pid}/gid_map").write_text("0 100000 65536")
    out, error = process.communicate(b"\n")
    assert out == b"1\n", error
    assert sorted(os.listdir(target)) == ["o", "pipe", "x"]
    assert os.stat(target / "pipe").st_uid == 100007
    assert os.getxattr(target / "o", "user.overlay.opaque") == b"y"
    assert os.stat(target / "x").st_rdev == 0
