"""A host of one's own: a network namespace with a neighbour outside, so that traffic really comes over a link."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import transcript
from tests.conftest import Cli, need_tool
from tests.waiting import PATIENCE_S, wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST, OUTSIDE = "198.51.100.1", "198.51.100.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"

ASK_UDP = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
asker = socket.socket(family, socket.SOCK_DGRAM)
asker.settimeout(1)
asker.connect((sys.argv[1], int(sys.argv[2])))
asker.send(b"ping")
try:
    print(asker.recv(100).decode())
except OSError:
    pass
"""
#: Says who connected.
PEER_SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 8000))
print("listening", flush=True)
print(server.accept()[1][0], flush=True)
"""


def ip(*args: str, code: int | None = 0) -> str:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if code is not None:
        assert done.returncode == code, f"{args}: {done.stderr}"
    return done.stdout


class Host(Cli):
    """`pyctr` in a network namespace of its own. Entered by nsenter: /sys stays the machine's, control groups with it."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root)
        self.name, self.outside = name, name + "o"

    def command(self, *args: str) -> list[str]:
        return [*self.enter(), *super().command(*args)]

    def enter(self, *, outside: bool = False) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.outside if outside else self.name}"]

    def sh(self, script: str, *, outside: bool = False, code: int | None = 0, timeout: float = 180) -> str:
        """A shell command on the host, or outside."""
        done = subprocess.run(
            [*self.enter(outside=outside), "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        said = transcript.note_done([script], done)
        assert code in (None, done.returncode), f"{said}  expected {code}"
        return done.stdout

    def fetch(self, url: str, *, outside: bool = False, code: int | None = 0) -> str:
        """What curl gets; 28: nothing within two seconds, which where there is an answer would never be enough for it."""
        return self.sh(f"curl -sS -m {2 if code == 28 else 60} -g '{url}'", outside=outside, code=code)

    def python(self, code: str, *args: str, outside: bool = False) -> subprocess.Popen[str]:
        """A Python program on the host, or outside."""
        words = [*self.enter(outside=outside), sys.executable, "-c", code, *args]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def ask_udp(self, address: str, port: int, *, outside: bool = False) -> str:
        """What answers to a datagram, or nothing."""
        with self.python(ASK_UDP, address, str(port), outside=outside) as asker:
            assert asker.stdout is not None
            return asker.stdout.read()

    def inside(self, name: str, url: str) -> str:
        """What a container gets from a URL."""
        return self("exec", name, "timeout", str(int(PATIENCE_S)), "wget", "-qO-", url).stdout

    def is_cut_off(self, name: str, url: str) -> bool:
        """Whether a container gets nothing from a URL in two seconds."""
        return self("exec", name, "timeout", "2", "wget", "-qO-", url, code=None).returncode != 0

    def state(self) -> dict[str, str]:
        """What pyctr could leave behind in the namespace."""
        return {
            "links": self.sh("ip -o link | sed 's/@.*//; s/:.*state/ /; s/^[0-9]*//' | cut -d' ' -f2 | sort"),
            "routes": self.sh("ip route; ip -6 route"),
            "rules": self.sh("nft list ruleset"),
            "sysctls": self.sh(
                "sysctl -a 2>/dev/null | grep -E '^net.ipv[46]|^net.netfilter.*liberal' | grep -v -e forward -e mtu_expires -e dst_entries"
            ),
        }

    def serve(self, name: str, *options: str, text: str | None = None) -> str:
        """A container with a web server that says its name, and listens; the id."""
        script = f"echo {text or name} > /tmp/index.html; exec httpd -f -h /tmp"
        container = self("run", "-d", "--name", name, *options, "busybox", "sh", "-c", script).stdout.strip()
        self.wait_for_port(name, 80)
        return container

    def wait_for_port(self, name: str, port: int) -> None:
        """Until something listens in a container."""
        look = ("exec", name, "sh", "-c", f"netstat -ltn | grep -q ':{port} '")
        wait_until(lambda: self(*look, code=None).returncode == 0, f"{name} listens to {port}")

    def address(self, name: str, network: str = "bridge", field: str = "IPAddress") -> str:
        networks = json.loads(self("inspect", name).stdout)[0]["NetworkSettings"]["Networks"]
        return str(networks[network][field])

    def pid(self, name: str) -> int:
        """A container's first process."""
        return int(self("inspect", "-f", "{{.State.Pid}}", name).stdout)

    def clear(self) -> None:
        ids = self("ps", "-aq").stdout.split()
        if ids:
            self("rm", "-f", "-v", *ids)
        self("network", "prune", "-f")


@contextmanager
def namespaces(name: str) -> Iterator[None]:
    ip("netns", "add", name)
    ip("netns", "add", name + "o")
    try:
        ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", "eth0", "netns", name + "o")
        for space, address, address6, peer, peer6 in (
            (name, HOST, HOST6, OUTSIDE, OUTSIDE6),
            (name + "o", OUTSIDE, OUTSIDE6, HOST, HOST6),
        ):
            for words in (
                ["link", "set", "lo", "up"],
                ["link", "set", "eth0", "mtu", "1400", "up"],
                ["addr", "add", address + "/24", "dev", "eth0"],
                ["addr", "add", address6 + "/64", "dev", "eth0", "nodad"],
            ):
                ip("-n", space, *words)
            if space == name:
                ip("-n", space, "route", "add", "default", "via", peer)
                ip("-n", space, "-6", "route", "add", "default", "via", peer6)
        yield
    finally:
        ip("netns", "del", name, code=None)
        ip("netns", "del", name + "o", code=None)


@pytest.fixture(scope="session")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a busybox image, to be copied."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for tool in ("ip", "nsenter", "nft", "curl"):
        need_tool(tool)
    cli = Cli(tmp_path_factory.mktemp("image"))
    made = cli("image", "bootstrap", "busybox", code=None)
    if made.returncode != 0:
        pytest.skip(f"needs busybox-static: {made.stderr.strip()}")
    return cli.root


@pytest.fixture(scope="module")
def host(image_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory = tmp_path_factory.mktemp("host")
    host = Host(directory, f"pyctr{os.getpid()}")
    shutil.copytree(image_root, host.root)
    with namespaces(host.name):
        yield host
        host.clear()
    mounts = Path("/proc/mounts").read_text
    wait_equal(lambda: [line for line in mounts().splitlines() if f" {directory}/" in line], [], "no mount is left")


@pytest.fixture
def clean(host: Host) -> Iterator[Host]:
    """The host, without containers before and after, and as it was."""
    host.clear()
    wait_until(lambda: "table inet pyctr" not in host.sh("nft list ruleset"), "the table's end")
    before = host.state()
    yield host
    host.clear()
    wait_equal(host.state, before, "the host is as it was")
