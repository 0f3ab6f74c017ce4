"""The packet channel to a monitor: long paths, descriptors, ends, and signals while waiting."""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pyctr._core import Channel
from pyctr.errors import CorruptData, InvalidArgument, NotFound, StateError
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


def other_end(fd: int) -> socket.socket:
    return socket.socket(fileno=fd)


def test_pair_packets_keep_their_borders() -> None:
    channel, fd = Channel.pair()
    assert not os.get_inheritable(fd)
    with other_end(fd) as other:
        channel.send(b"one")
        channel.send(b"two")
        assert other.recv(100) == b"one"
        assert other.recv(100) == b"two"
        other.send(b"x" * 65536)
        assert channel.recv() == b"x" * 65536
    assert channel.recv() is None


def test_recv_packet_too_long_is_refused_not_cut() -> None:
    channel, fd = Channel.pair()
    with other_end(fd) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        other.send(b"x" * 65537)
        with pytest.raises(CorruptData):
            channel.recv()


def test_send_descriptors_arrive() -> None:
    channel, fd = Channel.pair()
    reader, writer = os.pipe()
    with other_end(fd) as other:
        channel.send(b"{}", [writer])
        os.close(writer)
        data, ancillary, _, _ = other.recvmsg(10, socket.CMSG_SPACE(12))
        assert data == b"{}"
        received = array.array("i", ancillary[0][2])[0]
        os.write(received, b"through")
        os.close(received)
        assert os.read(reader, 10) == b"through"
        with pytest.raises(InvalidArgument):
            channel.send(b"", [reader] * 4)
    os.close(reader)


def test_connect_path_longer_than_an_address_works(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        here = os.open(directory, os.O_PATH)
        server.bind(f"/proc/self/fd/{here}/sock")
        os.close(here)
        server.listen()
        channel = Channel.connect(str(directory / "sock"))
        accepted, _ = server.accept()
        channel.send(b"hello")
        assert accepted.recv(10) == b"hello"
        accepted.close()
    with pytest.raises(NotFound):
        Channel.connect(str(directory / "sock"))
    with pytest.raises(NotFound):
        Channel.connect(str(directory / "missing"))


def test_use_after_close_is_a_state_error() -> None:
    channel, fd = Channel.pair()
    os.close(fd)
    channel.close()
    for use in (channel.recv, channel.fileno, lambda: channel.send(b"x")):
        with pytest.raises(StateError):
            use()


SCRIPT = """
import os, signal, sys
from pyctr._core import Channel
channel, other = Channel.pair()
def handler(number, frame):
    os.write(1, b"!")
    if number == signal.SIGTERM:
        sys.exit(7)
for number in (signal.SIGWINCH, signal.SIGTERM):
    signal.signal(number, handler)
os.write(1, b".")
channel.recv()
"""


def test_recv_runs_signal_handlers_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 1) == b"."
    # From the very first instant on, whether it waits already or not.
    for _ in range(20):
        process.send_signal(signal.SIGWINCH)
        assert os.read(process.stdout.fileno(), 1) == b"!"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 7
    process.stdout.close()


def test_recv_releases_the_gil() -> None:
    channel, fd = Channel.pair()
    got: list[bytes | None] = []
    thread = threading.Thread(target=lambda: got.append(channel.recv()))
    thread.start()
    time.sleep(0.05)
    with other_end(fd) as other:
        other.send(b"x")
        thread.join(PATIENCE_S)
    assert got == [b"x"]
