"""Files and processes of the extension: atomic writes, removal, start times, signals by pidfd."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pyctr._core import kernel_version, process_start_time, remove_tree, send_signal, sync_file_system, write_atomic
from pyctr.errors import InvalidArgument, KernelError, NotFound
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


def test_write_atomic_mode_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o077)
    try:
        write_atomic(str(path), b"data", mode=0o644)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_write_atomic_by_many_leaves_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writers = [
        threading.Thread(target=lambda byte=byte: [write_atomic(str(path), byte * 5000, sync=False) for _ in range(50)])
        for byte in (b"a", b"b", b"c")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in (b"a" * 5000, b"b" * 5000, b"c" * 5000)
    assert os.listdir(tmp_path) == ["file"]


def test_write_atomic_missing_directory_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="missing/file: No such file") as caught:
        write_atomic(str(tmp_path / "missing/file"), b"")
    assert caught.value.errno == 2


def test_remove_tree_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("../kept")
    remove_tree(str(tmp_path / "tree"), contents_only=True)
    assert os.listdir(tmp_path / "tree") == []
    remove_tree(str(tmp_path / "tree"))
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/file").exists()


def test_sync_file_system_missing_is_an_error(tmp_path: Path) -> None:
    sync_file_system(str(tmp_path))
    with pytest.raises(KernelError):
        sync_file_system(str(tmp_path / "missing"))


def test_process_start_time_name_that_is_no_text_is_read() -> None:
    script = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) b \\xff(', 0, 0, 0); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with open(f"/proc/{process.pid}/stat", "rb") as file:
        expected = int(file.read().rsplit(b")", 1)[1].split()[19])
    assert process_start_time(process.pid) == expected
    process.communicate(b"\n")
    assert process_start_time(process.pid) is None


def test_process_start_time_zombie_is_gone() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start_time(process.pid) is None
    process.wait()


def test_send_signal_reaches_only_that_process() -> None:
    process = subprocess.Popen(["sleep", "60"])
    start = process_start_time(process.pid)
    assert start is not None
    with pytest.raises(NotFound):
        send_signal(process.pid, start + 1, signal.SIGKILL)
    with pytest.raises(InvalidArgument):
        send_signal(process.pid, start, 1000)
    assert process.poll() is None
    send_signal(process.pid, start, signal.SIGRTMIN + 3)
    assert process.wait(PATIENCE_S) == -(signal.SIGRTMIN + 3)
    with pytest.raises(NotFound):
        send_signal(process.pid, start, signal.SIGKILL)


def test_kernel_version_is_unames() -> None:
    assert list(kernel_version()) == [int(word) for word in os.uname().release.split("-")[0].split(".")[:2]]
