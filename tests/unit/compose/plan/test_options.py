"""Every key of a service as options of `docker run`."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.compose.plan.endpoints import virtual_name
from pyctr.compose.plan.mounts import inherit_volumes
from pyctr.compose.plan.options import container_options, plan_labels
from pyctr.compose.plan.resources import described
from pyctr.errors import InvalidArgument
from tests.unit.compose.plan.projects import project


def options(service: dict[str, Any], **top: Any) -> dict[str, Any]:
    found = project({"web": service, "db": {}}, **top)
    return container_options(found, described(found, "web"), 1)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"cap_add": ["ALL"], "cap_drop": ["SYS_PTRACE"]}, {"cap_add": ["ALL"], "cap_drop": ["SYS_PTRACE"]}),
        ({"cgroup_parent": "m-executor-abcd"}, {"cgroup_parent": "m-executor-abcd"}),
        ({"container_name": "mine"}, {"name": "mine"}),
        ({"devices": [{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}]}, {"device": ["/dev/a:/dev/b:r"]}),
        ({"dns": ["8.8.8.8"], "dns_search": ["a.b"], "dns_opt": ["x"]},
         {"dns": ["8.8.8.8"], "dns_search": ["a.b"], "dns_option": ["x"]}),
        ({"entrypoint": ["php", "-d"]}, {"entrypoint": ["php", "-d"]}),
        ({"entrypoint": []}, {"entrypoint": ""}),
        ({"environment": {"A": "1", "B": None}}, {"env": ["A=1"]}),
        ({"expose": ["3000"]}, {"expose": ["3000"]}),
        ({"extra_hosts": ["a=1.2.3.4"]}, {"add_host": ["a=1.2.3.4"]}),
        ({"healthcheck": {"test": ["CMD", "true"], "interval": "1m30s", "retries": 3}},
         {"health_cmd": ["true"], "health_interval": "1m30s", "health_retries": "3"}),
        ({"healthcheck": {"test": ["CMD-SHELL", "a b"]}}, {"health_cmd": "a b"}),
        ({"healthcheck": {"disable": True}}, {"no_healthcheck": True}),
        ({"logging": {"driver": "json-file", "options": {"max-size": "200k"}}},
         {"log_driver": "json-file", "log_opt": ["max-size=200k"]}),
        ({"network_mode": "service:db", "networks": None}, {"network": ["container:demo-db-1"]}),
        ({"network_mode": "host", "networks": None}, {"network": ["host"]}),
        ({"restart": "on-failure:3"}, {"restart": "on-failure:3"}),
        ({"stop_grace_period": "1m30s", "stop_signal": "SIGUSR1"}, {"stop_timeout": "90", "stop_signal": "SIGUSR1"}),
        ({"stop_grace_period": "500ms"}, {"stop_timeout": "1"}),
        ({"sysctls": {"net.core.somaxconn": "1024"}}, {"sysctl": ["net.core.somaxconn=1024"]}),
        ({"tmpfs": ["/run"]}, {"tmpfs": ["/run"]}),
        ({"ulimits": {"nproc": 65535, "nofile": {"soft": 1, "hard": 2}}}, {"ulimit": ["nproc=65535:65535", "nofile=1:2"]}),
        ({"cpus": 0.5, "mem_limit": "52428800"}, {"cpus": "0.5", "memory": "52428800"}),
        ({"blkio_config": {"weight": 300, "device_read_bps": [{"Path": "/dev/a", "Rate": "12"}]}},
         {"blkio_weight": "300", "device_read_bps": ["/dev/a:12"]}),
        ({"pid": "service:db", "ipc": "host"}, {"pid": "container:demo-db-1", "ipc": "host"}),
        ({"links": ["db:mysql"]}, {"link": ["demo-db-1:mysql"]}),
        ({"volumes_from": ["db:ro", "container:x"]}, {"volumes_from": ["demo-db-1:ro", "x"]}),
        ({"deploy": {"resources": {"limits": {"cpus": 0.5, "memory": "1", "pids": 2},
                                   "reservations": {"cpus": 0.25, "memory": "3"}}}},
         {"cpus": "0.5", "memory": "1", "pids_limit": "2", "cpu_shares": "256", "memory_reservation": "3"}),
        ({"deploy": {"restart_policy": {"condition": "on-failure", "delay": "5s", "max_attempts": 3, "window": "2m0s"}}},
         {"restart": "on-failure:3", "restart_delay": "5s", "restart_window": "2m0s"}),
        ({"deploy": {"restart_policy": {"condition": "none", "delay": "5s"}}}, {"restart": "no"}),
        ({"restart": "always", "deploy": {"restart_policy": {"condition": "none"}}}, {"restart": "always"}),
    ],
)  # fmt: skip
def test_key_becomes_option(service: dict[str, Any], expected: dict[str, Any]) -> None:
    found = options(service)
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("port", "text"),
    [
        ({"target": 80, "published": "8080", "protocol": "tcp"}, "8080:80/tcp"),
        ({"target": 80, "host_ip": "127.0.0.1", "published": "8080", "protocol": "udp"}, "127.0.0.1:8080:80/udp"),
        ({"target": 80, "host_ip": "::1", "published": "8080"}, "[::1]:8080:80/tcp"),
        ({"target": 5000}, "5000/tcp"),
        ({"target": 5000, "host_ip": "127.0.0.1"}, "127.0.0.1::5000/tcp"),
    ],
)
def test_port(port: dict[str, Any], text: str) -> None:
    assert options({"ports": [port]})["publish"] == [text]


@pytest.mark.parametrize(
    ("entry", "option", "text"),
    [
        ({"type": "bind", "source": "/a", "target": "/b", "read_only": True, "bind": {"create_host_path": True}},
         "volume", "/a:/b:ro"),
        ({"type": "bind", "source": "/a", "target": "/b", "bind": {"propagation": "rslave"}},
         "mount", "type=bind,source=/a,target=/b,bind-propagation=rslave"),
        ({"type": "bind", "source": "/a:1", "target": "/b,c", "bind": {"create_host_path": True}},
         "mount", 'type=bind,source=/a:1,"target=/b,c",bind-create-src=true'),
        ({"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}}, "volume", "d1:/d:rw,nocopy"),
        ({"type": "volume", "target": "/anonymous"}, "mount", "type=volume,target=/anonymous"),
        ({"type": "tmpfs", "target": "/t", "tmpfs": {"size": "10", "mode": 0o1777}},
         "mount", "type=tmpfs,target=/t,tmpfs-size=10,tmpfs-mode=1777"),
    ],
)  # fmt: skip
def test_volume(entry: dict[str, Any], option: str, text: str) -> None:
    assert options({"volumes": [entry]}, volumes={"data": {"name": "d1"}})[option] == [text]


def test_networks_driver_options_interface_name_and_virtual_address() -> None:
    on = {"a": {"interface_name": "lan0", "driver_opts": {"x": "y"}}}
    found = project({"web": {"networks": on, "deploy": {"endpoint_mode": "vip"}}}, networks={"a": {"name": "demo_a"}})
    vips = {"a": {"pyctr.endpoint.vip": "10.0.0.9"}}
    [text] = container_options(found, described(found, "web"), 1, vips)["network"]
    assert text.split(",") == [
        "name=demo_a",
        "alias=web",
        "driver-opt=x=y",
        "driver-opt=pyctr.endpoint.vip=10.0.0.9",
        "driver-opt=com.docker.network.endpoint.ifname=lan0",
    ]
    assert virtual_name(found, described(found, "web")) == "demo_web"
    assert virtual_name(found, {"name": "web", "deploy": {"endpoint_mode": "dnsrr"}}) == ""


def test_networks_by_priority_with_names_and_addresses() -> None:
    found = options(
        {"networks": {"a": None, "b": {"priority": 9, "aliases": ["x"], "ipv4_address": "10.0.0.2", "gw_priority": 1}}},
        networks={"a": {"name": "demo_a"}, "b": {"name": "demo_b"}},
    )
    assert found["network"] == ["name=demo_b,alias=web,alias=x,ip=10.0.0.2,gw-priority=1", "name=demo_a,alias=web"]


def test_mac_address_of_a_service_is_that_of_its_first_network() -> None:
    found = project(
        {"web": {"networks": {"a": None, "b": {"priority": 9}}, "mac_address": "02:42:ac:11:65:43"}},
        networks={"a": {"name": "demo_a"}, "b": {"name": "demo_b"}},
    )
    given = container_options(found, {**found.services["web"], "name": "web"}, 1)
    assert given["network"] == ["name=demo_b,alias=web,mac-address=02:42:ac:11:65:43", "name=demo_a,alias=web"]


def test_labels_of_the_service_win_over_those_of_deploy() -> None:
    given: dict[str, Any] = {}
    service = {"labels": {"a": "service"}, "deploy": {"labels": {"a": "deploy", "b": "deploy"}}}
    plan_labels(given, service, {"own": "1"})
    assert given["label"] == ["a=service", "b=deploy", "own=1"]


@pytest.mark.parametrize(
    "service",
    [
        {"gpus": [{"count": 1}]},
        {"credential_spec": {"file": "x"}},
        {"provider": {"type": "x"}},
        {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}},
        {"deploy": {"mode": "replicated-job"}},
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(service: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"services\.web\."):
        options(service)


def test_anonymous_volumes_go_over_to_the_container_made_anew() -> None:
    given = {"volume": ["named:/n:rw"], "mount": ["type=volume,target=/a", "type=tmpfs,target=/t"]}
    points = [
        {"Destination": target, "Name": name}
        for target, name in (("/a", "one"), ("/image", "two"), ("/n", "three"), ("/t", "four"), ("/x", "kept"))
    ]
    inherit_volumes(given, points, {"one", "two", "three", "four"})
    assert given["mount"] == [
        "type=volume,target=/a,source=one",
        "type=tmpfs,target=/t",
        "type=volume,source=two,target=/image",
    ]
