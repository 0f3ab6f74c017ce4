"""Keyword arguments mean what docker-py makes of them: its own objects are the oracle."""

from __future__ import annotations

from typing import Any

import pytest
from docker.types import HostConfig

from pyctr.client.options import command_words, engine_options, filters, publications
from pyctr.engine.options import parse_request
from pyctr.errors import InvalidArgument

#: What docker-py sends for them, field by field.
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"mem_limit": "64m", "memswap_limit": 1 << 28, "mem_reservation": "32m"}, {}),
    ({"cpu_shares": 512, "cpuset_cpus": "0", "nano_cpus": 1_500_000_001}, {}),
    ({"cap_add": ["CAP_NET_ADMIN"], "cap_drop": ["CAP_MKNOD"], "privileged": True}, {}),
    ({"dns": ["9.9.9.9"], "dns_search": ["example.com"], "dns_opt": ["ndots:1"]}, {}),
    ({"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 5}}, {}),
    ({"ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}]}, {}),
    ({"shm_size": "1m", "read_only": True, "init": True, "pids_limit": 10, "oom_score_adj": 3}, {}),
    ({"tmpfs": {"/run": "size=1m"}, "volumes_from": ["a:ro"], "group_add": ["video"]}, {}),
    ({"device_read_bps": [{"Path": "/dev/vda", "Rate": 1000}]}, {}),
    ({"pid_mode": "host", "ipc_mode": "host", "uts_mode": "host", "network_mode": "host"}, {}),
    ({"security_opt": ["no-new-privileges"], "sysctls": {"net.ipv4.ip_forward": "1"}}, {}),
    ({"volumes": {"/a": {"bind": "/b", "mode": "ro"}, "named": {"bind": "/c", "mode": "rw"}}}, {"binds": "volumes"}),
    ({"ports": {"80/tcp": 8080, "53/udp": ("127.0.0.1", 5353), "90/tcp": [1234, 1235]}}, {"port_bindings": "ports"}),
    ({"extra_hosts": {"db": "10.0.0.1"}, "publish_all_ports": True}, {}),
    ({"log_config": {"type": "json-file", "config": {"max-size": "1m"}}}, {}),
]


@pytest.mark.parametrize(("arguments", "renamed"), CASES)
def test_options_are_what_docker_py_sends(arguments: dict[str, Any], renamed: dict[str, str]) -> None:
    given = {key: value for key, value in arguments.items() if key not in renamed.values()}
    given |= {theirs: arguments[ours] for theirs, ours in renamed.items()}
    expected = HostConfig(version="1.44", **given)
    found = parse_request("image", [], engine_options(arguments)).host_config
    for field, value in expected.items():
        if field == "PortBindings":
            value = {
                port: [{"HostIp": b.get("HostIp", ""), "HostPort": b.get("HostPort", "")} for b in bindings]
                for port, bindings in value.items()
            }
        if field == "LogConfig":
            value = {"Type": value["Type"], "Config": value["Config"]}
        if field == "NetworkMode" and value == "default":
            value = "bridge"
        if field == "Sysctls":
            value = dict(value)
        assert found[field] == value, field


def test_options_of_the_process() -> None:
    config = parse_request(
        "image",
        command_words("echo 'a b'"),
        engine_options(
            {
                "environment": {"A": "1"},
                "labels": ["x", "y=2"],
                "entrypoint": ["sh", "-c"],
                "user": 5,
                "working_dir": "/w",
                "stdin_open": True,
                "hostname": None,
                "healthcheck": {"test": ["CMD", "true"], "interval": 2 * 10**9, "retries": 3},
            }
        ),
    ).config
    assert config["Cmd"] == ["echo", "a b"]
    assert config["Env"] == ["A=1"]
    assert config["Labels"] == {"x": "", "y": "2"}
    assert config["Entrypoint"] == ["sh", "-c"]
    assert (config["User"], config["WorkingDir"], config["OpenStdin"]) == ("5", "/w", True)
    assert config["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 2 * 10**9, "Retries": 3}


def test_endpoints_in_the_apis_form() -> None:
    asked = {"net": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}
    networks = parse_request("image", [], engine_options({"networking_config": asked})).networks
    assert networks["net"]["aliases"] == ["db"]
    assert networks["net"]["ipv4"] == "10.0.0.9"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"colour": "red"}, "colour: no such option"),
        ({"cap_add": "ALL"}, "cap_add: a list is expected"),
        ({"environment": "A=1"}, "a mapping or a list is expected"),
        ({"volumes": {"/a": {"to": "/b"}}}, "volumes: /a: unknown key to"),
        ({"healthcheck": {"test": ["RUN", "x"]}}, "healthcheck: test 'RUN'"),
        ({"healthcheck": {"test": "x", "period": 1}}, "healthcheck: unknown key period"),
    ],
)
def test_options_that_mean_nothing_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        engine_options(arguments)


def test_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="No closing quotation"):
        command_words("echo 'a")


def test_ports_and_filters() -> None:
    assert publications({"80/tcp": None, 443: ("::1", 8443)}) == ["80/tcp", "[::1]:8443:443"]
    assert filters({"dangling": True, "label": ["a", "b=c"]}) == {"dangling": ["true"], "label": ["a", "b=c"]}
