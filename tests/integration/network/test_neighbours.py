"""Beside others: real servers inside, docker and podman on the same host, a firewall that drops."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool
from tests.integration.network.conftest import HOST, OUTSIDE
from tests.peers import PODMAN_LIMITS, podman_with, running_dockerd
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.network.conftest import Host


def busybox_archive(directory: Path) -> bytes:
    """A root file system with busybox, as a tar."""
    (directory / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", directory / "bin/busybox")
    (directory / "bin/sh").symlink_to("busybox")
    return subprocess.run(["tar", "-C", str(directory), "-c", "."], capture_output=True, check=True).stdout


def state_without_counters(host: Host) -> dict[str, str]:
    """What is on the host but for counters, which go on counting."""
    state = host.state()
    return state | {"rules": re.sub(r"counter packets \d+ bytes \d+", "", state["rules"])}


@contextmanager
def podman_beside(host: Host, rootfs: Path) -> Iterator[None]:
    """A container of podman that serves on port 9091."""
    # crun refuses hosts whose control groups are v1 and v2 at once.
    with podman_with("--cgroup-manager", "cgroupfs", "--runtime", need_tool("runc")) as podman:
        podman.command[:0] = host.enter()
        serve = ["/bin/busybox", "httpd", "-f", "-h", "/bin"]
        done = podman.run("run", "-d", *PODMAN_LIMITS, "-p", "9091:80", "--rootfs", str(rootfs), *serve)
        if done.returncode:
            pytest.skip(f"podman does not start here: {done.stderr.decode().strip()[-200:]}")
        yield


def test_docker_and_podman_beside_all_work_and_nothing_of_theirs_is_touched(host: Host, tmp_path: Path) -> None:
    host.clear()
    archive = busybox_archive(tmp_path / "root")
    try:
        with (
            running_dockerd(network=True, within=tuple(host.enter())) as docker,
            podman_beside(host, tmp_path / "root"),
        ):
            docker("import", "-", "busybox", input=archive)
            serve = "/bin/busybox mkdir /www; echo docker > /www/busybox; exec /bin/busybox httpd -f -h /www"
            docker("run", "-d", "--name", "theirs", "-p", "9090:80", "busybox", "/bin/sh", "-c", serve)

            def serves(port: int) -> bool:
                code = "curl -s -m 30 -o /dev/null -w '%{http_code}' "
                return host.sh(f"{code} http://{HOST}:{port}/busybox", outside=True, code=None) == "200"

            for port in (9090, 9091):
                wait_until(lambda port=port: serves(port), f"an answer on port {port}")
            before = state_without_counters(host)
            host("network", "create", "net")
            host.serve("ours", "-p", "8080:80")
            host.serve("more", "-p", "8081:80", "--network", "net")
            assert not host.address("ours").startswith(("172.17.", "10.88."))
            for name, port in (("ours", 8080), ("more", 8081)):
                assert host.fetch(f"http://{HOST}:{port}/", outside=True) == f"{name}\n"
                assert host("exec", name, "ping", "-c", "1", "-W", "30", OUTSIDE).returncode == 0
            assert serves(9090)
            assert serves(9091)
            done = host("run", "--rm", "-p", "9090:80", "busybox", "true", code=125)
            assert "port is already allocated by docker-proxy" in done.stderr
            host("rm", "-f", "ours", "more")
            host("network", "rm", "net")
            wait_equal(lambda: state_without_counters(host), before, "the host is as it was")
            assert serves(9090)
            assert serves(9091)
    finally:
        host.sh("for link in docker0 podman0 cni-podman0; do ip link del $link 2>/dev/null; done; nft flush ruleset")


def test_firewall_that_drops_forwarding_needs_the_documented_rules(clean: Host) -> None:
    need_tool("iptables")
    clean.sh("iptables -P FORWARD DROP")
    try:
        clean.serve("web1", "-p", "8080:80")
        clean.fetch(f"http://{HOST}:8080/", outside=True, code=28)
        told = clean("system", "check", code=1).stdout
        assert told.startswith("forwarding: chain FORWARD of table ip filter drops packets of ")
        bridge = clean.sh("ip -o link show type bridge | cut -d: -f2").strip()
        allow = f"iptables -I FORWARD -i {bridge} -j ACCEPT; iptables -I FORWARD -o {bridge} -j ACCEPT"
        assert told.endswith(f"(policy drop): {allow}\n")
        clean.sh(allow)
        assert clean("system", "check").stdout == ""
        assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web1\n"
        assert clean("exec", "web1", "ping", "-c", "1", "-W", "30", OUTSIDE).returncode == 0
        clean.sh(f"iptables -D FORWARD -i {bridge} -j ACCEPT; iptables -D FORWARD -o {bridge} -j ACCEPT")
    finally:
        clean.sh("iptables -P FORWARD ACCEPT")
        clean.sh("nft delete table ip filter 2>/dev/null || true")


NGINX = "daemon off; events {} http { access_log off; server { listen 80; location / { return 200 nginx; } } }"


@pytest.mark.slow
def test_real_servers_of_debian_through_published_ports(clean: Host) -> None:
    packages = "nginx-light,redis-server"
    # On the machine itself: there is no way to Debian from the test's own host.
    bootstrap = ("image", "bootstrap", "debian", "--include", packages, "--name", "servers")
    made = Cli(clean.root.parent)(*bootstrap, code=None, timeout=600)
    if made.returncode:
        pytest.skip(f"needs Debian's packages: {made.stderr.strip()[-300:]}")
    clean("network", "create", "net")
    nginx = f"echo '{NGINX}' > /tmp/conf && exec nginx -c /tmp/conf"
    clean("run", "-d", "--name", "web", "--network", "net", "-p", "8080:80", "servers", "sh", "-c", nginx)
    redis = ("redis-server", "--protected-mode", "no")
    clean("run", "-d", "--name", "store", "--network", "net", "-p", f"{HOST}:6379:6379", "servers", *redis)
    wait_equal(
        lambda: clean.sh(f"curl -s -m 30 http://{HOST}:8080/", outside=True, code=None), "nginx", "nginx answers"
    )
    ping, count = (
        f"printf '{word}\\r\\nQUIT\\r\\n' | busybox nc -w 30 {HOST} 6379" for word in ("PING", "INCR visits")
    )
    wait_until(lambda: "+PONG" in clean.sh(ping, outside=True, code=None), "redis answers")
    assert clean.sh(count, outside=True).splitlines() == [":1", "+OK"]
    assert clean("exec", "web", "redis-cli", "-h", "store", "incr", "visits").stdout == "2\n"
    clean("image", "rm", "-f", "servers")


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
        "30",
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
        "30",
        OUTSIDE,
        code=None,
    )
    assert "1 packets received" in done.stdout or "this kernel has no ipvlan links" in done.stderr
