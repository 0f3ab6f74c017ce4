"""Clients that talk nonsense, are too many or not allowed; what a monitor costs and holds."""

import os
import pathlib
import socket
import time

import pytest

from tests.integration.monitor.harness import limit_kib, private_kib, wait_resting
from tests.waiting import PATIENCE_S, descriptors, threads, wait_equal, wait_until


@pytest.mark.parametrize(
    ("packet", "fds", "word"),
    [
        (b"no json", 0, "not understood"),
        (b'{"op":"fly"}', 0, "fly"),
        (b'{"op":"attach","version":2}', 0, "protocol 1"),
        (b'{"op":"attach","version":1,"stdout":true}', 0, "number of descriptors"),
        (b'{"op":"attach","version":1}', 2, "number of descriptors"),
        (b'{"op":"attach","version":1,"detach_keys":"ctrl-1"}', 0, "detach keys"),
        (b'{"op":"wait"}' + b" " * 70000, 0, "at most 65536"),
        (b'{"op":"attach","version":1,"stdout":true}', 9, "three descriptors"),
    ],
)
def test_client_nonsense_is_answered_and_costs_nobody_else(container, packet, fds, word):
    out, _ = container.run("echo ready; sleep 1000").start()
    with container.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        socket.send_fds(client.sock, [packet], [0] * fds)
        assert word in client.expect("error")["message"]
        assert client.receive() is None
    wait_until(lambda: out.data == b"ready\n", "the other client's output")
    container.kill(9)
    container.wait_monitor()


def test_client_many_at_once_wait_their_turn(container):
    container.run("sleep 1000").spawn()
    container.client.expect("started")
    clients = [container.connect() for _ in range(75)]
    for client in clients:
        client.send(op="watch", version=1)
    for client in clients[:60]:
        client.expect("started")
    wait_resting(container.process)
    for client in clients[:60]:
        client.close()
    for client in clients[60:]:
        client.expect("started")
        client.close()
    container.kill(9)
    container.wait_monitor()


def test_client_of_another_user_is_not_served(container):
    container.run("sleep 1000").spawn()
    container.client.expect("started")
    sock = container.run_dir / "sock"
    for path in (container.run_dir, sock):
        path.chmod(0o777)
    directory = os.open(container.run_dir, os.O_PATH)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setresgid(33, 33, 33)
            os.setresuid(33, 33, 33)
            stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stranger.settimeout(PATIENCE_S)
            stranger.connect(f"/proc/self/fd/{directory}/sock")
            try:
                stranger.send(b'{"op":"kill","signal":9}')
                status = 0 if stranger.recv(100) == b"" else 2
            except (BrokenPipeError, ConnectionResetError):
                status = 0
        finally:
            os._exit(status)
    os.close(directory)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert container.state()["status"] == "running"
    container.kill(9)
    container.wait_monitor()


def context_switches(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)


def test_monitor_idle_one_thread_no_wake_up_little_memory(container):
    container.request |= {"open_stdin": True, "restart": {"policy": "always"}}
    out, _ = container.run("echo ready; exec sleep 1000").start()
    wait_until(lambda: out.data, "ready")

    def sleeps():
        before = context_switches(container.process)
        time.sleep(3)
        return context_switches(container.process) == before

    wait_until(sleeps, "three seconds without a wake-up")
    assert len(threads(container.process)) == 1
    assert private_kib(container.process) < limit_kib(container.runtime)
    container.kill(9)
    container.wait_monitor()


def test_monitor_holds_nothing_it_does_not_need(container):
    out, _ = container.run("echo ready; exec sleep 1000").start()
    wait_until(lambda: out.data, "ready")
    container.client.close()

    def held():
        """Pipes and sockets, counted, and what has no business here."""
        links = descriptors(container.process)
        allowed = ("/dev/null", "pipe:", "socket:", "anon_inode", "mnt:", str(container.dir), "/sys/fs/cgroup")
        counts = [sum(link.startswith(kind) for link in links) for kind in ("pipe:", "socket:")]
        return counts, [link for link in links if not link.startswith(allowed)]

    wait_equal(held, ([2, 1], []), "the client and all that the start needed are let go")
    assert os.readlink(f"/proc/{container.process}/cwd") == "/"
    container.kill(9)
    container.wait_monitor()


def test_monitor_endless_line_bounded_memory(container):
    """300 MB without a newline, to a client and the log."""
    container.request["log"]["options"] = {"max-size": "1m", "max-file": "2"}
    size = 300_000_000
    container.run(f"head -c {size} /dev/zero | tr '\\0' 'x'")
    reader, writer = os.pipe()
    container.spawn(lambda client: client.attach(stdout=writer))
    os.close(writer)
    container.client.expect("started")
    got = reads = highest = 0
    while chunk := os.read(reader, 1 << 20):
        got, reads = got + len(chunk), reads + 1
        if reads % 50 == 0 and got < size // 2:  # while the monitor is sure to live
            highest = max(highest, private_kib(container.process))
    assert highest > 0, "measured"
    assert container.client.expect("exited")["code"] == 0
    assert got == size
    assert highest < limit_kib(container.runtime)
    os.close(reader)
    container.wait_monitor()
