"""The name server at 127.0.0.11, asked by busybox's own resolver and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import needs_root
from tests.integration.network.conftest import OUTSIDE, Host, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root

#: A name server outside: one address for every name, over UDP and TCP; `dropped.test` is never answered, `big.test` only over TCP.
UPSTREAM = """
import socket, struct, threading
def answer(query, over_tcp):
    end = query.index(0, 12) + 5
    name = query[12:end]
    head = query[:2] + (b"\\x83\\x80" if b"big" in name and not over_tcp else b"\\x81\\x80")
    record = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([203, 0, 113, 7])
    count = 0 if head[2] == 0x83 or query[end - 4:end - 2] != b"\\0\\1" else 1
    return head + struct.pack(">HHHH", 1, count, 0, 0) + name + record * count
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 53))
tcp = socket.create_server(("0.0.0.0", 53))
def streams():
    while True:
        client, _ = tcp.accept()
        size = struct.unpack(">H", client.recv(2))[0]
        data = answer(client.recv(size), True)
        client.sendall(struct.pack(">H", len(data)) + data)
        client.close()
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    query, client = udp.recvfrom(4096)
    if b"dropped" not in query:
        udp.sendto(answer(query, False), client)
"""


@pytest.fixture
def net(clean: Host) -> Iterator[Host]:
    clean("network", "create", "net")
    with clean.python(UPSTREAM, outside=True) as upstream:
        assert upstream.stdout is not None
        upstream.stdout.readline()
        yield clean
        upstream.kill()


def start(host: Host, name: str, *options: str) -> str:
    run = ("run", "-d", "--name", name, "--network", "net", "--dns", OUTSIDE, *options, "busybox", "sleep", "1000")
    return host(*run).stdout.strip()


def addresses(host: Host, client: str, name: str, kind: str = "a") -> list[str]:
    """What busybox's nslookup finds, sorted."""
    done = host("exec", client, "nslookup", f"-type={kind}", name, code=None)
    lines = done.stdout.split("Name:", 1)[-1].splitlines() if "Name:" in done.stdout else []
    return sorted(line.split()[-1] for line in lines if line.startswith("Address"))


def test_names_aliases_and_ids_lead_to_containers(net: Host) -> None:
    start(net, "client")
    web = start(net, "web", "--network-alias", "www", "--hostname", "box")
    own = net.address("web", "net")
    for name in ("web", "www", "WEB", "web.net", web[:12]):
        assert addresses(net, "client", name) == [own], name
    assert net("exec", "client", "ping", "-c1", "-W2", "web").stdout.count(own) > 1
    assert addresses(net, "client", "web", "aaaa") == []
    assert net("exec", "client", "cat", "/etc/resolv.conf").stdout.startswith("nameserver 127.0.0.11\n")


def test_names_shared_by_several_give_all_and_follow_who_comes_and_goes(net: Host) -> None:
    start(net, "client")
    for name in ("one", "two", "three"):
        start(net, name, "--network-alias", "service")
    every = sorted(net.address(name, "net") for name in ("one", "two", "three"))
    assert addresses(net, "client", "service") == every
    first = {
        net("exec", "client", "ping", "-c1", "-W2", "service").stdout.split("(")[1].split(")")[0] for _ in range(6)
    }
    assert len(first) > 1, "they take turns"
    gone = net.address("two", "net")
    net("rm", "-f", "two")
    assert addresses(net, "client", "service") == [address for address in every if address != gone]
    net("rename", "three", "third")
    assert eventually(lambda: addresses(net, "client", "third")), "the new name"


def test_reverse_names_and_strangers(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    reverse = ".".join(reversed(net.address("web", "net").split("."))) + ".in-addr.arpa"
    assert "web.net" in net("exec", "client", "nslookup", "-type=ptr", reverse).stdout
    assert addresses(net, "client", "elsewhere.test") == ["203.0.113.7"]
    assert addresses(net, "client", "big.test") == ["203.0.113.7"], "over TCP"


def test_upstream_that_does_not_answer_harms_nobody_else(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    net("exec", "-d", "client", "nslookup", "dropped.test")
    assert addresses(net, "client", "web") == [net.address("web", "net")]
    done = net("exec", "client", "nslookup", "dropped.test", code=1)
    assert "SERVFAIL" in done.stdout + done.stderr or "timed out" in done.stdout + done.stderr


def test_internal_network_asks_nobody(net: Host) -> None:
    net("network", "create", "--internal", "hidden")
    net("run", "-d", "--name", "in", "--network", "hidden", "--dns", OUTSIDE, "busybox", "sleep", "1000")
    done = net("exec", "in", "nslookup", "elsewhere.test", code=1)
    assert "NXDOMAIN" in done.stdout + done.stderr


def test_port_53_is_the_containers_own_and_restarts_keep_names(net: Host) -> None:
    start(net, "client")
    net("exec", "-d", "client", "nc", "-l", "-p", "53", "-s", "127.0.0.1")
    assert eventually(lambda: ":53 " in net("exec", "client", "netstat", "-ltn").stdout)
    start(net, "web")
    net("restart", "-t", "0", "client")
    assert addresses(net, "client", "web") == [net.address("web", "net")]


def test_nonsense_is_survived(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    script = "for i in 1 2 3 4 5; do head -c $((i*30)) /dev/urandom | nc -u -w1 127.0.0.11 53; done; head -c 900 /dev/urandom | nc -w1 127.0.0.11 53"
    net("exec", "client", "sh", "-c", script, code=None)
    assert addresses(net, "client", "web") == [net.address("web", "net")]
