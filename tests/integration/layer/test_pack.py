"""Layers written: the same tree comes back, whoever reads them."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyctr._core import (
    WrittenLayer,
    archive_path,
    compress_blob,
    diff_layer,
    export_tree,
    extract_layer,
    layer_changes,
    unpack_archive,
)
from pyctr.errors import InvalidArgument, KernelError, NotFound, PyctrError, StateError
from tests.conftest import need_tool, needs_root
from tests.integration.layer.overlays import Overlay
from tests.integration.layer.trees import look, make_tree

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root


def seen(root: Path) -> dict[bytes, dict[str, Any]]:
    """A tree as a layer can hold it: whole seconds, and no root."""
    facts = look(root)
    del facts[b"."]
    for entry in facts.values():
        entry["mtime"] //= 10**9
    return facts


def pack(directory: Path, target: Path, **options: Any) -> WrittenLayer:
    with target.open("wb") as file:
        return diff_layer(str(directory), [], file.fileno(), **options)


def unpacked(blob: Path, target: Path) -> Path:
    target.mkdir()
    extract_layer(str(blob), str(target))
    return target


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return opened.getnames()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_diff_layer_every_kind_of_file_comes_back(tmp_path: Path, compression: str) -> None:
    source = make_tree(tmp_path / "source")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "beside").mkdir()
    written = diff_layer(
        str(source), [], str(tmp_path / "blobs"), compression=compression, extract_to=str(tmp_path / "beside")
    )
    blob = tmp_path / "blobs" / written.digest[7:]
    assert os.path.getsize(blob) == written.size
    target = tmp_path / "target"
    target.mkdir()
    info = extract_layer(str(blob), str(target), digest=written.digest, size=written.size, diff_id=written.diff_id)
    assert (info.entries, info.size) == (written.entries, written.content_size)
    assert seen(target) == seen(source) == seen(tmp_path / "beside")


def test_diff_layer_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", source, copy], check=True)
    for compression in ("none", "gzip", "zstd"):
        first, second = (pack(tree, tmp_path / "layer", compression=compression) for tree in (source, copy))
        assert first.digest == second.digest
        assert first.diff_id == pack(source, tmp_path / "layer").digest


def test_diff_layer_gnu_tar_gives_the_same_tree(tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    pack(source, tmp_path / "layer")
    target.mkdir()
    command = ["tar", "-C", target, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tmp_path / "layer"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert seen(target) == seen(source)


def test_diff_layer_tools_decompress_it(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    plain = pack(source, tmp_path / "plain")
    for compression in ("gzip", "zstd"):
        pack(source, tmp_path / compression, compression=compression)
        done = subprocess.run([need_tool(compression), "-dc", tmp_path / compression], capture_output=True, check=False)
        assert done.returncode in (0, 2)  # gzip warns of nothing here, but may
        assert done.stdout == (tmp_path / "plain").read_bytes()
        back = compress_blob(str(tmp_path / compression), os.open(os.devnull, os.O_WRONLY), compression="none")
        assert back.digest == plain.digest


def test_diff_layer_clamped_times(tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    pack(source, tmp_path / "layer", clamp_mtime=1_000_000_000)
    unpacked(tmp_path / "layer", target)
    times = {name: entry["mtime"] for name, entry in seen(source).items()}
    assert {name: entry["mtime"] for name, entry in seen(target).items()} == {
        name: min(time, 1_000_000_000) for name, time in times.items()
    }


def test_diff_layer_whiteouts_and_opaque_directories(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for path in ("kept/file", "gone/deep/file", "replaced/old", "file", "changed", "untouched/file", "swap", "into/x"):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(path)
    overlay = Overlay(tmp_path, [base])
    overlay.run(
        "rm -r gone file; rm -r replaced; mkdir replaced; echo new >replaced/new; echo more >>changed; mkdir -p new/dir;"
        "rm swap; mkdir swap; echo x >swap/x; rm -r into; echo file >into; echo t >made; rm made; echo a >b; ln b c"
    )
    (tmp_path / "out").mkdir()
    with (tmp_path / "layer").open("wb") as file:
        diff_layer(str(overlay.upper), overlay.lowers, file.fileno(), extract_to=str(tmp_path / "out"))
    assert names(tmp_path / "layer") == [
        ".wh.file", ".wh.gone", "b", "c", "changed", "into", "new", "new/dir",
        "replaced", "replaced/.wh..wh..opq", "replaced/new", "swap", "swap/x",
    ]  # fmt: skip
    merged = archive_of(overlay)
    assert merged == tree_digest([str(tmp_path / "out"), str(base)]) == tree_digest(overlay.layers)
    assert layer_changes(str(overlay.upper), overlay.lowers, []) == [
        ("A", "/b"), ("A", "/c"), ("C", "/changed"), ("D", "/file"), ("D", "/gone"), ("C", "/into"), ("A", "/new"),
        ("A", "/new/dir"), ("C", "/replaced"), ("A", "/replaced/new"), ("D", "/replaced/old"), ("C", "/swap"),
        ("A", "/swap/x"),
    ]  # fmt: skip


def archive_of(overlay: Overlay) -> str:
    """The digest of what the kernel shows."""
    import sys

    script = "import os, sys; from pyctr._core import archive_path; null = os.open(os.devnull, os.O_WRONLY); "
    script += "print(archive_path('.', '/', null).digest)"
    path = os.pathsep.join(sys.path)
    return overlay.run('PYTHONPATH="$3" exec "$1" -c "$2"', sys.executable, script, path).strip()


def tree_digest(layers: list[str]) -> str:
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        return export_tree(layers, null).digest
    finally:
        os.close(null)


def test_export_tree_middle_layers_hide_what_is_below(tmp_path: Path) -> None:
    base, middle = tmp_path / "base", tmp_path / "middle"
    for path in ("a/x", "a/y", "b/x", "c", "d/e/f"):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(path)
    lower = Overlay(tmp_path / "one", [base])
    lower.run("rm -r a; mkdir a; echo z >a/z; rm -r b; rm c; mkdir c; echo g >d/e/g")
    lower.upper.rename(middle)
    upper = Overlay(tmp_path / "two", [middle, base])
    upper.run("echo x >a/x; mkdir b; echo y >b/y; rm -r c; echo c >c; mv d/e d2")
    assert archive_of(upper) == tree_digest(upper.layers)
    assert ("D", "/d/e") in layer_changes(str(upper.upper), upper.lowers, [])


def test_layer_changes_unchanged_copies_are_left_out(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "dir").mkdir(parents=True)
    (base / "dir/file").write_text("same")
    overlay = Overlay(tmp_path, [base])
    overlay.run(": >>dir/file; touch -r dir/file dir")
    assert (overlay.upper / "dir/file").exists()
    assert layer_changes(str(overlay.upper), overlay.lowers, []) == []
    overlay.run("setcap cap_net_raw+ep dir/file")
    assert layer_changes(str(overlay.upper), overlay.lowers, []) == [("C", "/dir"), ("C", "/dir/file")]


def test_layer_changes_mount_points_are_hidden_while_empty(tmp_path: Path) -> None:
    base, upper = tmp_path / "base", tmp_path / "upper"
    base.mkdir()
    (upper / "dev/pts").mkdir(parents=True)
    (upper / "etc").mkdir()
    (upper / "etc/hosts").touch()
    (upper / "etc/resolv.conf").write_text("mine")
    hidden = ["/dev", "/dev/pts", "/etc/hosts", "/etc/resolv.conf"]
    assert layer_changes(str(upper), [str(base)], hidden) == [("A", "/etc"), ("A", "/etc/resolv.conf")]
    (base / "etc").mkdir()
    (upper / "etc/resolv.conf").unlink()
    assert layer_changes(str(upper), [str(base)], hidden) == []
    assert diff_layer(str(upper), [str(base)], os.open(os.devnull, os.O_WRONLY), hidden=hidden).entries == 0
    (upper / "etc/resolv.conf").write_text("mine")
    with (tmp_path / "layer").open("wb") as file:
        diff_layer(str(upper), [str(base)], file.fileno(), hidden=hidden)
    assert names(tmp_path / "layer") == ["etc", "etc/resolv.conf"]


def test_diff_layer_sockets_are_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        (tmp_path / "tree").mkdir()
        server.bind(str(tmp_path / "tree/sock"))
        assert pack(tmp_path / "tree", tmp_path / "layer").skipped == ["sock"]
    assert names(tmp_path / "layer") == []


@pytest.mark.parametrize("mark", ["trusted.overlay.redirect", "trusted.overlay.metacopy"])
def test_diff_layer_overlays_own_words_are_refused(tmp_path: Path, mark: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").touch()
    os.setxattr(tmp_path / "tree/file", mark, b"/x")
    with pytest.raises(StateError, match=mark):
        pack(tmp_path / "tree", tmp_path / "layer")


def test_diff_layer_names_of_whiteouts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/.wh.x").touch()
    with pytest.raises(StateError, match="mark deletions"):
        pack(tmp_path / "tree", tmp_path / "layer")
    (tmp_path / "blobs").mkdir()
    with pytest.raises(StateError):
        diff_layer(str(tmp_path / "tree"), [], str(tmp_path / "blobs"))
    assert not os.listdir(tmp_path / "blobs")


def test_diff_layer_host_attributes_stay_here(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").touch()
    os.setxattr(tmp_path / "tree/file", "user.overlay.opaque", b"y")
    os.setxattr(tmp_path / "tree/file", "trusted.overlay.origin", b"y")
    os.setxattr(tmp_path / "tree/file", "user.kept", b"y")
    pack(tmp_path / "tree", tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as archive:
        assert set(archive.getmembers()[0].pax_headers) == {"SCHILY.xattr.user.kept"}


def test_diff_layer_deeper_than_paths_and_descriptors(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_DIRECTORY)
    current = os.dup(top)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=current)
        below = os.open("deep", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.mkdir("z", dir_fd=current)
    os.close(current)
    os.close(top)
    null = os.open(os.devnull, os.O_WRONLY)
    assert diff_layer(str(tmp_path), [], null).entries == 1501
    assert len(layer_changes(str(tmp_path), [str(tmp_path)], [])) == 0
    os.close(null)
    subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


def test_diff_layer_tree_changing_under_it_stays_an_archive(tmp_path: Path) -> None:
    """A container that swaps files for links to the host's, FIFOs and devices meanwhile gets nothing of the host's packed."""
    tree, secret = tmp_path / "tree", tmp_path / "secret"
    tree.mkdir()
    secret.mkdir()
    (secret / "file").write_text("the host's")
    stop = threading.Event()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            for name in ("a", "b"):
                path = tree / name
                with_what = (turn + ord(name)) % 5
                subprocess.run(["rm", "-rf", path], check=True)
                if with_what == 0:
                    path.mkdir()
                    (path / "file").write_bytes(b"x" * (turn % 7) * 100_000)
                elif with_what == 1:
                    path.symlink_to(secret)
                elif with_what == 2:
                    os.mkfifo(path)
                elif with_what == 3:
                    path.write_bytes(b"y" * 300_000)
                    os.truncate(path, turn % 3)
                else:
                    path.symlink_to(secret / "file")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for turn in range(150):
            target = tmp_path / f"out{turn}"
            target.mkdir()
            with (tmp_path / "layer").open("wb") as file:
                diff_layer(str(tree), [], file.fileno(), extract_to=str(target))
            assert b"the host's" not in (tmp_path / "layer").read_bytes()
            names(tmp_path / "layer")
    finally:
        stop.set()
        thread.join()


def test_diff_layer_sink_that_fails_is_the_error(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(os.urandom(3_000_000))
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(KernelError, match="No space left"):
        diff_layer(str(tmp_path / "tree"), [], full)
    os.close(full)
    with pytest.raises(PyctrError, match="nowhere"):
        diff_layer(str(tmp_path / "tree"), [], str(tmp_path / "nowhere"))
    with pytest.raises(InvalidArgument, match="lzma"):
        diff_layer(str(tmp_path / "tree"), [], 1, compression="lzma")


def test_archive_path_links_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("inside")
    (root / "link").symlink_to("/etc/passwd")
    (root / "dir").symlink_to("../../../../etc")
    (tmp_path / "etc").mkdir()

    def content(path: str, **options: Any) -> list[tuple[str, bytes]]:
        with (tmp_path / "tar").open("wb") as file:
            archive_path(str(root), path, file.fileno(), **options)
        with tarfile.open(tmp_path / "tar") as archive:
            return [(member.name, member.type) for member in archive]

    assert content("/link") == [("link", tarfile.SYMTYPE)]
    assert content("/link", follow=True) == [("link", tarfile.REGTYPE)]
    assert content("/dir/passwd", name="other") == [("other", tarfile.REGTYPE)]
    assert content("dir", follow=True) == [("dir", tarfile.DIRTYPE), ("dir/passwd", tarfile.REGTYPE)]
    assert content("/etc", contents=True) == [("passwd", tarfile.REGTYPE)]
    with pytest.raises(NotFound):
        content("/missing")


def test_unpack_archive_owner_and_names_of_whiteouts(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to("/real")
    with tarfile.open(tmp_path / "tar", "w") as archive:
        member = tarfile.TarInfo(".wh.x")
        member.uid = 5
        archive.addfile(member)
    assert unpack_archive(str(tmp_path / "tar"), str(root), "/link", owner=(12, 34)) == 1
    found = (root / "real/.wh.x").stat()
    assert (found.st_uid, found.st_gid) == (12, 34)
    descriptor = os.open(root, os.O_PATH)
    unpack_archive(str(tmp_path / "tar"), descriptor, "/")
    os.close(descriptor)
    assert (root / ".wh.x").stat().st_uid == 5
