"""Archives read member by member, blobs stored while they are hashed, layers ended by a signal."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from pyctr._core import ArchiveReader, extract_layer, store_blob
from pyctr.errors import CorruptData, InvalidArgument, KernelError
from tests.conftest import need_tool
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def make_archive(path: Path, format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as archive:
        for name, data in (("manifest.json", b"[]"), ("a/" + "long" * 20 + "/layer.tar", b"x" * 70000)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind, target in (("s", tarfile.SYMTYPE, "../a"), ("h", tarfile.LNKTYPE, "manifest.json")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        directory = tarfile.TarInfo("d")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    return path


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tool", [None, "gzip", "zstd"])
def test_archive_reader_gives_every_member(tmp_path: Path, format: str, tool: str | None) -> None:
    path = make_archive(tmp_path / "a.tar", FORMATS[format])
    if tool:
        with open(tmp_path / "packed", "wb") as packed:
            subprocess.run([need_tool(tool), "-c", path], stdout=packed, check=True)
        path = tmp_path / "packed"
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    seen = []
    with open(path, "rb") as file:
        reader = ArchiveReader(file.fileno())
        for member in reader:
            seen.append((member.name.rstrip("/"), member.kind, member.size, member.linkname))
            if member.name == "manifest.json":
                assert reader.read(2) == b"[]"
            elif member.kind == "file":
                info = reader.store_blob(str(blobs))
                assert info.digest == "sha256:" + hashlib.sha256(b"x" * 70000).hexdigest()
    assert seen == [
        ("manifest.json", "file", 2, ""),
        ("a/" + "long" * 20 + "/layer.tar", "file", 70000, ""),
        ("s", "symlink", 0, "../a"),
        ("h", "hardlink", 0, "manifest.json"),
        ("d", "directory", 0, ""),
    ]
    assert os.listdir(blobs) == [info.digest[7:]]


def test_archive_reader_member_too_large_is_refused(tmp_path: Path) -> None:
    with open(make_archive(tmp_path / "a.tar"), "rb") as file:
        reader = ArchiveReader(file.fileno())
        next(reader)
        with pytest.raises(CorruptData, match="larger than 1 bytes"):
            reader.read(1)


def test_archive_reader_cut_short_is_corrupt_and_stores_nothing(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.tar")
    os.truncate(path, 40000)
    with open(path, "rb") as file:
        reader = ArchiveReader(file.fileno())
        with pytest.raises(CorruptData):  # noqa: PT012
            for member in reader:
                if member.size > 10:
                    reader.store_blob(str(tmp_path))
    assert os.listdir(tmp_path) == ["a.tar"]


def test_archive_reader_refuses_other_codecs_by_name(tmp_path: Path) -> None:
    for name, data in (("xz", b"\xfd7zXZ\0junk"), ("bzip2", b"BZh91AY&SY")):
        (tmp_path / name).write_bytes(data)
        with open(tmp_path / name, "rb") as file, pytest.raises(InvalidArgument, match=name):
            ArchiveReader(file.fileno())


def test_store_blob_wrong_digest_leaves_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"abc")
    os.close(writer)
    with pytest.raises(CorruptData, match="digest is sha256:ba7816bf"):
        store_blob(reader, str(tmp_path), digest="sha256:" + "0" * 64)
    os.close(reader)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "md5:0", "", "sha256:" + "A" * 64, "sha512:" + "0" * 128]
)
def test_store_blob_odd_digest_is_refused_before_it_is_a_path(tmp_path: Path, digest: str) -> None:
    (tmp_path / "in").write_bytes(b"abc")
    with pytest.raises(InvalidArgument):
        store_blob(str(tmp_path / "in"), str(tmp_path), digest=digest)


def test_store_blob_full_disk_leaves_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = f"""
import os
os.unshare(os.CLONE_NEWNS) if hasattr(os, "unshare") else __import__("ctypes").CDLL(None).unshare(0x20000)
import subprocess
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "{tmp_path}"], check=True)
from pyctr._core import store_blob
from pyctr.errors import KernelError
try:
    store_blob(os.open("/dev/zero", os.O_RDONLY), "{tmp_path}")
except KernelError as error:
    assert error.errno == 28, error
    assert os.listdir("{tmp_path}") == []
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=180)
    assert done.stdout == "refused\n", done.stderr


INTERRUPTED = """
import os, sys
from pyctr._core import ArchiveReader, extract_layer, store_blob
try:
    os.write(1, b".")
    {call}
except KeyboardInterrupt:
    sys.exit(9)
"""


@pytest.mark.parametrize("call", ["store_blob(0, {0!r})", "ArchiveReader(0)", "extract_layer(0, {0!r})"])
def test_waiting_for_input_ends_at_interrupt(tmp_path: Path, call: str) -> None:
    reader, writer = os.pipe()
    script = INTERRUPTED.format(call=call.format(str(tmp_path)))
    process = subprocess.Popen([sys.executable, "-c", script], stdin=reader, stdout=subprocess.PIPE)
    assert process.stdout is not None
    os.read(process.stdout.fileno(), 1)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 9
    process.stdout.close()
    for fd in (reader, writer):
        os.close(fd)
    assert os.listdir(tmp_path) == []


def test_extract_layer_limits_are_kept(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.tar", tarfile.GNU_FORMAT)
    target = tmp_path / "root"
    target.mkdir()
    with pytest.raises(CorruptData, match="more than 1000 bytes"):
        extract_layer(str(path), str(target), max_bytes=1000)
    with pytest.raises(CorruptData, match="more than 2 entries"):
        extract_layer(str(path), str(target), max_entries=2)
    with pytest.raises(KernelError, match="missing"):
        extract_layer(str(path), str(tmp_path / "missing"))
