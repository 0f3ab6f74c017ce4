"""Virtual addresses a network keeps: chosen from above, the same ever after, nobody else's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.errors import Conflict, InvalidArgument
from pyctr.network.plan import plan_names
from pyctr.network.store import Networks
from pyctr.network.virtual import plan_vip, release, reserve

if TYPE_CHECKING:
    from pathlib import Path

OPTION, OPTION6 = "pyctr.endpoint.vip", "pyctr.endpoint.vip6"


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    return Networks(str(tmp_path / "root"), str(tmp_path / "run"), lambda: "2026-01-02T03:04:05Z")


def add(networks: Networks, *subnets: str, driver: str = "bridge", **options: str) -> dict[str, Any]:
    network = networks.new("shop", driver)
    gateway = {"Gateway": "10.9.0.1"}
    network["IPAM"]["Config"] = [{"Subnet": subnet, **(gateway if "." in subnet else {})} for subnet in subnets]
    network["Options"] = {f"com.docker.network.bridge.{key}": value for key, value in options.items()}
    os.close(networks.lock())
    networks.add(network)
    return network


def lease(networks: Networks, owner: str, wanted: str = "") -> str | None:
    return networks.lease(networks.load("shop"), owner, wanted=wanted, version=4, is_live=lambda _: True)


def test_reserve_one_address_of_each_family_and_the_same_again(networks: Networks) -> None:
    add(networks, "10.9.0.0/24", "fd09::/64")
    first = reserve(networks, "shop", "p_web")
    assert first == {OPTION: "10.9.0.254", OPTION6: "fd09::ffff:ffff:ffff:ffff"}
    assert reserve(networks, "shop", "p_db") == {OPTION: "10.9.0.253", OPTION6: "fd09::ffff:ffff:ffff:fffe"}
    assert reserve(networks, "shop", "p_web") == first
    kept = networks.load("shop")["IPAM"]["Config"][0]["AuxiliaryAddresses"]
    assert kept == {"p_web": "10.9.0.254", "p_db": "10.9.0.253"}


def test_reserved_address_is_no_containers_and_a_containers_is_not_reserved(networks: Networks) -> None:
    add(networks, "10.9.0.0/29")
    assert lease(networks, "a" * 64, wanted="10.9.0.6") == "10.9.0.6"
    assert reserve(networks, "shop", "p_web") == {OPTION: "10.9.0.5"}
    with pytest.raises(Conflict):
        lease(networks, "b" * 64, wanted="10.9.0.5")
    assert [lease(networks, letter * 64) for letter in "cde"] == ["10.9.0.2", "10.9.0.3", "10.9.0.4"]
    with pytest.raises(Conflict, match=r"no available addresses in 10.9.0.0/29 of network shop for a virtual"):
        reserve(networks, "shop", "p_db")
    release(networks, "shop", "p_web")
    assert lease(networks, "f" * 64) == "10.9.0.5"


@pytest.mark.parametrize(
    ("driver", "options", "why"),
    [("macvlan", {}, "driver macvlan"), ("bridge", {"enable_icc": "false"}, "enable_icc=false")],
)
def test_reserve_where_the_host_sees_no_packets_is_refused(
    networks: Networks, driver: str, options: dict[str, str], why: str
) -> None:
    network = add(networks, "10.9.0.0/24", driver=driver, **options)
    with pytest.raises(InvalidArgument, match=f"network shop has no virtual addresses .*{why}"):
        reserve(networks, "shop", "p_web")
    with pytest.raises(InvalidArgument, match=why):
        plan_vip(network, {"driver_opts": {OPTION: "10.9.0.9"}})


def test_plan_vip_only_what_the_network_keeps(networks: Networks) -> None:
    add(networks, "10.9.0.0/24")
    options = reserve(networks, "shop", "p_web")
    network = networks.load("shop")
    planned = plan_vip(network, {"aliases": ["Web"], "driver_opts": options})
    assert planned == {"names": ["web"], "ipv4": "10.9.0.254", "ipv6": None}
    for wrong in ({OPTION: "10.9.0.9"}, {OPTION: "10.9.0.254", OPTION6: "10.9.0.254"}, {OPTION: "x"}):
        with pytest.raises(InvalidArgument):
            plan_vip(network, {"driver_opts": wrong})


def test_plan_names_aliases_are_the_addresss_and_the_rest_its_own() -> None:
    record = {"Id": "ab" * 32, "Name": "/p-web-1", "Config": {"Hostname": "web"}}
    settings = {"aliases": ["web"], "driver_opts": {OPTION: "10.9.0.254"}}
    assert plan_names(record, {"Name": "shop"}, settings) == ["p-web-1", "abababababab", "tasks.web"]
    assert plan_names(record, {"Name": "shop"}, {"aliases": ["web"]}) == ["p-web-1", "web", "abababababab"]
