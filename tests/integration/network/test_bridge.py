"""The default bridge and user-defined ones: addresses, routes, what may speak to whom."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.network.conftest import HOST, OUTSIDE, PEER_SERVER
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from tests.integration.network.conftest import Host


def test_default_bridge_address_route_mtu_and_way_out(clean: Host) -> None:
    shown = clean(
        "run", "--rm", "busybox", "sh", "-c", f"ip addr show eth0; ip route; ping -c 1 -W 30 {OUTSIDE}"
    ).stdout
    assert "inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0" in shown
    assert "mtu 1400" in shown  # that of the host's default route
    assert "default via 172.17.0.1 dev eth0" in shown
    assert "1 packets received" in shown
    assert clean.sh("cat /proc/sys/net/ipv4/ip_forward").strip() == "1"


def test_container_without_ipv6_sends_nothing_by_itself(clean: Host) -> None:
    script = "sleep 1; ip addr show eth0; cat /sys/class/net/eth0/statistics/tx_packets"
    shown = clean("run", "--rm", "busybox", "sh", "-c", script).stdout
    assert "inet6" not in shown
    assert shown.splitlines()[-1] == "0"
    clean("network", "create", "-o", "com.docker.network.driver.mtu=1000", "narrow")  # too narrow for IPv6
    assert "mtu 1000" in clean("run", "--rm", "--network", "narrow", "busybox", "ip", "link", "show", "eth0").stdout


def test_outside_sees_the_hosts_address_and_cannot_reach_in(clean: Host) -> None:
    clean.serve("web")
    address = clean.address("web")
    clean.sh(f"ip route replace 172.17.0.0/16 via {HOST}", outside=True)
    try:
        with clean.python(PEER_SERVER, outside=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "listening\n"
            clean("exec", "web", "sh", "-c", f"echo x | nc -w 30 {OUTSIDE} 8000")
            assert server.stdout.readline().strip() == HOST
        clean.fetch(f"http://{address}/", outside=True, code=28)
        assert clean.fetch(f"http://{address}/") == "web\n"
    finally:
        clean.sh("ip route del 172.17.0.0/16", outside=True)


def test_containers_of_one_network_reach_each_other_and_no_other_network(clean: Host) -> None:
    clean("network", "create", "one")
    clean("network", "create", "two")
    for name, network in (("web1", "one"), ("web2", "one"), ("web3", "two"), ("web4", "bridge")):
        clean.serve(name, "--network", network)
    inside = clean.address("web2", "one")
    assert clean.inside("web1", inside) == "web2\n"
    for name in ("web3", "web4"):
        assert clean.is_cut_off(name, inside)
    clean("network", "connect", "one", "web3")
    assert clean.inside("web3", inside) == "web2\n"
    clean("network", "disconnect", "one", "web3")
    assert clean.is_cut_off("web3", inside)


def test_internal_network_has_no_way_out_and_neighbours(clean: Host) -> None:
    clean("network", "create", "--internal", "inner")
    clean.serve("web1", "--network", "inner")
    route = clean("run", "--rm", "--network", "inner", "busybox", "ip", "route").stdout
    assert "default" not in route
    address = clean.address("web1", "inner")
    got = clean("run", "--rm", "--network", "inner", "busybox", "wget", "-qO-", address).stdout
    assert got == "web1\n"
    script = (
        f"ip route add default via $(ip route | sed -n 's/.*src //p' | sed 's/[0-9]*$/1/'); ping -c 1 -W 1 {OUTSIDE}"
    )
    assert clean(
        "run", "--rm", "--cap-add", "NET_ADMIN", "--network", "inner", "busybox", "sh", "-c", script, code=None
    ).returncode


def test_icc_false_neighbours_do_not_speak(clean: Host) -> None:
    clean("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "mute")
    clean.serve("web1", "--network", "mute")
    address = clean.address("web1", "mute")
    assert clean(
        "run", "--rm", "--network", "mute", "busybox", "timeout", "1", "wget", "-qO-", address, code=None
    ).returncode
    assert clean("run", "--rm", "--network", "mute", "busybox", "ping", "-c", "1", "-W", "30", OUTSIDE).returncode == 0


def test_ipv6_network_addresses_gateway_and_way_out(clean: Host) -> None:
    clean("network", "create", "--ipv6", "--subnet", "2001:db8:1::/64", "--subnet", "10.88.0.0/24", "six")
    script = "ip -6 addr show eth0; ip -6 route; ping -6 -c 1 -W 30 2001:db8::2"
    shown = clean("run", "--rm", "--network", "six", "--ip6", "2001:db8:1::77", "busybox", "sh", "-c", script).stdout
    assert "inet6 2001:db8:1::77/64" in shown
    assert "default via 2001:db8:1::1" in shown
    assert "1 packets received" in shown


def test_options_of_an_endpoint_address_mac_alias(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.66.0.0/24", "--label", "a=b", "net1")
    clean(
        "create", "--name", "box", "--network", "name=net1,alias=x,ip=10.66.0.9,mac-address=02:00:00:00:00:09", "busybox", "ip", "a"
    )  # fmt: skip
    shown = clean("start", "-a", "box").stdout
    assert "inet 10.66.0.9/24" in shown
    assert "02:00:00:00:00:09" in shown
    settings = json.loads(clean("inspect", "box").stdout)[0]["NetworkSettings"]["Networks"]["net1"]
    assert settings["Aliases"] == ["x"]
    assert settings["IPAMConfig"] == {"IPv4Address": "10.66.0.9"}
    assert settings["IPAddress"] == ""  # it does not run


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--network", "nope", "busybox"], "network nope not found"),
        (["run", "--ip", "172.17.0.9", "busybox"], "supported on user defined networks only"),
        (["run", "--network-alias", "x", "busybox"], "only supported for user-defined networks"),
        (["run", "--network", "container:nope", "busybox"], "No such container: nope"),
        (["run", "--network", "host", "--ip", "1.2.3.4", "busybox"], "conflicting options"),
        (["run", "--network", "a b", "busybox"], "invalid network name"),
        (["run", "--link", "nope:x", "busybox"], "could not get container for nope"),
        (["network", "create", "bridge"], "predefined bridge network"),
        (["network", "create", "-d", "overlay", "x"], "no swarm"),
        (["network", "create", "-d", "nope", "x"], "plugin not found"),
        (
            ["network", "create", "--subnet", "10.97.1.0/24", "--subnet", "10.97.2.0/24", "x"],
            "bridge driver doesn't support multiple subnets",
        ),
        (["network", "create", "--scope", "swarm", "x"], "not a swarm manager"),
        (["network", "create", "--subnet", "198.51.100.0/24", "x"], "Pool overlaps with other one"),
        (["network", "create", "--subnet", "nope", "x"], "invalid CIDR address: nope"),
        (["network", "create", "../x"], "invalid network name"),
        (
            ["network", "create", "-o", "com.docker.network.bridge.name=eth0", "x"],
            "make bridge eth0: a link of this name exists",
        ),
        (
            ["network", "create", "-o", "com.docker.network.bridge.name=a-name-that-is-too-long", "x"],
            "invalid bridge name",
        ),
        (["network", "create", "-d", "macvlan", "-o", "parent=nope", "x"], "no such link"),
        (["network", "rm", "nope"], "network nope not found"),
        (["network", "rm", "host"], "pre-defined network and cannot be removed"),
        (["network", "inspect", "nope"], "network nope not found"),
        (["network", "connect", "bridge", "nope"], "No such container: nope"),
        (["port", "nope"], "No such"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(clean: Host, args: list[str], words: str) -> None:
    done = clean(*args, code=None)
    assert done.returncode
    assert words in done.stderr
    assert done.stderr.startswith("pyctr: ")
    assert "Traceback" not in done.stderr


def test_network_in_use_is_not_removed_and_says_by_whom(clean: Host) -> None:
    clean("network", "create", "used")
    clean.serve("web1", "--network", "used")
    done = clean("network", "rm", "used", code=1)
    assert 'network used has active endpoints (name:"web1"' in done.stderr
    clean("rm", "-f", "web1")
    wait_until(lambda: clean("network", "rm", "used", code=None).returncode == 0, "nobody uses it")
    assert "used" not in clean("network", "ls").stdout


def test_race_for_the_last_address_one_wins_and_nothing_leaks(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.55.0.0/29", "small")  # .1 is the gateway: five left

    def start(number: int) -> int:
        return clean(
            "run", "-d", "--name", f"race{number}", "--network", "small", "busybox", "sleep", "1000", code=None
        ).returncode

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(start, range(8)))
    assert sorted(codes) == [0] * 5 + [125] * 3
    addresses = {clean.address(f"race{number}", "small") for number, code in enumerate(codes) if code == 0}
    assert len(addresses) == 5
    refused = clean("start", f"race{codes.index(125)}", code=1)
    assert "no available IPv4 addresses on this network's address pools: small" in refused.stderr
    clean("rm", "-f", f"race{codes.index(0)}")
    wait_until(lambda: clean("start", f"race{codes.index(125)}", code=None).returncode == 0, "its address is free")


def test_restart_policy_makes_the_endpoint_again(clean: Host) -> None:
    clean(
        "run", "-d", "--name", "again", "--restart", "always", "busybox", "sh", "-c", "ip -o -4 addr show eth0; exit 1"
    )

    def lines() -> list[str]:
        return [line for line in clean("logs", "again").stdout.splitlines() if "eth0" in line]

    wait_until(lambda: len(lines()) > 2, "three lives")
    assert all("172.17.0.2/16" in line for line in lines())


def test_killed_monitor_leaves_what_the_next_command_takes_away(clean: Host) -> None:
    container = clean.serve("web1", "-p", "8080:80")
    [directory] = clean.run_root.glob("networks/*/endpoints")
    assert (directory / container).exists()
    state = json.loads((clean.root / "containers" / container / "state.json").read_text())
    subprocess.run(["kill", "-9", str(state["monitor_pid"])], check=True)
    wait_until(lambda: "web1" not in clean("ps").stdout, "its end is seen")
    assert list(directory.iterdir()) == []
    assert list((directory.parent / "addresses").iterdir()) == []
    wait_until(lambda: "table inet" not in clean.sh("nft list ruleset"), "the table's end")
    clean.serve("web2", "-p", "8080:80")
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web2\n"


def test_bridge_deleted_from_outside_the_next_start_makes_it_again(clean: Host) -> None:
    clean("network", "create", "-o", "com.docker.network.bridge.name=mybr", "mine")
    clean.sh("ip link del mybr")
    shown = clean("run", "--rm", "--network", "mine", "busybox", "ping", "-c", "1", "-W", "30", OUTSIDE).stdout
    assert "1 packets received" in shown


def test_default_subnet_taken_by_another_program_the_next_free_is_used(clean: Host) -> None:
    assert "172.17.0.2" in clean("run", "--rm", "busybox", "ip", "-4", "addr", "show", "eth0").stdout
    wait_equal(lambda: clean.sh("ip -o link show type bridge"), "", "no bridge is left")
    clean.sh("ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up")
    try:
        assert "172.18.0.2/16" in clean("run", "--rm", "busybox", "ip", "-4", "addr", "show", "eth0").stdout
    finally:
        clean.sh("ip link del docker0")


def test_rule_count_is_the_same_whatever_runs(clean: Host) -> None:
    def rules() -> int:
        listed = json.loads(clean.sh("nft -j list ruleset"))["nftables"]
        return sum("rule" in item for item in listed)

    clean.serve("web1", "-p", "8081:80")
    first = rules()
    clean("network", "create", "more")
    for number in range(2, 6):
        clean.serve(
            f"web{number}", "--network", "more", "-p", f"808{number}:80", "-p", "53/udp", "-P", "--expose", "90-99"
        )
    assert rules() == first > 0
