"""`system check`: what somebody took away from outside is found and made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import needs_root
from tests.integration.network.conftest import HOST, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.network.conftest import Host

pytestmark = needs_root


def test_check_finds_and_mends_flushed_rules(clean: Host) -> None:
    clean.serve("web", "-p", "8080:80")
    table = clean.sh("nft list tables | grep pyctr").split()[-1]
    assert clean("system", "check").stdout == ""
    whole = clean.sh(f"nft list table inet {table}")
    for damage in (f"flush table inet {table}", f"delete table inet {table}", f"flush map inet {table} ports4"):
        clean.sh(f"nft {damage}")
        assert f"packet rules (table inet {table})" in clean("system", "check", code=1).stdout, damage
        assert "(mended)" in clean("system", "check", "--mend").stdout
        assert clean.sh(f"nft list table inet {table}") == whole
        assert clean("system", "check").stdout == ""
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web\n"


def test_check_names_a_network_whose_link_is_gone(clean: Host) -> None:
    clean("network", "create", "-o", "com.docker.network.bridge.name=gone0", "net")
    clean.sh("ip link del gone0")
    assert "network net: link gone0 was removed" in clean("system", "check", code=1).stdout
    clean("run", "--rm", "--network", "net", "busybox", "true")
    assert clean("system", "check").stdout == ""


@pytest.fixture
def forwards_nothing(host: Host) -> Iterator[Host]:
    """A host that forwards nothing until somebody switches it on. (Which changes `accept_redirects` too, by the kernel.)"""
    host.clear()
    host.sh("sysctl -q -w net.ipv4.ip_forward=0")
    yield host
    host.clear()


def test_check_finds_forwarding_switched_off_and_switches_it_on(forwards_nothing: Host) -> None:
    clean = forwards_nothing
    clean("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    clean.sh("sysctl -q -w net.ipv4.ip_forward=0")
    reach = ("exec", "box", "ping", "-c", "1", "-W")
    assert clean(*reach, "1", OUTSIDE, code=None).returncode != 0
    assert "forwarding: net.ipv4.ip_forward is off" in clean("system", "check", code=1).stdout
    assert "(mended)" in clean("system", "check", "--mend").stdout
    assert clean(*reach, "30", OUTSIDE).returncode == 0
    assert clean("system", "check").stdout == ""


def test_start_switches_forwarding_on(forwards_nothing: Host) -> None:
    assert forwards_nothing("run", "--rm", "busybox", "ping", "-c", "1", "-W", "30", OUTSIDE).returncode == 0
