"""Networks and leases as files: names and addresses are taken by exclusive create."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pyctr.errors import Conflict, InvalidArgument, NotFound
from pyctr.network.store import Networks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    return Networks(str(tmp_path / "root"), str(tmp_path / "run"), lambda: "2026-01-02T03:04:05Z")


def make(networks: Networks, subnet: str) -> dict[str, object]:
    network = networks.new("mine", "bridge")
    network["IPAM"]["Config"] = [{"Subnet": subnet, "Gateway": subnet.replace(".0/", ".1/").partition("/")[0]}]
    return network


def alive(_: str) -> bool:
    return True


def lease(networks: Networks, network: dict[str, object], owner: str, wanted: str = "", live=alive) -> str | None:
    return networks.lease(network, owner, wanted=wanted, version=4, is_live=live)


def test_load_predefined_networks_keep_their_ids(networks: Networks) -> None:
    assert networks.load("bridge")["Id"] == networks.load("bridge")["Id"]
    assert [network["Name"] for network in networks.all()] == ["bridge", "host", "none"]
    assert networks.load("none")["Driver"] == "null"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "nothing", "\0", ".hidden"])
def test_load_name_that_is_none_is_not_found(networks: Networks, name: str) -> None:
    with pytest.raises(NotFound):
        networks.load(name)


def test_resolve_prefix_of_an_id(networks: Networks) -> None:
    bridge = networks.load("bridge")
    assert networks.resolve(bridge["Id"][:12])["Name"] == "bridge"
    with pytest.raises(NotFound):
        networks.resolve("f" * 63)


def test_lease_race_for_the_last_addresses_gives_each_to_one(networks: Networks) -> None:
    network = make(networks, "10.9.0.0/28")
    owners = [f"{number:064x}" for number in range(24)]

    def one(owner: str) -> str | None:
        try:
            return lease(networks, network, owner)
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        got = [address for address in pool.map(one, owners) if address]
    assert sorted(got, key=lambda text: int(text.rpartition(".")[2])) == [f"10.9.0.{last}" for last in range(2, 15)]


def test_lease_exhausted_says_so_and_stale_ones_are_taken_back(networks: Networks) -> None:
    network = make(networks, "10.9.0.0/30")
    assert lease(networks, network, "a" * 64) == "10.9.0.2"
    with pytest.raises(Conflict, match="no available IPv4 addresses on this network's address pools: mine"):
        lease(networks, network, "b" * 64)
    assert lease(networks, network, "b" * 64, live=lambda owner: owner != "a" * 64) == "10.9.0.2"


def test_lease_wanted_address_of_another_is_refused_naming_it(networks: Networks) -> None:
    network = make(networks, "10.9.0.0/24")
    assert lease(networks, network, "a" * 64, "10.9.0.77") == "10.9.0.77"
    with pytest.raises(Conflict, match=r"Address already in use: 10.9.0.77 by container aaaaaaaaaaaa"):
        lease(networks, network, "b" * 64, "10.9.0.77")
    assert lease(networks, network, "b" * 64, "10.9.0.77", live=lambda _: False) == "10.9.0.77"
    with pytest.raises(Conflict, match="Address already in use"):
        lease(networks, network, "b" * 64, "10.9.0.1")
    with pytest.raises(InvalidArgument, match="does not belong"):
        networks.lease(network, "b" * 64, wanted="fd00::1", version=6, is_live=alive)


def test_release_of_somebody_elses_lease_does_nothing(networks: Networks) -> None:
    network = make(networks, "10.9.0.0/24")
    address = lease(networks, network, "a" * 64)
    networks.release(network["Id"], [address], "b" * 64)
    assert os.listdir(networks.home(network["Id"]) + "/addresses") == [address]
    networks.release(network["Id"], [address, None], "a" * 64)
    assert os.listdir(networks.home(network["Id"]) + "/addresses") == []


def test_two_roots_have_tables_and_bridges_of_their_own(tmp_path: Path) -> None:
    one, two = (Networks(root, "/run", str) for root in ("/var/lib/pyctr", "/elsewhere"))
    assert (one.table, one.bridge) == ("pyctr", "pyctr0")
    assert one.table != two.table
    assert one.bridge != two.bridge
    assert len(two.bridge) <= 15
