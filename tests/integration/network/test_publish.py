"""Published ports: from outside, from the host, from 127.0.0.1 and ::1, from containers; really taken."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.network.conftest import HOST, HOST6, OUTSIDE
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from tests.integration.network.conftest import Host


def test_port_is_reached_from_everywhere(clean: Host) -> None:
    clean.serve("web1", "-p", "8080:80")
    clean.serve("web2")
    clean("network", "create", "other")
    clean.serve("web3", "--network", "other")
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web1\n"
    for address in ("127.0.0.1", "localhost", HOST, "[::1]", f"[{HOST6}]"):
        assert clean.fetch(f"http://{address}:8080/") == "web1\n", address
    assert clean.fetch(f"http://[{HOST6}]:8080/", outside=True) == "web1\n"
    for name in ("web1", "web2", "web3"):
        assert clean.inside(name, f"http://{HOST}:8080/") == "web1\n", f"{name}: hairpin and other networks"


def test_port_of_a_container_with_ipv6_is_translated(clean: Host) -> None:
    clean("network", "create", "--ipv6", "six")
    clean("run", "-d", "--name", "web1", "--network", "six", "-p", "8080:80", "busybox", "sh", "-c", "echo six > /tmp/index.html; exec httpd -f -p '[::]:80' -h /tmp")  # fmt: skip
    clean.wait_for_port("web1", 80)
    for address in (HOST, f"[{HOST6}]"):
        assert clean.fetch(f"http://{address}:8080/", outside=True) == "six\n"
    assert clean.fetch("http://[::1]:8080/") == "six\n"


#: The machine's own programs with the container's network.
HOST_PROGRAMS = ("-v", "/:/host:ro", "busybox", "chroot", "/host", sys.executable, "-c")
SAY_PEER = """
import socket
server = socket.create_server(("0.0.0.0", 80))
while True:
    connection, peer = server.accept()
    connection.sendall(peer[0].encode())
    connection.close()
"""
UDP_ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
while True:
    server.sendto(*server.recvfrom(100))
"""


def test_source_address_outside_is_seen_inside(clean: Host) -> None:
    clean("run", "-d", "--name", "see", "-p", "8080:80", *HOST_PROGRAMS, SAY_PEER)
    clean.wait_for_port("see", 80)
    assert clean.sh(f"busybox nc -w 30 {HOST} 8080 < /dev/null", outside=True) == OUTSIDE


def test_udp_datagrams_both_ways_also_to_loopback(clean: Host) -> None:
    clean("run", "-d", "--name", "echo", "-p", "5300:53/udp", *HOST_PROGRAMS, UDP_ECHO)
    wait_equal(lambda: clean.ask_udp(HOST, 5300, outside=True), "ping\n", "an answer")
    for address in ("127.0.0.1", "::1", HOST6):
        wait_equal(lambda address=address: clean.ask_udp(address, 5300), "ping\n", f"an answer of {address}")


def test_loopback_binding_is_the_hosts_only(clean: Host) -> None:
    clean.serve("web1", "-p", "127.0.0.1:8080:80")
    assert clean.fetch("http://127.0.0.1:8080/") == "web1\n"
    clean.sh(
        f"ip route replace 127.0.0.1/32 via {HOST} table 99; ip rule add to 127.0.0.1 lookup 99 priority 1",
        outside=True,
        code=None,
    )
    clean.fetch(f"http://{HOST}:8080/", outside=True, code=7)


def test_containers_do_not_reach_the_hosts_loopback(clean: Host) -> None:
    """CVE-2020-8558: route_localnet must not open 127.0.0.0/8 to containers."""
    server = subprocess.Popen([*clean.enter(), "busybox", "httpd", "-f", "-p", "127.0.0.1:9000", "-h", "/"])
    try:
        wait_until(lambda: ":9000" in clean.sh("ss -ltn"), "the server listens")
        script = (
            "ip route add 127.0.0.9/32 via 172.17.0.1 dev eth0; ip addr del 127.0.0.1/8 dev lo; "
            "ip route add 127.0.0.0/8 via 172.17.0.1 dev eth0; echo | nc -w 1 127.0.0.1 9000"
        )
        done = clean(
            "run",
            "--rm",
            "--privileged",
            "busybox",
            "sh",
            "-c",
            f"echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; {script}",
            code=None,
        )
        assert done.returncode
    finally:
        server.kill()
        server.wait()


def test_port_forms_are_shown_as_docker_shows_them(clean: Host) -> None:
    clean.serve("web1", "-p", "8081-8083:80", "-p", "127.0.0.1::81", "-p", "82/udp", "-P", "--expose", "90")
    shown = clean("port", "web1").stdout
    assert "80/tcp -> 0.0.0.0:8081\n80/tcp -> [::]:8081\n" in shown
    assert re.search(r"^81/tcp -> 127\.0\.0\.1:\d+$", shown, re.M)
    assert re.search(r"^82/udp -> 0\.0\.0\.0:\d+\n82/udp -> \[::\]:\d+$", shown, re.M)
    assert re.search(r"^90/tcp -> 0\.0\.0\.0:\d+$", shown, re.M)
    assert clean("port", "web1", "80").stdout == "0.0.0.0:8081\n[::]:8081\n"
    assert "no public port '99' published for web1" in clean("port", "web1", "99", code=1).stderr
    assert "0.0.0.0:8081->80/tcp, [::]:8081->80/tcp" in clean("ps").stdout
    clean.serve("web2", "-p", "8081-8083:80")
    assert clean("port", "web2", "80").stdout.startswith("0.0.0.0:8082\n")
    clean("stop", "-t", "0", "web1")
    assert clean("port", "web1").stdout == ""


