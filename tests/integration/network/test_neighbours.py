"""Beside others: real servers inside, docker and podman on the same host, a firewall that drops."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool
from tests.integration.network.conftest import HOST, OUTSIDE, eventually
from tests.peers import PODMAN_LIMITS, podman_with, running_dockerd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.network.conftest import Host


def busybox_archive(directory: Path) -> bytes:
    """A root file system with busybox, as a tar."""
    (directory / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", directory / "bin/busybox")
    (directory / "bin/sh").symlink_to("busybox")
    return subprocess.run(["tar", "-C", str(directory), "-c", "."], capture_output=True, check=True).stdout


def test_docker_beside_both_publish_and_nothing_of_its_is_touched(host: Host, tmp_path: Path) -> None:
    host.clear()
    with running_dockerd(network=True, within=tuple(host.enter())) as docker:
        docker("import", "-", "busybox", input=busybox_archive(tmp_path))
        serve = "/bin/busybox mkdir /www; echo docker > /www/index.html; exec /bin/busybox httpd -f -h /www"
        docker("run", "-d", "--name", "theirs", "-p", "9090:80", "busybox", "/bin/sh", "-c", serve)
        theirs = f"curl -s -m 2 http://{HOST}:9090/"
        assert eventually(lambda: host.sh(theirs, outside=True, code=None)) == "docker\n"

        def rules() -> str:  # counters go on counting
            return re.sub(r"counter packets \d+ bytes \d+", "", host.sh("nft list ruleset"))

        before = rules()
        host.serve("ours", "-p", "8080:80")
        assert not host.address("ours").startswith("172.17.")
        assert host.fetch(f"http://{HOST}:8080/", outside=True) == "ours\n"
        assert host.sh(theirs, outside=True) == "docker\n"
        assert host("exec", "ours", "ping", "-c", "1", "-W", "2", OUTSIDE).returncode == 0
        done = host("run", "--rm", "-p", "9090:80", "busybox", "true", code=125)
        assert "port is already allocated by docker-proxy" in done.stderr
        host("rm", "-f", "ours")
        assert eventually(lambda: rules() == before)
        assert host.sh(theirs, outside=True) == "docker\n"
    host.sh("nft flush ruleset; ip link del docker0")


def test_firewall_that_drops_forwarding_needs_the_documented_rules(clean: Host) -> None:
    need_tool("iptables")
    clean.sh("iptables -P FORWARD DROP")
    try:
        clean.serve("web1", "-p", "8080:80")
        clean.fetch(f"http://{HOST}:8080/", outside=True, code=28)
        bridge = clean.sh("ip -o link show type bridge | cut -d: -f2").strip()
        clean.sh(f"iptables -I FORWARD -i {bridge} -j ACCEPT; iptables -I FORWARD -o {bridge} -j ACCEPT")
        assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web1\n"
        assert clean("exec", "web1", "ping", "-c", "1", "-W", "2", OUTSIDE).returncode == 0
        clean.sh(f"iptables -D FORWARD -i {bridge} -j ACCEPT; iptables -D FORWARD -o {bridge} -j ACCEPT")
    finally:
        clean.sh("iptables -P FORWARD ACCEPT")
        clean.sh("nft delete table ip filter 2>/dev/null || true")


NGINX = (
    "daemon off; pid /tmp/pid; error_log stderr; events {} "
    "http { access_log off; client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; "
    "uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5; server { listen 80; location / { return 200 nginx; } } }"
)


@pytest.mark.parametrize(
    ("program", "arguments", "ask", "words"),
    [
        ("nginx", "-e stderr -c /tmp/conf", "GET / HTTP/1.0\\r\\n\\r\\n", "200 OK"),
        ("redis-server", "--port 80 --protected-mode no --save ''", "PING\\r\\nQUIT\\r\\n", "PONG"),
    ],
)
def test_real_server_through_a_published_port(clean: Host, program: str, arguments: str, ask: str, words: str) -> None:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.skip(f"needs {program}")
    script = f"cd /tmp && echo '{NGINX}' > conf && exec {path} {arguments}"
    clean(
        "run", "-d", "--name", "server", "-p", "8080:80", "-v", "/:/host:ro", "--tmpfs", "/host/tmp",
        "--tmpfs", "/host/var/lib", "busybox", "chroot", "/host", "sh", "-c", script,
    )  # fmt: skip
    clean.wait_for_port("server", 80)
    assert words in clean.sh(f"printf '{ask}' | busybox nc -w 3 {HOST} 8080", outside=True)


def test_macvlan_is_a_neighbour_of_those_outside(clean: Host) -> None:
    clean(
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=eth0",
        "--subnet",
        "198.51.100.0/24",
        "--gateway",
        OUTSIDE,
        "lan",
    )
    done = clean(
        "run",
        "--rm",
        "--network",
        "lan",
        "--ip",
        "198.51.100.77",
        "busybox",
        "ping",
        "-c",
        "1",
        "-W",
        "2",
        OUTSIDE,
        code=None,
    )
    if "no macvlan links" in done.stderr:
        pytest.skip("needs macvlan")
    assert "1 packets received" in done.stdout
    assert done.returncode == 0


def test_ipvlan_works_or_is_refused_by_name(clean: Host) -> None:
    clean(
        "network",
        "create",
        "-d",
        "ipvlan",
        "-o",
        "parent=eth0",
        "--subnet",
        "198.51.100.0/24",
        "--gateway",
        OUTSIDE,
        "lan",
    )
    done = clean(
        "run",
        "--rm",
        "--network",
        "lan",
        "--ip",
        "198.51.100.78",
        "busybox",
        "ping",
        "-c",
        "1",
        "-W",
        "2",
        OUTSIDE,
        code=None,
    )
    assert "1 packets received" in done.stdout or "this kernel has no ipvlan links" in done.stderr


def test_podman_beside_keeps_its_network(host: Host, tmp_path: Path) -> None:
    host.clear()
    host.serve("ours", "-p", "8080:80")
    busybox_archive(tmp_path / "rootfs")
    with podman_with("--cgroup-manager", "cgroupfs") as podman:
        podman.command[:0] = host.enter()
        run = ["run", "-d", *PODMAN_LIMITS, "-p", "9091:80", "--rootfs", str(tmp_path / "rootfs"), "/bin/busybox"]
        done = podman.run(*run, "httpd", "-f", "-h", "/bin")
        if done.returncode:
            host.clear()
            pytest.skip(f"podman does not start here: {done.stderr.decode().strip()[-200:]}")
        theirs = f"curl -s -m 2 -o /dev/null -w '%{{http_code}}' http://{HOST}:9091/busybox"
        assert eventually(lambda: host.sh(theirs, outside=True, code=None)) == "200"
        assert host.fetch(f"http://{HOST}:8080/", outside=True) == "ours\n"
        host("rm", "-f", "ours")
        assert host.sh(theirs, outside=True) == "200"
    host.sh("for link in podman0 cni-podman0; do ip link del $link 2>/dev/null; done; nft flush ruleset")
