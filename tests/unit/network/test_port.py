"""``-p`` and PORTS, in every form of the documentation of Docker's client."""

from __future__ import annotations

import pytest

from pyctr.errors import InvalidArgument
from pyctr.network.port import display, parse_publish, plan_ports


def binding(port: str, ip: str, host: str) -> tuple[str, dict[str, str]]:
    return port, {"HostIp": ip, "HostPort": host}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [binding("80/tcp", "", "")]),
        ("8080:80", [binding("80/tcp", "", "8080")]),
        ("8080:80/UDP", [binding("80/udp", "", "8080")]),
        ("127.0.0.1:8080:80/sctp", [binding("80/sctp", "127.0.0.1", "8080")]),
        ("127.0.0.1::80", [binding("80/tcp", "127.0.0.1", "")]),
        ("[::1]:8080:80", [binding("80/tcp", "::1", "8080")]),
        ("[fd00::1]::80", [binding("80/tcp", "fd00::1", "")]),
        ("::1:8080:80", [binding("80/tcp", "::1", "8080")]),
        ("8080-8081:80-81", [binding("80/tcp", "", "8080"), binding("81/tcp", "", "8081")]),
        ("80-81", [binding("80/tcp", "", ""), binding("81/tcp", "", "")]),
        ("8000-8010:80", [binding("80/tcp", "", "8000-8010")]),
        ("8080-8080:80", [binding("80/tcp", "", "8080")]),
        ("published=8080,target=80", [binding("80/tcp", "", "8080")]),
        ("target=53,protocol=udp,mode=host", [binding("53/udp", "", "")]),
    ],
)
def test_parse_publish_every_form(text: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_publish(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no port specified"),
        ("8080:", "no port specified"),
        ("x", "invalid containerPort: x"),
        ("80/icmp", "invalid proto: icmp"),
        ("65536", "invalid containerPort"),
        ("99999:80", "invalid hostPort: 99999"),
        ("-1:80", "invalid hostPort: -1"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("name:80:80", "invalid IP address: name"),
        ("81-80", "invalid range specified"),
        ("8000-8002:80-81", "invalid ranges specified"),
        ("[::1:80:80", "invalid publish opts"),
        ("target=x", "invalid containerPort"),
        ("published=80", "missing mandatory field 'target'"),
        ("target=80,mode=x", "invalid publish mode value"),
        ("target=80,color=x", "invalid field key color"),
        ("80\n:80", "invalid hostPort"),
    ],
)
def test_parse_publish_bad_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_publish(text)
    assert words in str(caught.value)


def test_plan_ports_publish_all_leaves_what_was_published_by_hand() -> None:
    config = {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}
    host = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "PublishAllPorts": True}
    planned = {
        (port["container_port"], port["protocol"]): (port["first"], port["last"]) for port in plan_ports(config, host)
    }
    assert planned == {(80, "tcp"): (8080, 8080), (53, "udp"): (0, 0)}


def test_plan_ports_range_and_default_address() -> None:
    host = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8000-8010"}]}, "PublishAllPorts": False}
    [port] = plan_ports({}, host, "192.0.2.1")
    assert (port["first"], port["last"], port["host_ip"]) == (8000, 8010, "192.0.2.1")


def published(private: int, public: int, ip: str = "0.0.0.0", protocol: str = "tcp") -> dict[str, object]:
    return {"IP": ip, "PrivatePort": private, "PublicPort": public, "Type": protocol}


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], ""),
        ([{"PrivatePort": 6379, "Type": "tcp"}], "6379/tcp"),
        ([published(80, 8080), published(80, 8080, "::")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([{"PrivatePort": port, "Type": "tcp"} for port in (81, 80, 83)], "80-81/tcp, 83/tcp"),
        ([published(80, 80), published(81, 81)], "0.0.0.0:80-81->80-81/tcp"),
        ([published(80, 80), {"PrivatePort": 443, "Type": "tcp"}], "0.0.0.0:80->80/tcp, 443/tcp"),
        ([published(53, 5353, "127.0.0.1", "udp")], "127.0.0.1:5353->53/udp"),
    ],
)
def test_display_as_docker_shows_it(ports: list[dict[str, object]], shown: str) -> None:
    assert display(ports) == shown
