"""Which ports of a project clash."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.compose.plan.clash import check_ports
from pyctr.errors import Conflict
from tests.unit.compose.plan.projects import project


def publish(published: str, host_ip: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"target": 80, "published": published, "host_ip": host_ip, "protocol": protocol}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (publish("80"), publish("80")),
        (publish("80"), publish("80", "127.0.0.1")),
        (publish("80", "0.0.0.0"), publish("80", "127.0.0.1")),
        (publish("80", "::"), publish("80", "::1")),
        (publish("80"), publish("80", "::1")),
    ],
)
def test_two_services_at_one_address_clash(one: dict[str, Any], other: dict[str, Any]) -> None:
    for first, second in ((one, other), (other, one)):
        with pytest.raises(Conflict, match=r'^services "a" and "b" both publish port .*:80/tcp$'):
            check_ports(project({"a": {"ports": [first]}, "b": {"ports": [second]}}), {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (publish("80"), publish("81")),
        (publish("80"), publish("80", protocol="udp")),
        (publish("80", "127.0.0.1"), publish("80", "127.0.0.2")),
        (publish("80", "0.0.0.0"), publish("80", "::")),
        (publish("80-90"), publish("80-90")),
        (publish(""), publish("")),
        (publish("0"), publish("0")),
    ],
)
def test_two_services_at_different_addresses_do_not_clash(one: dict[str, Any], other: dict[str, Any]) -> None:
    check_ports(project({"a": {"ports": [one]}, "b": {"ports": [other]}}), {})


def test_replicas_of_one_service_clash_but_for_a_range() -> None:
    found = project({"a": {"ports": [publish("80")], "deploy": {"replicas": 2}}})
    with pytest.raises(Conflict, match=r'^service "a": 2 containers cannot all publish port 0\.0\.0\.0:80/tcp$'):
        check_ports(found, {})
    check_ports(found, {"a": 1})
    check_ports(project({"a": {"ports": [publish("80-81")], "deploy": {"replicas": 2}}}), {})
    check_ports(project({"a": {"ports": [publish("80")], "deploy": {"replicas": 2}, "network_mode": "host"}}), {})


def test_service_without_containers_clashes_with_nobody() -> None:
    found = project({"a": {"ports": [publish("80")]}, "b": {"ports": [publish("80")]}})
    check_ports(found, {"b": 0})
