"""Virtual addresses: one address that leads to each of several containers in turn, as long as it is there for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import needs_root
from tests.integration.network.test_names import addresses
from tests.waiting import wait_equal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.network.conftest import Host

pytestmark = needs_root

VIP, VIP6 = "10.83.0.250", "fd83::fa"


@pytest.fixture
def shop(clean: Host) -> Iterator[Host]:
    """A network that keeps an address of either kind, and a container that asks."""
    subnets = ("--subnet", "10.83.0.0/24", "--ipv6", "--subnet", "fd83::/64")
    clean("network", "create", *subnets, "--aux-address", f"web={VIP}", "--aux-address", f"web6={VIP6}", "shop")
    clean("run", "-d", "--name", "client", "--network", "shop", "busybox", "sleep", "1000")
    return clean


def joining(*, alias: str = "web", vip: str = VIP, vip6: str = "") -> str:
    options = f",driver-opt=pyctr.endpoint.vip={vip}" + (f",driver-opt=pyctr.endpoint.vip6={vip6}" if vip6 else "")
    return f"name=shop,alias={alias}{options}"


def serve(host: Host, name: str, *options: str) -> str:
    return host.serve(name, "--network", joining(vip6=VIP6), *options)


def asked(host: Host, times: int, url: str = "http://web/", client: str = "client") -> list[str]:
    """Who answers, one time after the other."""
    return [host.inside(client, url).strip() for _ in range(times)]


def table(host: Host) -> str:
    return host.sh("nft list tables").partition("table inet ")[2].split()[0]


def answers_for(host: Host) -> list[str]:
    """The virtual addresses the host has on a bridge."""
    listed = host.sh("ip -o addr show type bridge")
    return [address for address in (f"{VIP}/32", f"{VIP6}/128") if address in listed]


def test_members_take_turns_behind_one_name_and_one_address(shop: Host) -> None:
    web = serve(shop, "one")
    serve(shop, "two")
    assert addresses(shop, "client", "web") == [VIP]
    assert addresses(shop, "client", "web", "aaaa") == [VIP6]
    assert addresses(shop, "client", "-x", VIP) == ["web.shop."]
    own = [shop.address(name, "shop") for name in ("one", "two")]
    assert sorted(addresses(shop, "client", "tasks.web")) == own
    assert addresses(shop, "client", "one") == own[:1]
    four = asked(shop, 4)
    assert sorted(set(four)) == ["one", "two"]
    assert four[:2] == four[2:], "in turn"
    assert set(asked(shop, 2, f"http://[{VIP6}]/")) == {"one", "two"}
    assert set(asked(shop, 2, client="one")) == {"one", "two"}, "a member is a client too, of itself as well"
    for address in (VIP, VIP6):
        assert " 0% packet loss" in shop("exec", "client", "ping", "-c1", "-W30", address).stdout
    names = shop("inspect", "-f", '{{join .NetworkSettings.Networks.shop.DNSNames " "}}', "one").stdout.split()
    assert names == ["web", "one", web[:12], "tasks.web"]
    assert answers_for(shop) == [f"{VIP}/32", f"{VIP6}/128"]


def test_members_come_and_go_and_nobody_is_led_to_one_that_is_gone(shop: Host) -> None:
    for name in ("one", "two", "three"):
        serve(shop, name)
    shop("stop", "-t0", "two")
    assert set(asked(shop, 4)) == {"one", "three"}
    shop("start", "two")
    shop.wait_for_port("two", 80)
    assert set(asked(shop, 3)) == {"one", "two", "three"}
    status = Path(f"/proc/{shop.pid('one')}/status").read_text()
    monitor = int(status.partition("PPid:")[2].split()[0])
    os.kill(monitor, signal.SIGKILL)
    wait_equal(lambda: shop("ps", "-q", "--filter", "name=one").stdout, "", "the next command buries it")
    assert set(asked(shop, 4)) == {"two", "three"}
    shop("network", "disconnect", "shop", "two")
    assert set(asked(shop, 3)) == {"three"}
    options = (f"--driver-opt=pyctr.endpoint.vip={VIP}", f"--driver-opt=pyctr.endpoint.vip6={VIP6}")
    shop("network", "connect", "--alias", "web", *options, "shop", "two")
    assert set(asked(shop, 4)) == {"two", "three"}
    shop("rm", "-f", "two", "three")
    assert answers_for(shop) == []
    assert "10.83.0." not in shop.sh("nft list ruleset")


def test_only_the_network_itself_reaches_it(shop: Host) -> None:
    serve(shop, "one")
    shop("network", "create", "other")
    shop("run", "-d", "--name", "stranger", "--network", "other", "busybox", "sleep", "1000")
    assert asked(shop, 1) == ["one"]
    assert shop.is_cut_off("stranger", f"http://{VIP}/")
    shop.sh(f"ip route add {VIP} via 198.51.100.1", outside=True)
    assert shop.sh(f"curl -s -m 2 http://{VIP}/", outside=True, code=None) == ""
    shop.sh(f"ip route del {VIP}", outside=True)


def test_bridged_frames_that_pass_the_rules_are_led_too(shop: Host) -> None:
    switches = [f"/proc/sys/net/bridge/bridge-nf-call-ip{six}tables" for six in ("", "6")]
    if not all(os.path.exists(switch) for switch in switches):
        pytest.skip("needs br_netfilter")
    shop.sh("".join(f"echo 1 > {switch};" for switch in switches))
    try:
        serve(shop, "one")
        serve(shop, "two")
        assert set(asked(shop, 2)) == {"one", "two"}
        assert set(asked(shop, 2, client="one")) == {"one", "two"}
        assert set(asked(shop, 2, f"http://[{VIP6}]/")) == {"one", "two"}
    finally:
        shop.sh("".join(f"echo 0 > {switch};" for switch in switches))


def test_who_has_a_health_check_is_led_to_while_it_succeeds(shop: Host) -> None:
    serve(shop, "one")
    check = ("--health-cmd", "test -e /tmp/well", "--health-interval", "100ms", "--health-retries", "1")
    serve(shop, "two", *check, "--health-start-interval", "100ms")
    assert set(asked(shop, 3)) == {"one"}, "no check has succeeded yet"
    shop("exec", "two", "touch", "/tmp/well")
    wait_equal(lambda: set(asked(shop, 4)), {"one", "two"}, "both answer")
    shop("exec", "two", "rm", "/tmp/well")
    wait_equal(lambda: set(asked(shop, 4)), {"one"}, "only the healthy one answers")
    shop("exec", "two", "touch", "/tmp/well")
    wait_equal(lambda: set(asked(shop, 4)), {"one", "two"}, "both answer")


def test_rules_that_somebody_flushed_are_mended(shop: Host) -> None:
    serve(shop, "one")
    shop.sh(f"nft flush map inet {table(shop)} members4")
    assert (
        f"virtual address {VIP} does not lead to {shop.address('one', 'shop')}"
        in shop("system", "check", code=1).stdout
    )
    assert "mended" in shop("system", "check", "--mend").stdout
    assert asked(shop, 2) == ["one", "one"]
    shop.sh("nft flush ruleset")
    serve(shop, "two")
    assert set(asked(shop, 4)) == {"one", "two"}, "the next member makes the table again"
    assert "packet rules" not in shop("system", "check", code=None).stdout


@pytest.mark.parametrize(
    ("create", "joined", "words"),
    [
        ((), joining(vip="10.83.0.9"), "10.83.0.9: not an auxiliary address of network shop of that kind"),
        ((), joining(vip=VIP6), f"{VIP6}: not an auxiliary address of network shop of that kind"),
        ((), joining(vip="nope"), "nope"),
        (("-o", "com.docker.network.bridge.enable_icc=false"), "", "network apart has no virtual addresses (com"),
        (("-d", "macvlan", "-o", "parent=eth0"), "", "network apart has no virtual addresses (driver macvlan)"),
    ],
)
def test_address_that_cannot_be_shared_is_refused(shop: Host, create: tuple[str, ...], joined: str, words: str) -> None:
    if create:
        subnet = ("--subnet", "10.84.0.0/24", "--aux-address", "web=10.84.0.9")
        shop("network", "create", *subnet, *create, "apart")
        joined = "name=apart,alias=web,driver-opt=pyctr.endpoint.vip=10.84.0.9"
    done = shop("run", "--rm", "--network", joined, "busybox", "true", code=125)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert answers_for(shop) == []
