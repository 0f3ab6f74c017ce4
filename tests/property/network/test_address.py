"""Addresses and ports against the standard library's `ipaddress`."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from pyctr.errors import Conflict, InvalidArgument
from pyctr.network.address import parse_address, parse_subnet
from pyctr.network.pool import Pool, choose_subnet
from pyctr.network.port import display, parse_publish

v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
subnets = st.one_of(
    st.tuples(v4, st.integers(0, 32)).map(lambda pair: ipaddress.ip_network(pair, strict=False)),
    st.tuples(v6, st.integers(0, 128)).map(lambda pair: ipaddress.ip_network(pair, strict=False)),
)


@given(st.one_of(v4, v6))
def test_parse_address_round_trip(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    parsed = parse_address(str(address))
    assert ipaddress.ip_address(str(parsed)) == address
    assert parsed.number == int(address)


@given(subnets, subnets)
def test_overlaps_as_ipaddress(one, other) -> None:
    expected = one.version == other.version and one.overlaps(other)
    assert parse_subnet(str(one)).overlaps(parse_subnet(str(other))) == expected


@given(st.lists(subnets, max_size=8))
def test_choose_subnet_never_overlaps(taken) -> None:
    parsed = [parse_subnet(str(subnet)) for subnet in taken]
    try:
        chosen = choose_subnet(parsed)
    except Conflict:
        return
    assert not any(chosen.overlaps(subnet) for subnet in parsed)


@given(v4, st.integers(20, 30), st.sets(st.integers(0, 300)))
def test_first_free_is_a_host_and_nobody_elses(address, bits, used) -> None:
    subnet = ipaddress.ip_network((address, bits), strict=False)
    hosts = list(subnet.hosts())
    taken = {str(hosts[index]) for index in used if index < len(hosts)}
    pool = Pool({"Subnet": str(subnet), "Gateway": str(hosts[0])})
    free = [str(host) for host in hosts[1:] if str(host) not in taken]
    found = pool.first_free(taken)
    assert (str(found) if found else None) == (free[0] if free else None)


@given(st.text(alphabet="0123456789:[]./-tcpudx,=\0 \n", max_size=24))
def test_parse_publish_never_fails_but_by_refusing(text: str) -> None:
    try:
        found = parse_publish(text)
    except InvalidArgument:
        return
    for port, host in found:
        number, _, protocol = port.partition("/")
        assert 0 <= int(number) <= 65535
        assert protocol in ("tcp", "udp", "sctp")
        if host["HostIp"]:
            ipaddress.ip_address(host["HostIp"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"PrivatePort": st.integers(1, 12), "Type": st.sampled_from(["tcp", "udp"])},
            optional={"IP": st.sampled_from(["0.0.0.0", "::"]), "PublicPort": st.integers(1, 12)},
        ),
        max_size=8,
    )
)
def test_display_names_every_port(ports) -> None:
    shown = display(ports)
    covered = set()
    for part in filter(None, shown.split(", ")):
        inside, _, protocol = part.rpartition("->")[2].partition("/")
        first, _, last = inside.partition("-")
        covered |= {(number, protocol) for number in range(int(first), int(last or first) + 1)}
    assert {(port["PrivatePort"], port["Type"]) for port in ports} <= covered
