"""Output to many clients, input from any kind of file, terminals, detach keys; clients that are slow, stuck, gone."""

import fcntl
import hashlib
import os
import pty
import signal
import socket
import struct
import termios
import threading
import time
from pathlib import Path

import pytest

from tests.integration.monitor.harness import (
    cpu_ticks,
    limit_kib,
    log_end,
    poll_in,
    private_kib,
    read_all,
    wait_resting,
)
from tests.waiting import PATIENCE_S, descriptors, wait_until

PIPE_BYTES = 65536


def feeder(fd, data):
    """Write everything and close, from a thread."""

    def run():
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.close(fd)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def open_terminal(rows=24, cols=80):
    """A client's terminal in raw mode: (the side a person sits at, the side that is lent)."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[0] = attributes[1] = attributes[3] = 0
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    return master, slave


def read_until(fd, wanted, again=lambda: None):
    """Everything up to some bytes; `again` is done while they do not come."""
    data = b""
    deadline = time.monotonic() + PATIENCE_S
    while wanted not in data:
        assert time.monotonic() < deadline, data
        if poll_in(fd, 0.1):
            data += os.read(fd, 65536)
        else:
            again()
    return data


def test_attach_two_clients_get_the_same_and_the_late_one_the_rest(container):
    container.request |= {"open_stdin": True}
    container.run("echo one; cat; echo two")
    first, _ = container.start()
    wait_until(lambda: first.data == b"one\n", "the first line")
    with container.connect() as client:
        stdin_reader, stdin = os.pipe()
        reader, writer = os.pipe()
        client.attach(stdin=stdin_reader, stdout=writer)
        os.close(writer)
        os.close(stdin_reader)
        client.expect("started")
        second = read_all(reader)
        os.write(stdin, b"typed\n")
        wait_until(lambda: second.data == b"typed\n" and first.data == b"one\ntyped\n", "what was typed, twice")
        os.close(stdin)
        time.sleep(0.1)  # without stdin_once the end of one client's input is not the container's
        assert container.state()["status"] == "running"
        container.kill(9)
        assert client.expect("exited")["code"] == 137
    container.wait_monitor()


def test_attach_output_left_in_the_pipe_reaches_client_and_log_before_exited(container):
    out, _ = container.run("dd if=/dev/zero bs=60000 count=1 2>/dev/null | tr '\\0' 'x'; exit 9").start()
    assert container.client.expect("exited")["code"] == 9
    assert out.result() == b"x" * 60000
    assert sum(len(entry["log"]) for entry in container.log()) == 60000
    container.wait_monitor()


def test_attach_stdout_closed_by_the_container_is_no_end(container):
    out, err = container.run("exec >&-; echo still >&2; sleep 0.2; exit 3").start()
    assert container.client.expect("exited")["code"] == 3
    assert (out.result(), err.result()) == (b"", b"still\n")
    container.wait_monitor()


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_attach_any_kind_of_descriptor_gets_every_byte(container, tmp_path, kind):
    size = 3_000_000
    container.run(f"yes 0123456789 | head -c {size}")
    expected = hashlib.sha256((b"0123456789\n" * (size // 11 + 1))[:size]).hexdigest()
    if kind == "pipe":
        reader, writer = os.pipe()
    elif kind == "socket":
        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    else:
        writer = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        os.write(writer, b"before")
        reader = os.open(tmp_path / "out", os.O_RDONLY)
        os.lseek(reader, 6, os.SEEK_SET)
    container.spawn(lambda client: client.attach(stdout=writer))
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    os.close(writer)
    container.client.expect("started")
    data = read_all(reader) if kind != "file" else None
    container.client.expect("exited")
    data = data or read_all(reader)
    assert hashlib.sha256(data.result()).hexdigest() == expected
    assert not flags & os.O_NONBLOCK
    container.wait_monitor()


def test_attach_lent_descriptions_stay_blocking(container):
    container.run("sleep 1000")
    pairs = [os.pipe(), socket.socketpair(), pty.openpty()]
    ends = [end if isinstance(end, int) else end.fileno() for _, end in pairs]
    for end in ends:
        if container.process is None:
            container.spawn(lambda client, end=end: client.attach(stdout=end))
            container.client.expect("started")
            continue
        with container.connect() as client:
            client.attach(stdout=end)
            client.expect("started")
            assert not fcntl.fcntl(end, fcntl.F_GETFL) & os.O_NONBLOCK
    assert not fcntl.fcntl(ends[0], fcntl.F_GETFL) & os.O_NONBLOCK
    container.kill(9)
    container.wait_monitor()
    for pair in pairs:
        for end in pair:
            os.close(end) if isinstance(end, int) else end.close()


def test_attach_stuck_client_holds_the_container_back_and_nothing_else(container):
    """As in Docker: output is never dropped; what the client does not read waits, a little of it in the monitor."""
    container.run("trap 'exit 6' TERM; yes 0123456789 & echo $! > /tmp/pid; wait")
    reader, writer = os.pipe()
    container.spawn(lambda client: client.attach(stdout=writer))
    os.close(writer)
    container.client.expect("started")
    seen = [-1, -1]

    def stands_still():
        before, seen[:] = list(seen), [container.log_path.stat().st_size, cpu_ticks(container.process)]
        # Far more than a pipe holds, with the frame of each short line around it.
        return (before == seen and seen[0] > 8 * PIPE_BYTES) or time.sleep(0.5)

    wait_until(container.log_path.exists, "the log")
    wait_until(stands_still, "the container is held back, and the monitor asleep")
    assert private_kib(container.process) < limit_kib(container.runtime)
    with container.connect() as client:
        client.send(op="wait")
        client.send(op="kill", signal=15)
        client.expect("ok")
        assert client.expect("exited")["code"] == 6
    # The end is cleaned up after, though the stuck client has not read a byte.
    wait_until(lambda: not container.run_dir.exists() and not container.is_locked(), "clean-up")
    assert container.state()["status"] == "exited"
    data = read_all(reader)
    assert container.client.expect("exited")["code"] == 6
    total = sum(len(entry["log"]) for entry in container.log())
    assert len(data.result()) == total > PIPE_BYTES
    container.wait_monitor()


def test_attach_stuck_client_killed_container_goes_on(container):
    container.run("yes | head -c 3000000; echo done >&2; sleep 1000")
    reader, writer = os.pipe()
    container.spawn(lambda client: client.attach(stdout=writer))
    os.close(writer)
    container.client.expect("started")
    time.sleep(0.2)
    container.client.close()
    wait_until(lambda: b'{"log":"done' in log_end(container.log_path), "the rest of the output")
    os.close(reader)
    container.kill(9)
    container.wait_monitor()


def test_attach_reader_gone_costs_that_stream_only(container):
    container.request["open_stdin"] = True
    container.run("cat; sleep 1000")
    (gone, child_out), (err_reader, child_err), (stdin_reader, stdin) = os.pipe(), os.pipe(), os.pipe()
    container.spawn(lambda client: client.attach(stdin=stdin_reader, stdout=child_out, stderr=child_err))
    for fd in (gone, child_out, child_err, stdin_reader):
        os.close(fd)
    container.client.expect("started")
    os.write(stdin, b"x\n")
    wait_until(lambda: container.log_path.read_bytes().endswith(b"\n"), "an entry")
    assert not poll_in(err_reader, 0.05)
    container.client.send(op="signal", signal=9)
    assert container.client.expect("exited")["code"] == 137
    assert os.read(err_reader, 1) == b""
    os.close(err_reader)
    os.close(stdin)
    container.wait_monitor()


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_stdin_every_byte_then_the_end(container, tmp_path, kind):
    container.request |= {"open_stdin": True, "stdin_once": True}
    # Detach keys are among them: without a terminal they are bytes like any others.
    data = os.urandom(1_000_000) + b"\x10\x11" + os.urandom(100_000)
    if kind == "file":
        (tmp_path / "in").write_bytes(data)
        reader = os.open(tmp_path / "in", os.O_RDONLY)
    else:
        if kind == "pipe":
            reader, writer = os.pipe()
        else:
            ours, theirs = socket.socketpair()
            reader, writer = ours.detach(), theirs.detach()
        feeder(writer, data)
    out, child_out = os.pipe()
    container.run("cat").spawn(lambda client: client.attach(stdin=reader, stdout=child_out))
    os.close(reader)
    os.close(child_out)
    container.client.expect("started")
    got = read_all(out)
    assert container.client.expect("exited")["code"] == 0
    assert got.result() == data
    container.wait_monitor()


def test_stdin_dev_null_is_the_end_at_once(container):
    container.request |= {"open_stdin": True, "stdin_once": True}
    null = os.open("/dev/null", os.O_RDWR)
    container.run("cat; exit 8").spawn(lambda client: client.attach(stdin=null, stdout=null))
    os.close(null)
    container.client.expect("started")
    assert container.client.expect("exited")["code"] == 8
    container.wait_monitor()


def test_stdin_client_gone_is_the_end_with_stdin_once(container):
    container.request |= {"open_stdin": True, "stdin_once": True}
    reader, writer = os.pipe()
    container.run("cat; exit 8").spawn(lambda client: client.attach(stdin=reader))
    os.close(reader)
    container.client.expect("started")
    container.client.close()
    container.wait_monitor()
    assert container.state()["exit_code"] == 8
    os.close(writer)


def test_stdin_container_that_does_not_read_holds_the_client_back(container):
    container.request |= {"open_stdin": True, "stdin_once": True}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    container.run("trap go=1 USR1; echo ready; while [ -z $go ]; do sleep 0.05; done; cat > /dev/null; exit 0")
    out, child_out = os.pipe()
    container.spawn(lambda client: client.attach(stdin=reader, stdout=child_out))
    for fd in (reader, child_out):
        os.close(fd)
    container.client.expect("started")
    ready = read_all(out)
    wait_until(lambda: ready.data, "ready")
    sent = [0]

    def takes_no_more():
        before = sent[0], cpu_ticks(container.process)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                sent[0] += os.write(writer, b"x" * 4096)
            except BlockingIOError:
                time.sleep(0.01)
        return before == (sent[0], cpu_ticks(container.process))

    wait_until(takes_no_more, "the client is held back, and the monitor asleep")
    assert sent[0] < 3 * PIPE_BYTES
    os.close(writer)
    container.client.send(op="signal", signal=int(signal.SIGUSR1))
    assert container.client.expect("exited")["code"] == 0
    container.wait_monitor()


def test_stdin_closed_by_the_container_is_not_read_any_more(container):
    container.request |= {"open_stdin": True}
    reader, writer = os.pipe()
    container.run("exec <&-; echo closed; sleep 1000")
    out, child_out = os.pipe()
    container.spawn(lambda client: client.attach(stdin=reader, stdout=child_out))
    os.close(child_out)
    container.client.expect("started")
    said = read_all(out)
    wait_until(lambda: said.data, "closed")
    os.write(writer, b"lost")
    wait_until(lambda: not poll_in(reader, 0), "it is taken, and with that the monitor finds out")
    os.write(writer, b"kept")
    time.sleep(0.1)
    assert poll_in(reader, 0)
    assert os.read(reader, 100) == b"kept"
    os.close(reader)
    os.close(writer)
    container.kill(9)
    container.wait_monitor()


def test_stdin_not_asked_for_is_left_alone(container):
    reader, writer = os.pipe()
    os.write(writer, b"mine")
    container.run("cat; sleep 0.2").spawn(lambda client: client.attach(stdin=reader))
    container.client.expect("started")
    container.client.expect("exited")
    assert os.read(reader, 100) == b"mine"
    os.close(reader)
    os.close(writer)
    container.wait_monitor()


def test_terminal_size_input_and_resize(container):
    container.request |= {"terminal": True, "open_stdin": True, "stdin_once": True}
    container.run("stty size; trap 'stty size' WINCH; while read line; do echo got $line; done; exit 5")
    person, lent = open_terminal(33, 99)
    container.spawn(lambda client: client.attach(stdin=lent, stdout=lent, size=[33, 99]))
    container.client.expect("started")
    read_until(person, b"33 99\r\n")
    os.write(person, b"hello\r")
    read_until(person, b"got hello\r\n")
    container.client.send(op="resize", rows=40, cols=120)
    # The shell runs its trap when read returns; which of the two it hears of first nobody can say.
    read_until(person, b"40 120", again=lambda: os.write(person, b"\r"))
    os.write(person, b"\x04")
    assert container.client.expect("exited")["code"] == 5
    container.wait_monitor()
    assert {entry["stream"] for entry in container.log()} == {"stdout"}
    os.close(person)
    os.close(lent)


def test_terminal_interrupt_character_reaches_the_foreground(container):
    container.request |= {"terminal": True, "open_stdin": True}
    container.run("trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done")
    person, lent = open_terminal()
    container.spawn(lambda client: client.attach(stdin=lent, stdout=lent))
    container.client.expect("started")
    read_until(person, b"ready")
    os.write(person, b"\x03")
    assert container.client.expect("exited")["code"] == 4
    container.wait_monitor()
    os.close(person)
    os.close(lent)


def test_terminal_detach_keys_leave_the_container_running(container):
    container.request |= {"terminal": True, "open_stdin": True, "stdin_once": True}
    container.run("echo ready; cat")
    person, lent = open_terminal()
    container.spawn(lambda client: client.attach(stdin=lent, stdout=lent))
    container.client.expect("started")
    read_until(person, b"ready")
    os.write(person, b"\x10")
    os.write(person, b"x\r")  # half of the keys, then another: passed on
    read_until(person, b"\x10x")
    os.write(person, b"\x10")
    time.sleep(0.05)
    os.write(person, b"\x11")
    container.client.expect("detached")
    assert container.client.receive() is None
    assert container.state()["status"] == "running"
    with container.connect() as client:
        client.attach(stdin=lent, stdout=lent, detach_keys="a,b")
        client.expect("started")
        os.write(person, b"again\r")
        read_until(person, b"again\r\n")
        os.write(person, b"ab")
        client.expect("detached")
    container.kill(9)
    container.wait_monitor()
    os.close(person)
    os.close(lent)


def test_terminal_closed_and_opened_again_goes_on_without_spinning(container):
    """As an init system does, which opens its console for every line."""
    container.request["terminal"] = True
    container.run(
        "exec </dev/null >/dev/null 2>&1; until [ -e /go ]; do sleep 0.1; done; echo back > /dev/console; sleep 1000"
    )
    person, lent = open_terminal()
    container.spawn(lambda client: client.attach(stdout=lent))
    container.client.expect("started")
    pid = container.state()["pid"]
    wait_until(lambda: descriptors(pid).count("/dev/null") == 3, "it is closed")
    wait_resting(container.process)
    Path(f"/proc/{pid}/root/go").touch()
    read_until(person, b"back\r\n")
    container.kill(9)
    container.client.expect("exited")
    container.wait_monitor()
    os.close(person)
    os.close(lent)


def test_terminal_output_at_the_end_is_complete(container):
    container.request["terminal"] = True
    reader, writer = os.pipe()
    container.run("seq 1 20000").spawn(lambda client: client.attach(stdout=writer))
    os.close(writer)
    container.client.expect("started")
    data = read_all(reader)
    container.client.expect("exited")
    assert data.result() == "".join(f"{number}\r\n" for number in range(1, 20001)).encode()
    container.wait_monitor()
