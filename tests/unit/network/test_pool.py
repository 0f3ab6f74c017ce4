"""Subnets, ranges, gateways: what `network create` allows."""

from __future__ import annotations

import pytest

from pyctr.errors import Conflict, InvalidArgument
from pyctr.network.address import mac_of, parse_address, parse_mac, parse_subnet
from pyctr.network.pool import DEFAULT_POOLS, Pool, choose_subnet, choose_subnet_v6, default_gateway, plan_ipam
from pyctr.network.routes import parse_routes_v4, parse_routes_v6


def test_choose_subnet_default_is_dockers_and_next_is_next() -> None:
    assert str(choose_subnet([])) == "172.17.0.0/16"
    assert str(choose_subnet([parse_subnet("172.17.5.0/24")])) == "172.18.0.0/16"
    assert str(choose_subnet([parse_subnet("172.16.0.0/12")])) == "192.168.0.0/20"


def test_choose_subnet_all_taken_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="all predefined address pools"):
        choose_subnet(DEFAULT_POOLS)
    with pytest.raises(Conflict, match="all predefined address pools"):
        choose_subnet([parse_subnet("0.0.0.0/1"), parse_subnet("128.0.0.0/1")])


def test_choose_subnet_v6_is_unique_local() -> None:
    assert str(choose_subnet_v6(bytes.fromhex("0123456789ff"))) == "fd01:2345:6789::/64"


@pytest.mark.parametrize(
    ("subnets", "gateways", "ranges", "auxiliary", "words"),
    [
        (["10.0.0.0"], [], [], {}, "invalid CIDR address: 10.0.0.0"),
        (["10.0.0.0/33"], [], [], {}, "invalid CIDR address"),
        (["10.0.0.0/8", "10.1.0.0/16"], [], [], {}, "multiple overlapping subnet"),
        ([], ["10.0.0.1"], [], {}, "must have a corresponding subnet"),
        (["10.0.0.0/24"], ["10.0.1.1"], [], {}, "no matching subnet for gateway 10.0.1.1"),
        (["10.0.0.0/24"], ["x"], [], {}, "invalid IP address: x"),
        (["10.0.0.0/24"], [], ["10.0.0.0/23"], {}, "no matching subnet for ip-range"),
        (["10.0.0.0/24"], [], [], {"a": "10.1.0.1"}, "no matching subnet for aux-address"),
        *[
            (
                ["10.0.0.0/24"],
                [],
                [],
                {"a": "10.0.0.7", "b": taken},
                f"failed to allocate secondary ip address (b:{taken}): Address already in use",
            )
            for taken in ("10.0.0.0", "10.0.0.255", "10.0.0.1", "10.0.0.7")
        ],
        (["10.0.0.0/24"], [], ["10.0.0.128/25"], {"a": "10.0.0.128"}, "Address already in use"),
        (["fd00::/64"], [], [], {"a": "fd00::"}, "Address already in use"),
        (["10.0.0.0/24"], ["10.0.0.9"], [], {"a": "10.0.0.9"}, "(a:10.0.0.9): Address already in use"),
        (["10.0.0.0/24"], ["10.0.0.0"], [], {}, "invalid gateway 10.0.0.0"),
        (["10.0.0.0/24"], ["10.0.0.255"], [], {}, "invalid gateway 10.0.0.255"),
        (["10.0.0.1/32"], [], [], {}, "no room for a gateway and a container"),
        (["fd00::/129"], [], [], {}, "invalid CIDR address"),
    ],
)
def test_plan_ipam_bad_input_is_refused(
    subnets: list[str], gateways: list[str], ranges: list[str], auxiliary: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan_ipam(subnets, gateways, ranges, auxiliary)
    assert words in str(caught.value)


def test_plan_ipam_each_value_goes_to_its_subnet() -> None:
    configs = plan_ipam(["10.0.0.0/24", "fd00::/64"], ["fd00::9", "10.0.0.9"], ["10.0.0.128/25"], {"r": "10.0.0.7"})
    assert configs == [
        {
            "Subnet": "10.0.0.0/24",
            "IPRange": "10.0.0.128/25",
            "Gateway": "10.0.0.9",
            "AuxiliaryAddresses": {"r": "10.0.0.7"},
        },
        {"Subnet": "fd00::/64", "Gateway": "fd00::9"},
    ]


def test_default_gateway_first_of_range_or_subnet_but_auxiliary() -> None:
    assert default_gateway({"Subnet": "10.0.0.0/24"}) == "10.0.0.1"
    assert default_gateway({"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25"}) == "10.0.0.128"
    assert default_gateway({"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"a": "10.0.0.1"}}) == "10.0.0.2"


def test_first_free_skips_gateway_auxiliary_and_broadcast() -> None:
    pool = Pool({"Subnet": "10.0.0.0/30", "Gateway": "10.0.0.1"})
    assert str(pool.first_free(set())) == "10.0.0.2"
    assert pool.first_free({"10.0.0.2"}) is None
    wide = Pool({"Subnet": "fd00::/64", "Gateway": "fd00::1", "AuxiliaryAddresses": {"x": "fd00::2"}})
    assert str(wide.first_free(set())) == "fd00::3"


def test_check_address_of_the_subnet_itself_or_outside_is_refused() -> None:
    pool = Pool({"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"})
    for text, error in (
        ("10.0.0.0", InvalidArgument),
        ("10.0.0.255", InvalidArgument),
        ("10.0.1.1", InvalidArgument),
        ("10.0.0.1", Conflict),
    ):
        with pytest.raises(error):
            pool.check(parse_address(text))


def test_parse_mac_multicast_and_garbage_are_refused() -> None:
    assert parse_mac("02-42-AC-11-00-02") == "02:42:ac:11:00:02"
    for text in ("01:00:5e:00:00:01", "02:42", "zz:42:ac:11:00:02", "", "02:42:ac:11:00:02:03"):
        with pytest.raises(InvalidArgument):
            parse_mac(text)


def test_mac_of_ipv4_is_dockers() -> None:
    assert mac_of(parse_address("172.17.0.2"), b"") == "02:42:ac:11:00:02"
    assert mac_of(None, b"\x01\x02\x03\x04") == "02:42:01:02:03:04"


def test_parse_routes_default_and_local_ones_are_left_out() -> None:
    lines = [
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT",
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
        "short",
    ]
    assert [(link, str(subnet)) for link, subnet in parse_routes_v4(lines)] == [("eth0", "192.0.2.0/24")]

    def v6(destination: str, bits: str, link: str, flags: str = "00000001") -> str:
        return f"{destination} {bits} {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 {flags} {link}"

    lines = [
        v6("fd000000000000000000000000000000", "40", "eth0"),
        v6("fe800000000000000000000000000000", "40", "eth0"),
        v6("ff000000000000000000000000000000", "08", "eth0"),
        v6("00000000000000000000000000000000", "00", "eth0"),
        v6("00000000000000000000000000000001", "80", "lo"),
        v6("fd010000000000000000000000000000", "40", "eth0", "00000200"),
    ]
    assert [(link, str(subnet)) for link, subnet in parse_routes_v6(lines)] == [("eth0", "fd00::/64")]
