"""The name server at 127.0.0.11, asked by dig, by busybox's own resolver and by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool, needs_root
from tests.integration.network.conftest import OUTSIDE, Host
from tests.waiting import PATIENCE_S, threads, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root

SECOND = "198.51.100.3"
#: Two name servers outside, over UDP and TCP; which one answered shows in the address. `dropped`: no answer; `big`: only over TCP;
#: `absent`: there is no such name; `failing`: the first server fails; `pieces`: over TCP in pieces.
UPSTREAM = """
import socket, struct, sys, threading, time
def answer(query, over_tcp, last):
    end = query.index(0, 12) + 5
    name, kind = query[12:end], query[end - 4:end - 2]
    code = 3 if b"absent" in name else 2 if b"failing" in name and last == 7 else 0
    cut = b"big" in name and not over_tcp
    count = 1 if kind == b"\\0\\1" and not cut and not code else 0
    record = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([203, 0, 113, last])
    return query[:2] + bytes([0x83 if cut else 0x81, 0x80 | code]) + struct.pack(">HHHH", 1, count, 0, 0) + name + record * count
def streams(tcp, last):
    while True:
        client, _ = tcp.accept()
        size = struct.unpack(">H", client.recv(2))[0]
        query = client.recv(size)
        if b"dropped" in query:
            kept.append(client)
            continue
        data = answer(query, True, last)
        data = struct.pack(">H", len(data)) + data
        for piece in ([data[:1], data[1:9], data[9:]] if b"pieces" in query else [data]):
            client.sendall(piece)
            time.sleep(0.05 if b"pieces" in query else 0)
        client.close()
def datagrams(udp, last):
    while True:
        query, client = udp.recvfrom(4096)
        if b"dropped" not in query:
            udp.sendto(answer(query, False, last), client)
