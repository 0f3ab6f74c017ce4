"""Datagrams of a client that never pauses: they go where the rules lead now, not where they led when it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import needs_root
from tests.integration.network.conftest import HOST, OUTSIDE, Host
from tests.integration.network.test_publish import HOST_PROGRAMS
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    import subprocess

pytestmark = needs_root
PORT, VIP = 5300, "10.85.0.250"

#: Says its name and who asks.
NAMED = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
while True:
    _, peer = server.recvfrom(100)
    server.sendto(f"{sys.argv[1]} {peer[0]}".encode(), peer)
"""
#: Asks without end, from one port; says every answer that is another than the one before.
ASK = """
import socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect((sys.argv[1], int(sys.argv[2])))
asker.settimeout(0.1)
said, end = "", time.monotonic() + 1000
while time.monotonic() < end:
    try:
        asker.send(b"who")
        text = asker.recv(100).decode()
    except OSError:
        time.sleep(0.02)
        continue
    if text != said:
        said = text
        print(text, flush=True)
"""


def until(asker: subprocess.Popen[str], text: str) -> list[str]:
    """What was said until this was; all of it if it never was."""
    assert asker.stdout is not None
    said: list[str] = []
    while text not in said and (line := asker.stdout.readline()):
        said.append(line.strip())
    return said


def start(host: Host, name: str, address: str, *options: str, **more: Any) -> None:
    network = more.get("network", f"name=net,ip={address}")
    host("run", "-d", "--name", name, "--network", network, *options, *HOST_PROGRAMS, NAMED, name)


def test_a_published_port_that_moves_takes_those_along_who_never_pause(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.85.0.0/24", "net")
    with clean.python(ASK, HOST, str(PORT), outside=True) as asker:
        try:
            for name, address in (("one", "10.85.0.10"), ("two", "10.85.0.20")):
                start(clean, name, address, "-p", f"{PORT}:53/udp")
                assert until(asker, f"{name} {OUTSIDE}")[-1] == f"{name} {OUTSIDE}"
                clean("rm", "-f", name)
        finally:
            asker.kill()


def test_a_virtual_address_leads_nobody_to_a_member_that_is_gone(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.85.0.0/24", "--aux-address", f"who={VIP}", "net")
    joined = f"name=net,alias=who,driver-opt=pyctr.endpoint.vip={VIP}"
    for name in ("one", "two"):
        start(clean, name, "", network=joined)
    clean("run", "-d", "--name", "client", "--network", "net", *HOST_PROGRAMS, ASK, VIP, "53")
    said = wait_until(lambda: clean("logs", "client").stdout.split(), "an answer")
    first, other = ("one", "two") if said[-2] == "one" else ("two", "one")
    clean("rm", "-f", first)
    wait_equal(lambda: clean("logs", "client").stdout.split()[-2:-1], [other], "the other answers")
