"""Networks of containers that run: connected, disconnected, renamed, all of it right at once."""

from __future__ import annotations

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.integration.network.conftest import HOST, OUTSIDE
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from tests.integration.network.conftest import Host


def route(host: Host, name: str) -> str:
    return host("exec", name, "ip", "route", "show", "default").stdout.strip()


def in_use(host: Host, network: str) -> bool:
    identity = json.loads(host("network", "inspect", network).stdout)[0]["Id"]
    with open(host.run_root / "networks" / identity / "use") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_default_route_and_ports_move_with_connect_and_disconnect(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.61.0.0/24", "aaa")
    clean("network", "create", "--subnet", "10.62.0.0/24", "last")
    clean.serve("web", "-p", "8080:80")
    assert "172.17.0.1" in route(clean, "web")

    def leads_to(gateway: str, address: str) -> None:
        assert route(clean, "web").startswith(f"default via {gateway} ")
        assert f". 8080 : {address} . 80" in clean.sh("nft list table inet $(nft list tables | grep -o 'pyctr.*')")
        assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web\n"
        assert clean.fetch("http://[::1]:8080/") == "web\n"  # which the monitor carries
        assert clean("exec", "web", "ping", "-c", "1", "-W", "30", OUTSIDE).returncode == 0
        assert clean("port", "web").stdout == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"

    clean("network", "connect", "last", "web")  # sorts behind
    leads_to("172.17.0.1", clean.address("web"))
    clean("network", "connect", "aaa", "web")  # sorts before
    leads_to("10.61.0.1", "10.61.0.2")
    clean("network", "disconnect", "bridge", "web")
    wait_until(
        lambda: "pyctr" not in clean.sh("ip -o link show type bridge"), "the end of a bridge that is nobody's by now"
    )
    leads_to("10.61.0.1", "10.61.0.2")
    clean("network", "disconnect", "aaa", "web")
    leads_to("10.62.0.1", "10.62.0.2")
    clean("network", "disconnect", "last", "web")
    assert route(clean, "web") == clean("port", "web").stdout == ""
    clean.fetch(f"http://{HOST}:8080/", outside=True, code=7)
    clean("network", "connect", "bridge", "web")
    leads_to("172.17.0.1", "172.17.0.2")


def test_gw_priority_decides(clean: Host) -> None:
    clean("network", "create", "--subnet", "10.61.0.0/24", "zzz")
    clean("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    clean("network", "connect", "--gw-priority", "1", "zzz", "box")
    assert "via 10.61.0.1 " in route(clean, "box")


def test_container_without_networks_gets_one_with_its_ports(clean: Host) -> None:
    clean("network", "create", "net")
    clean.serve("web", "--network", "none", "-p", "8080:80")
    clean("network", "disconnect", "none", "web", code=None)
    clean("network", "connect", "net", "web")
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web\n"


def test_first_user_defined_network_brings_its_name_server(clean: Host) -> None:
    clean("network", "create", "net")
    clean.serve("web", "--network", "net")
    clean("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    clean("network", "connect", "--alias", "near", "net", "box")
    assert "nameserver 127.0.0.11" in clean("exec", "box", "cat", "/etc/resolv.conf").stdout
    assert clean.inside("box", "http://web/") == "web\n"
    assert "1 packets received" in clean("exec", "web", "ping", "-c", "1", "-W", "30", "near").stdout
    clean("network", "disconnect", "net", "box")
    assert clean.is_cut_off("box", "http://web/")


def test_network_is_in_use_from_connect_to_disconnect(clean: Host) -> None:
    clean("network", "create", "net")
    clean("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert not in_use(clean, "net")
    clean("network", "connect", "net", "box")
    assert in_use(clean, "net")
    assert 'active endpoints (name:"box"' in clean("network", "rm", "net", code=1).stderr
    clean("network", "disconnect", "net", "box")
    assert not in_use(clean, "net")
    clean("network", "rm", "net")


def test_connect_that_fails_changes_nothing(clean: Host) -> None:
    clean("network", "create", "net")
    clean("network", "create", "-o", "com.docker.network.bridge.name=mybr", "broken")
    clean.serve("web", "-p", "8080:80")
    clean("run", "-d", "--name", "box", "--network", "none", "-p", "8080:80", "busybox", "sleep", "1000")
    request = clean.root / "containers" / clean("inspect", "-f", "{{.Id}}", "box").stdout.strip() / "monitor.json"
    before = request.read_text()
    refused = clean("network", "connect", "net", "box", code=1)
    assert "8080/tcp: port is already allocated by container web" in refused.stderr
    clean.sh("ip link del mybr; ip link add mybr type veth peer name other")
    try:
        assert "a link of this name exists" in clean("network", "connect", "broken", "web", code=1).stderr
    finally:
        clean.sh("ip link del mybr")
    assert request.read_text() == before
    assert "eth" not in clean("exec", "box", "ip", "link").stdout
    assert "eth1" not in clean("exec", "web", "ip", "link").stdout
    assert "172.17.0.1" in route(clean, "web")
    assert clean.fetch(f"http://{HOST}:8080/", outside=True) == "web\n"
    assert not list(clean.run_root.glob("networks/*/addresses/172.18*"))
    clean("network", "rm", "net", "broken")


def test_between_two_lives_the_next_one_is_connected(clean: Host) -> None:
    clean("network", "create", "net")
    script = "ip -o -4 addr show eth1 | cut -d' ' -f2; exit 1"
    clean("run", "-d", "--name", "again", "--restart", "always", "busybox", "sh", "-c", script)
    wait_until(lambda: int(clean("inspect", "-f", "{{.RestartCount}}", "again").stdout) > 2, "some restarts")
    clean("network", "connect", "net", "again")
    wait_until(lambda: "eth1" in clean("logs", "again").stdout, "the second network in it")


def test_renamed_container_answers_to_its_new_name_in_its_next_life_too(clean: Host) -> None:
    clean("network", "create", "--internal", "net")  # so that nobody else is asked
    clean("run", "-d", "--name", "old", "--network", "net", "--restart", "always", "busybox", "sleep", "1000")
    clean("run", "-d", "--name", "asker", "--network", "net", "busybox", "sleep", "1000")
    clean("rename", "old", "new")

    def answers(name: str) -> bool:
        return clean("exec", "asker", "nslookup", name, "127.0.0.11", code=None).returncode == 0

    assert answers("new")
    assert not answers("old")
    clean.sh(f"kill -9 {clean.pid('new')}")
    wait_equal(lambda: clean("inspect", "-f", "{{.RestartCount}}", "new").stdout, "1\n", "a restart")
    wait_until(lambda: answers("new"), "an answer to its new name")
    assert not answers("old")


def test_changes_at_the_same_time_are_all_made(clean: Host) -> None:
    names = [f"net{number}" for number in range(4)]
    for name in names:
        clean("network", "create", name)
    clean("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: clean("network", "connect", name, "box"), names))
    settings = json.loads(clean("inspect", "box").stdout)[0]["NetworkSettings"]["Networks"]
    assert sorted(settings) == ["bridge", *names]
    assert "eth4" in clean("exec", "box", "ip", "link").stdout
