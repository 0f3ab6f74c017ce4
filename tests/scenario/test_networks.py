"""The tutorial's network chapters: bridge, ports, --link, none, container, host, --dns; and NAT with the host's MTU of 1400."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.conftest import needs_root
from tests.integration.network.conftest import HOST, OUTSIDE, clean, host, image_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.network.conftest import Host

__all__ = ["clean", "host", "image_root"]  # fixtures
pytestmark = needs_root


def bridge_of(host: Host) -> str:
    """The default bridge's link, which has a name of its own for every root."""
    return host.sh("ip -o link show type bridge").split(": ")[1]


def test_bridge_chapter_addresses_routes_and_pairs(clean: Host) -> None:
    clean("run", "-d", "--name", "test1", "busybox", "sleep", "1000")
    clean("run", "-d", "--name", "test2", "busybox", "sleep", "1000")
    own, other = clean.address("test1"), clean.address("test2")
    assert f"inet {own}/16" in clean("exec", "test1", "ip", "a").stdout
    routes = clean("exec", "test1", "route", "-n").stdout.splitlines()
    gateway = own.rpartition(".")[0] + ".1"
    assert routes[2].split() == ["0.0.0.0", gateway, "0.0.0.0", "UG", "0", "0", "0", "eth0"]
    for name in ("test1", "test2"):  # the tutorial's script: iflink inside is ifindex outside
        peer = clean("exec", name, "cat", "/sys/class/net/eth0/iflink").stdout.strip()
        veth = clean.sh(f"ip -o link | grep '^{peer}: veth'")
        assert f"master {bridge_of(clean)} " in veth
    assert "1 packets received" in clean("exec", "test1", "ping", "-c", "1", "-W", "30", other).stdout
    assert "1 packets received" in clean("exec", "test1", "ping", "-c", "1", "-W", "30", OUTSIDE).stdout
    assert clean("exec", "test1", "ping", "-c", "1", "-W", "30", "test2", code=None).returncode != 0, "no names here"


def test_link_chapter_names_aliases_and_environment(clean: Host) -> None:
    clean("run", "-d", "--name", "web1", "-e", "COLOUR=red", "--expose", "80", "busybox", "sleep", "1000")
    clean("run", "-d", "--name", "web2", "--link", "web1:alias", "busybox", "sleep", "1000")
    address = clean.address("web1")
    for name in ("web1", "alias"):
        assert f"({address})" in clean("exec", "web2", "ping", "-c", "1", "-W", "30", name).stdout
    lines = clean("exec", "web2", "cat", "/etc/hosts").stdout.splitlines()
    short = clean("inspect", "-f", "{{.Config.Hostname}}", "web1").stdout.strip()
    assert f"{address}\talias {short} web1" in lines
    environment = clean("exec", "web2", "cat", "/proc/1/environ").stdout.split("\0")
    for variable in (
        "ALIAS_NAME=/web2/alias",
        f"ALIAS_PORT=tcp://{address}:80",
        f"ALIAS_PORT_80_TCP_ADDR={address}",
        "ALIAS_ENV_COLOUR=red",
    ):
        assert variable in environment


def test_port_chapter_four_forms_and_curl_from_outside(clean: Host) -> None:
    forms = {"p1": ("-p", "80"), "p2": ("-p", "8080:80"), "p3": ("-p", f"{HOST}::80"), "p4": ("-p", f"{HOST}:8081:80")}
    for name, options in forms.items():
        clean.serve(name, *options)
        shown = clean("port", name, "80").stdout.split()[0]
        at, _, port = shown.rpartition(":")
        assert at == ("0.0.0.0" if name in ("p1", "p2") else HOST)
        assert clean.fetch(f"http://{HOST}:{port}/", outside=True) == f"{name}\n"
        assert f"{shown}->80/tcp" in clean("ps", "--filter", f"name={name}", "--format", "{{.Ports}}").stdout
    refused = clean("run", "--rm", "-p", "8080:80", "busybox", "true", code=125)
    assert "p2" in refused.stderr
    assert "8080" in refused.stderr


def test_none_container_and_host_chapters(clean: Host) -> None:
    links = clean("run", "--rm", "--network", "none", "busybox", "ip", "-o", "link").stdout
    assert [line.split(": ")[1] for line in links.splitlines()] == ["lo"]
    clean.serve("web1")
    clean("run", "-d", "--name", "web5", "--network", "container:web1", "busybox", "sleep", "1000")
    assert clean.inside("web5", "http://127.0.0.1/") == "web1\n"
    same = [clean("exec", name, "readlink", "/proc/self/ns/net").stdout for name in ("web1", "web5")]
    assert same[0] == same[1]
    seen = clean("run", "--rm", "--network", "host", "busybox", "ip", "-o", "addr").stdout
    assert f"inet {HOST}/24" in seen
    assert json.loads(clean("inspect", "web5").stdout)[0]["NetworkSettings"]["Networks"] == {}


def test_dns_chapter(clean: Host) -> None:
    text = clean("run", "--rm", "--dns", OUTSIDE, "busybox", "cat", "/etc/resolv.conf").stdout
    assert [line for line in text.splitlines() if line.startswith("nameserver")] == [f"nameserver {OUTSIDE}"]


SEND_50_MB = """
import socket
server = socket.create_server(("0.0.0.0", 8000))
print("ready", flush=True)
client, _ = server.accept()
client.recv(4096)
client.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 50000000\\r\\n\\r\\n" + bytes(50_000_000))
client.close()
"""


def test_download_of_50_mb_through_nat_with_an_mtu_of_1400(clean: Host) -> None:
    with clean.python(SEND_50_MB, outside=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        script = f"cat /sys/class/net/eth0/mtu; wget -qO- http://{OUTSIDE}:8000/ | wc -c"
        got = clean("run", "--rm", "busybox", "sh", "-c", script).stdout.split()
    assert got == ["1400", "50000000"]
    wait_until(lambda: "table inet pyctr" not in clean.sh("nft list ruleset"), "the table's end")