kept = []
for address, last in zip(sys.argv[1:], (7, 8)):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    threading.Thread(target=datagrams, args=(udp, last), daemon=True).start()
    threading.Thread(target=streams, args=(socket.create_server((address, 53)), last), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def net(clean: Host) -> Iterator[Host]:
    need_tool("dig")
    clean("network", "create", "net")
    clean.sh(f"ip addr replace {SECOND}/24 dev eth0", outside=True)
    with clean.python(UPSTREAM, OUTSIDE, SECOND, outside=True) as upstream:
        assert upstream.stdout is not None
        upstream.stdout.readline()
        yield clean
        upstream.kill()


def start(host: Host, name: str, *options: str, network: str = "net", dns: str = OUTSIDE) -> str:
    run = ("run", "-d", "--name", name, "--network", network, "--dns", dns, *options, "busybox", "sleep", "1000")
    return host(*run).stdout.strip()


def inside(host: Host, name: str) -> list[str]:
    """What begins a command of the machine's in a container's network namespace."""
    return ["nsenter", f"--net=/proc/{host.pid(name)}/ns/net"]


def dig(host: Host, client: str, *words: str) -> str:
    """What dig prints, asking the name server as a program in the container would."""
    command = [*inside(host, client), "dig", "@127.0.0.11", "+tries=1", "+timeout=20", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout


def addresses(host: Host, client: str, *words: str) -> list[str]:
    return dig(host, client, "+short", *words).split()


def status(answer: str) -> str:
    return answer.partition("status: ")[2].partition(",")[0]


def python_inside(host: Host, name: str, code: str, *args: str) -> str:
    command = [*inside(host, name), sys.executable, "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_names_aliases_and_ids_lead_to_containers(net: Host) -> None:
    start(net, "client")
    web = start(net, "web", "--network-alias", "www", "--hostname", "box")
    own = net.address("web", "net")
    for name in ("web", "www", "WEB", "web.net", "box", web[:12]):
        for transport in ("+notcp", "+tcp"):
            assert addresses(net, "client", name, transport) == [own], (name, transport)
    assert net("exec", "client", "ping", "-c1", "-W30", "web").stdout.count(own) > 1
    nothing = dig(net, "client", "web", "aaaa")
    assert status(nothing) == "NOERROR"
    assert "ANSWER: 0" in nothing
    assert net("exec", "client", "cat", "/etc/resolv.conf").stdout == "nameserver 127.0.0.11\noptions ndots:0\n"


def test_names_shared_by_several_take_turns_and_follow_who_comes_and_goes(net: Host) -> None:
    start(net, "client")
    for name in ("one", "two", "three"):
        start(net, name, "--network-alias", "service")
    every = {name: net.address(name, "net") for name in ("one", "two", "three")}
    first = [addresses(net, "client", "service")[0] for _ in range(6)]
    assert sorted(first[:3]) == sorted(every.values())
    assert first[:3] == first[3:]
    net("rm", "-f", "two")
    assert sorted(addresses(net, "client", "service")) == sorted([every["one"], every["three"]])
    net("rename", "three", "third")
    assert addresses(net, "client", "third") == [every["three"]]
    assert addresses(net, "client", "three.net") != [every["three"]]
    net("stop", "-t", "0", "one")
    assert addresses(net, "client", "service") == [every["three"]]
    net("start", "one")
    assert len(addresses(net, "client", "service")) == 2


def test_names_follow_connect_and_disconnect_at_once(net: Host) -> None:
    net("network", "create", "--internal", "other")
    start(net, "client")
    start(net, "far", network="other")
    far = net.address("far", "other")
    assert addresses(net, "client", "far") != [far]
    net("network", "connect", "other", "client")
    assert addresses(net, "client", "far") == [far]
    net("network", "connect", "--alias", "near", "net", "far")
    assert addresses(net, "client", "near") == [net.address("far", "net")]
    net("network", "disconnect", "net", "far")
    assert addresses(net, "client", "far") == [far]
    net("network", "disconnect", "other", "client")
    assert addresses(net, "client", "far") != [far]
    net("network", "connect", "other", "client")
    net("network", "disconnect", "net", "client")
    assert status(dig(net, "client", "elsewhere.test")) == "NXDOMAIN", "nothing but an internal network is left"


def test_ipv6_and_reverse_names(net: Host) -> None:
    net("network", "create", "--ipv6", "six")
    start(net, "client", network="six")
    start(net, "web", network="six")
    ipv4, ipv6 = net.address("web", "six"), net.address("web", "six", "GlobalIPv6Address")
    assert addresses(net, "client", "web", "aaaa") == [ipv6]
    assert addresses(net, "client", "web", "a") == [ipv4]
    assert set(addresses(net, "client", "web", "any", "+notcp")) == {ipv4, ipv6}
    for address in (ipv4, ipv6):
        assert addresses(net, "client", "-x", address) == ["web.six."]
    assert "ANSWER: 0" in dig(net, "client", "web", "mx")


def test_strangers_are_asked_of_the_host_servers(net: Host) -> None:
    start(net, "client", "--dns", SECOND)
    for transport in ("+notcp", "+tcp"):
        assert addresses(net, "client", "elsewhere.test", transport) == ["203.0.113.7"]
        assert addresses(net, "client", "failing.test", transport) == ["203.0.113.8"], "the next server"
        assert status(dig(net, "client", "absent.test", transport)) == "NXDOMAIN"
    assert addresses(net, "client", "big.test") == ["203.0.113.7"], "truncated, so over TCP"
    assert addresses(net, "client", "pieces.test", "+tcp") == ["203.0.113.7"]


def test_server_that_nobody_is_at_makes_room_for_the_next(net: Host) -> None:
    start(net, "client", "--dns", OUTSIDE, dns="198.51.100.77")
    start(net, "refused", "--dns", SECOND, dns="127.0.0.1")
    assert addresses(net, "client", "elsewhere.test") == ["203.0.113.7"]
    for transport in ("+notcp", "+tcp"):
        assert addresses(net, "refused", "elsewhere.test", transport) == ["203.0.113.8"]


def test_upstream_that_does_not_answer_harms_nobody_else(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    own = net.address("web", "net")

    def is_answered_before_them() -> bool:
        waiting = [
            subprocess.Popen(
                [*inside(net, "client"), "dig", "@127.0.0.11", "+tries=1", "+timeout=60", "dropped.test", transport],
                stdout=subprocess.PIPE,
                text=True,
            )
            for transport in ("+notcp", "+tcp")
        ]
        assert own in addresses(net, "client", "web")
        were_waiting = all(process.poll() is None for process in waiting)
        for process in waiting:
            assert status(process.communicate(timeout=PATIENCE_S)[0]) == "SERVFAIL"
        return were_waiting

    # Their servers are given four seconds: who waited for them would never be before them, however often.
    wait_until(is_answered_before_them, "an answer while the others wait")


def test_internal_network_asks_nobody(net: Host) -> None:
    net("network", "create", "--internal", "hidden")
    start(net, "in", network="hidden")
    assert status(dig(net, "in", "elsewhere.test")) == "NXDOMAIN"


def test_search_domains_and_options_are_the_containers(net: Host) -> None:
    start(net, "client", "--dns-search", "example.test", "--dns-search", "net", "--dns-option", "timeout:3")
    text = net("exec", "client", "cat", "/etc/resolv.conf").stdout
    assert text == "nameserver 127.0.0.11\nsearch example.test net\noptions timeout:3 ndots:0\n"
    start(net, "none", "--dns-search", ".")
    assert "search" not in net("exec", "none", "cat", "/etc/resolv.conf").stdout


def test_port_53_is_the_containers_own_and_restarts_keep_names(net: Host) -> None:
    start(net, "client")
    both = "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('', 53)); socket.create_server(('', 53))"
    python_inside(net, "client", "import socket; " + both)
    start(net, "web")
    net("restart", "-t", "0", "client")
    assert addresses(net, "client", "web") == [net.address("web", "net")]


def crowd(host: Host, count: int) -> None:
    """Endpoints of containers there are not: files as monitors write them."""
    (network,) = json.loads(host("network", "inspect", "net").stdout)
    directory = host.run_root / "networks" / network["Id"] / "endpoints"
    for number in range(count):
        container = f"{number:064x}"
        endpoint = {
            "version": 1,
            "container": container,
            "endpoint": container,
            "names": [f"c{number}", "crowd"],
            "ipv4": f"172.18.{4 + number // 250}.{number % 250}",
            "ipv6": None,
            "mac": "",
            "interface": "eth0",
            "ports": [],
        }
        (directory / ".draft").write_text(json.dumps(endpoint))
        (directory / ".draft").rename(directory / container)


def test_thousand_names_on_one_network_are_found_and_cut_to_what_fits(net: Host) -> None:
    start(net, "client")
    crowd(net, 1000)
    assert addresses(net, "client", "c999") == ["172.18.7.249"]
    plain = dig(net, "client", "crowd", "+noedns", "+ignore")
    assert "flags: qr tc rd ra" in plain
    assert "ANSWER: 30," in plain  # 512 bytes
    wide = dig(net, "client", "crowd", "+bufsize=1232", "+ignore")
    assert "flags: qr tc rd ra" in wide
    assert "EDNS: version: 0" in wide
    assert "ANSWER: 74," in wide
    assert len(addresses(net, "client", "crowd")) == 1000, "over TCP, as dig does by itself"
    assert status(dig(net, "client", "crowd", "+edns=1", "+noednsneg")) == "BADVERS"


NONSENSE = """
import os, socket, struct, sys
server = ("127.0.0.11", 53)
query = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3web\\0\\0\\1\\0\\1"
def ask(message, seconds=30):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(seconds)
    udp.sendto(message, server)
    try:
        return udp.recv(65535)
    except (TimeoutError, BlockingIOError):
        return b""
codes = [ask(message)[3] & 15 for message in (query[:-1], query[:2] + b"\\x10" + query[3:], query + bytes(60000), query[:5] + b"\\2" + query[6:])]
assert codes == [1, 4, 1, 1], codes
assert ask(query[:11], 0.2) == b"" and ask(query[:2] + b"\\x81" + query[3:], 0.2) == b"", "answers are not answered"
for length in (1, 12, 100, 1400):
    ask(os.urandom(length), 0)
def framed(message):
    return struct.pack(">H", len(message)) + message
streams = [socket.create_connection(server) for _ in range(8)]
for stream, bytes_ in zip(streams, (b"", b"\\0", b"\\xff\\xff" + bytes(5000), framed(query[:-1]), framed(b""), framed(query)[:-3], os.urandom(3000))):
    stream.sendall(bytes_)
streams[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
streams[0].close()
last = streams[-1]
last.sendall(framed(query) * 3)  # several at once, each answered
last.settimeout(30)
answers = b""
while len(answers) < 3 * (2 + len(query) + 16):
    answers += last.recv(4096)
assert answers.count(query[:2]) == 3
"""


def test_nonsense_is_answered_as_such_and_survived(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    python_inside(net, "client", NONSENSE)
    flood = "import socket; idle = [socket.create_connection(('127.0.0.11', 53)) for _ in range(60)]\n"
    python_inside(net, "client", flood + NONSENSE.partition("streams =")[0])
    assert addresses(net, "client", "web", "+tcp") == [net.address("web", "net")]


def monitor_of(host: Host, name: str) -> int:
    container = host("inspect", "-f", "{{.Id}}", name).stdout.strip()
    return int(json.loads((host.root / "containers" / container / "state.json").read_text())["monitor_pid"])


def switches(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


RATE = """
import select, socket, sys, time
count, rate = int(sys.argv[1]), int(sys.argv[2])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: this program's own share of the loss
udp.connect(("127.0.0.11", 53))
udp.setblocking(False)
sent, seen, began = 0, set(), time.monotonic()
while len(seen) < count and time.monotonic() - began < 120:
    # No more on their way than fit into the server's socket, however late this program gets the processor again.
    due = min(count, int((time.monotonic() - began) * rate), len(seen) + 100)
    for number in range(sent, due):
        udp.send(number.to_bytes(2, "big") + b"\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3web\\0\\0\\1\\0\\1")
    sent = max(sent, due)
    select.select([udp], [], [], 0.001)
    try:
        while True:
            answer = udp.recv(600)
            assert answer[7] == 1
            seen.add(answer[:2])
    except BlockingIOError:
        pass
print(count - len(seen), round(len(seen) / (time.monotonic() - began)))
"""


def test_ten_thousand_queries_a_second_without_loss_and_idle_after(net: Host) -> None:
    start(net, "client")
    start(net, "web")
    lost, rate = map(int, python_inside(net, "client", RATE, "20000", "10000").split())
    assert lost == 0, rate
    print(f"{rate} answers a second")
    pid = monitor_of(net, "client")
    wait_until(lambda: idle(pid), "the monitor is idle")
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        private_kib = next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))
    assert private_kib <= 1024
    assert len(threads(pid)) == 1


def idle(pid: int) -> bool:
    """Nothing wakes a monitor for two seconds."""
    before = switches(pid)
    time.sleep(2)
    return switches(pid) == before