def test_port_in_use_is_refused_naming_who_has_it(clean: Host) -> None:
    clean.serve("web1", "-p", "8080:80")
    for options in (["-p", "8080:80"], ["-p", "127.0.0.1:8080:80"]):
        done = clean("run", "--rm", *options, "busybox", "true", code=125)
        assert "port is already allocated by container web1" in done.stderr
    server = subprocess.Popen([*clean.enter(), "busybox", "nc", "-l", "-p", "9000"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: ":9000" in clean.sh("ss -ltn"), "the server listens")
        done = clean("run", "--rm", "-p", "9000:80", "busybox", "true", code=125)
        assert f"bind 0.0.0.0:9000/tcp: port is already allocated by busybox (process {server.pid})" in done.stderr
    finally:
        server.kill()
        server.communicate()


def test_port_is_really_taken_and_free_when_the_command_returns(clean: Host) -> None:
    clean.serve("web1", "-p", "8080:80", "-p", "8080:80/udp")
    for kind in ("STREAM", "DGRAM"):
        code = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_{kind}).bind(('0.0.0.0', 8080))"
        with clean.python(code) as taker:
            assert taker.wait() != 0
    clean("rm", "-f", "web1")
    for _ in range(5):
        clean("run", "--rm", "-p", "8080:80", "busybox", "true")


def test_race_for_one_port_one_wins(clean: Host) -> None:
    def start(number: int) -> int:
        return clean(
            "run", "-d", "--name", f"race{number}", "-p", "8080:80", "busybox", "sleep", "1000", code=None
        ).returncode

    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(start, range(6)))
    assert sorted(codes) == [0] + [125] * 5


def test_flushed_table_ports_go_on_by_the_monitor_and_check_repairs(clean: Host) -> None:
    clean.serve("web1", "-p", "8080:80")
    before = clean.sh("nft list ruleset")
    clean.sh("nft flush ruleset")
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web1\n"
    code = "from pyctr.engine import Engine; Engine().networks.repair()"
    subprocess.run(
        [*clean.enter(), *clean.command("x")[len(clean.enter()) :][:1], "-c", code], env=clean.env, check=True
    )
    assert clean.sh("nft list ruleset") == before
    clean.sh("nft flush ruleset")
    clean.serve("web2", "-p", "8082:80")  # the next start finds it missing
    assert "tcp . 8080" in clean.sh("nft list ruleset")
    assert clean.fetch(f"http://{HOST}:8082/", outside=True) == "web2\n"


def test_large_transfer_both_by_rules_and_by_the_monitor(clean: Host) -> None:
    clean(
        "run",
        "-d",
        "--name",
        "big",
        "-p",
        "8080:80",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/zero of=/tmp/big bs=1M count=50 2>/dev/null; exec httpd -f -h /tmp",
    )
    first = f"curl -s -m 30 -o /dev/null -r 0-0 -w '%{{http_code}}' http://{HOST}:8080/big"
    wait_until(lambda: clean.sh(first, code=None) in ("200", "206"), "the file is served")
    for address, outside in ((HOST, True), ("[::1]", False)):
        got = clean.sh(f"curl -sS -g -m 150 http://{address}:8080/big | wc -c", outside=outside)
        assert int(got) == 50 << 20


def test_links_names_and_environment(clean: Host) -> None:
    clean.serve("web1", "--expose", "80", "-e", "COLOR=red")
    script = "ping -c 1 -W 30 w >/dev/null && env && cat /etc/hosts"
    shown = clean("run", "--rm", "--name", "client", "--link", "web1:w", "busybox", "sh", "-c", script).stdout
    address = clean.address("web1")
    for line in (
        "W_NAME=/client/w", f"W_PORT=tcp://{address}:80", f"W_PORT_80_TCP_ADDR={address}", "W_PORT_80_TCP_PORT=80",
        "W_PORT_80_TCP_PROTO=tcp", "W_ENV_COLOR=red",
    ):  # fmt: skip
        assert line in shown.splitlines()
    assert re.search(rf"^{address}\tw [0-9a-f]{{12}} web1$", shown, re.M)
    clean("stop", "-t", "0", "web1")
    done = clean("run", "--name", "late", "--link", "web1", "busybox", "true", code=125)
    assert "Cannot link to a non running container: /web1 AS /late/web1" in done.stderr


def test_host_gateway_is_the_host(clean: Host) -> None:
    server = subprocess.Popen([*clean.enter(), "busybox", "httpd", "-f", "-p", "9000", "-h", "/etc"])
    try:
        wait_until(lambda: ":9000" in clean.sh("ss -ltn"), "the server listens")
        shown = clean(
            "run",
            "--rm",
            "--add-host",
            "me:host-gateway",
            "busybox",
            "sh",
            "-c",
            "wget -qO- http://me:9000/hostname; cat /etc/hosts",
        ).stdout
        assert shown.startswith(f"{socket.gethostname()}\n")
        assert "172.17.0.1\tme" in shown or "172.18.0.1\tme" in shown
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("mode", ["none", "host"])
def test_modes_without_endpoint(clean: Host, mode: str) -> None:
    done = clean("run", "--rm", "--network", mode, "-p", "8080:80", "busybox", "ip", "-o", "link")
    assert ("eth0" in done.stdout) == (mode == "host")


def test_container_mode_shares_address_and_ports(clean: Host) -> None:
    clean.serve("web1", "-p", "8080:80")
    shown = clean(
        "run", "--rm", "--network", "container:web1", "busybox", "sh", "-c", "wget -qO- 127.0.0.1; ip -4 addr show eth0"
    ).stdout
    assert shown.startswith("web1\n")
    assert clean.address("web1") in shown
