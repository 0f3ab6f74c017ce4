"""An ordinary user's networks: containers find each other and the world outside, and are found through published ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool
from tests.integration.rootless.conftest import make_user
from tests.waiting import PATIENCE_S, children, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.rootless.conftest import User

#: Of the range for benchmarks (RFC 2544): nobody's.
_OUTSIDE = "198.18.47.1"


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user whose networks have a way out."""
    need_tool("slirp4netns")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun")
    yield from make_user()


@pytest.fixture(scope="module")
def enclosed_user() -> Iterator[User]:
    """A user without the program that leads out."""
    yield from make_user(hidden="slirp4netns")


@pytest.fixture
def outside() -> Iterator[str]:
    """An address of the host's that is not its loopback's."""
    ip = need_tool("ip")
    link = f"pyctrt{os.getpid()}"
    done = subprocess.run([ip, "link", "add", link, "type", "veth"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs a link: {done.stderr.strip()}")
    try:
        subprocess.run([ip, "address", "add", f"{_OUTSIDE}/32", "dev", link], check=True)
        subprocess.run([ip, "link", "set", link, "up"], check=True)
        yield _OUTSIDE
    finally:
        subprocess.run([ip, "link", "delete", link], check=True)


def fetch(port: int, path: str) -> bytes:
    """What a server on the host's loopback answers; empty while it is not up."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))
    return b""


def test_published_port_is_reached_from_the_host_and_free_afterwards(user: User) -> None:
    user("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "httpd", "-f", "-h", "/etc")
    port = int(user("port", "web", "80").stdout.rpartition(":")[2])
    wait_until(lambda: b"root:" in fetch(port, "/passwd"), "the server")
    assert len(fetch(port, "/passwd").partition(b"\r\n\r\n")[2].split(b"\n")) > 1
    taken = user("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true", code=125)
    assert "port is already allocated" in taken.stderr
    user("rm", "-f", "web")
    socket.create_server(("127.0.0.1", port)).close()


def test_published_udp_port_answers(user: User) -> None:
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        pytest.skip("needs Debian's python3, to be lent to the container")
    lent = [word for path in ("/usr", "/lib", "/lib64") for word in ("-v", f"{path}:{path}:ro")]
    script = (
        "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('', 7))\nwhile True:\n"
        "    data, peer = s.recvfrom(99)\n    s.sendto(data.upper(), peer)"
    )
    user("run", "-d", "--init", "--name", "echo", "-p", "127.0.0.1::7/udp", *lent, "busybox", python, "-c", script)
    port = int(user("port", "echo", "7/udp").stdout.rpartition(":")[2])
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.5)

        def answered() -> bool:
            with contextlib.suppress(OSError):
                client.send(b"hello")
                return client.recv(100) == b"HELLO"
            return False

        wait_until(answered, "an answer")
    user("rm", "-f", "echo")


def test_low_port_is_refused_with_what_to_do(user: User) -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 1:
            pytest.skip("every port is everybody's here")
    done = user("run", "--rm", "-p", "127.0.0.1:1:80", "busybox", "true", code=125)
    refusal, hint = done.stderr.splitlines()
    assert refusal == "pyctr: bind 127.0.0.1:1/tcp: Permission denied"
    assert "ip_unprivileged_port_start" in hint


def test_containers_of_a_network_find_each_other_by_name(user: User) -> None:
    user("network", "create", "inner")
    user("run", "-d", "--name", "server", "--network", "inner", "busybox", "httpd", "-f", "-h", "/etc")
    script = "until wget -qO- http://server/hostname; do sleep 0.1; done"
    hostname = user("exec", "server", "hostname").stdout
    assert user("run", "--rm", "--network", "inner", "busybox", "sh", "-c", script).stdout == hostname
    user("rm", "-f", "server")
    user("network", "rm", "inner")


def test_network_outlives_the_keeper(user: User) -> None:
    user("network", "create", "lasting")
    wait_until(lambda: not user.keepers(), "the keeper's end")
    done = user("run", "--rm", "--network", "lasting", "busybox", "ip", "-4", "address", "show", "eth0")
    assert "inet " in done.stdout
    user("network", "rm", "lasting")


def test_way_out_reaches_the_world_and_not_the_hosts_loopback(user: User, outside: str) -> None:
    with socket.create_server((outside, 0)) as server, socket.create_server(("127.0.0.1", 0)) as local:

        def serve() -> None:
            with server.accept()[0] as client:
                client.sendall(b"from outside\n")

        server.settimeout(PATIENCE_S)
        answer = threading.Thread(target=serve)
        answer.start()
        port, own = server.getsockname()[1], local.getsockname()[1]
        script = f"nc {outside} {port} </dev/null; nc -w 2 10.0.2.2 {own} </dev/null && echo open"
        done = user("run", "--rm", "busybox", "sh", "-c", script, code=1)
        answer.join()
    assert done.stdout == "from outside\n"


@pytest.fixture
def greeter(outside: str) -> Iterator[int]:
    """The port of a server outside that says `from outside` to everybody."""
    with socket.create_server((outside, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the server's end
                while True:
                    with server.accept()[0] as client, contextlib.suppress(ConnectionError):
                        client.sendall(b"from outside")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_way_out_comes_back_where_the_program_or_the_keeper_was_killed(user: User, outside: str, greeter: int) -> None:
    user("run", "-d", "--name", "lasting", "busybox", "sleep", "1000")
    look = f"timeout 10 nc {outside} {greeter} </dev/null"

    def reaches() -> bool:
        return user("exec", "lasting", "sh", "-c", look, code=None).stdout == "from outside"

    wait_until(reaches, "a way out")
    keeper = user.keeper()
    for _ in range(2):  # the second one has not lasted
        (program,) = children(keeper)
        os.kill(program, signal.SIGKILL)
        wait_until(lambda killed=program: children(keeper) not in ([], [killed]), "another program")
        wait_until(reaches, "a way out, though nothing was started")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: keeper not in user.keepers(), "the keeper's end")
    wait_until(reaches, "a way out, though no container was started")
    assert user.keeper() != keeper
    user("rm", "-f", "lasting")


def test_program_that_leads_out_makes_few_system_calls(user: User) -> None:
    user("run", "-d", "--name", "lasting", "busybox", "sleep", "1000")
    (program,) = children(user.keeper())
    with open(f"/proc/{program}/status", encoding="ascii") as status:
        assert "Seccomp:\t2\n" in status.read()
    user("rm", "-f", "lasting")


def test_program_without_a_filter_leads_out_all_the_same(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: not user.keepers(), "the end of the keeper that has the new one")
    real, old = user.home / "real", user.home / "slirp4netns"
    shutil.copy(need_tool("slirp4netns"), real)
    refusal = """case $* in *--enable-seccomp*) echo "$0: unrecognized option '--enable-seccomp'" >&2; exit 1; esac"""
    old.write_text(f'#!/bin/sh\n{refusal}\nexec {real} "$@"\n')
    old.chmod(0o755)
    monkeypatch.setitem(user.env, "PYCTR_TEST_OWN", str(old))
    user("run", "-d", "--name", "lasting", "busybox", "sleep", "1000")
    (program,) = children(user.keeper())
    with open(f"/proc/{program}/status", encoding="ascii") as status:
        assert "Seccomp:\t0\n" in status.read()
    user("rm", "-f", "lasting")
    wait_until(lambda: not user.keepers(), "the keeper's end")


def test_without_the_program_networks_are_refused_and_the_rest_works(enclosed_user: User) -> None:
    for flags in ((), ("-p", "127.0.0.1::80")):
        done = enclosed_user("run", "--rm", *flags, "busybox", "true", code=125)
        assert done.stderr == (
            "pyctr: networks of an ordinary user need slirp4netns: the package is not installed "
            "(--network none and host work without it)\n"
        )
    enclosed_user("run", "--rm", "--network", "none", "busybox", "true")
    enclosed_user("run", "--rm", "--network", "host", "busybox", "true")
    assert enclosed_user("ps", "-aq").stdout == ""
