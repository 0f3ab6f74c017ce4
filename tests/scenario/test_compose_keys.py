"""The keys of compose files that the tutorial's reference tells of apart from one another, each by its effect."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, free_port, needs_root
from tests.integration.compose.conftest import Compose
from tests.scenario.test_compose import inspect, need_name_server, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root

DOCKERFILE = """\
ARG base=busybox
FROM $base AS first
ARG buildno=none
RUN echo "$buildno" > /number
FROM first AS wanted
CMD ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
FROM first AS last
RUN exit 1
"""
TEXT = """
services:
  built:
    build:
      context: ./dir
      dockerfile: Dockerfile-alternate
      args: {buildno: 1}
      labels: ["com.example.description=Accounting webapp"]
      target: wanted
    image: PROJECT-built
    links: [db, "db:database"]
  db:
    image: busybox
    SLEEP
    hostname: keeper
    domainname: example.com
    mac_address: 02:42:ac:11:65:43
    networks: {fixed: {ipv4_address: 172.31.238.10, priority: 1}, default: }
    user: "65534:65534"
    working_dir: /var
    group_add: ["1234"]
    read_only: true
    labels: {com.example.department: Finance}
    security_opt: ["no-new-privileges:true", "seccomp:unconfined"]
    tmpfs: [/scratch]
    oom_score_adj: 500
    cpuset: "0"
    pids_limit: 77
    mem_limit: 64m
    init: true
    ipc: shareable
  server:
    image: busybox
    shm_size: 32M
    command: ["sh", "-c", "mkdir /www; echo served > /www/index.html; exec httpd -f -h /www -p 8000"]
    ports:
      - "127.0.0.1:PORT_A:8000"
      - {target: 8000, host_ip: 127.0.0.1, published: "PORT_B", protocol: tcp, mode: host}
      - "127.0.0.1::8000/udp"
  peer: {image: busybox, SLEEP, pid: "service:db", ipc: "service:db"}
  strong: {image: busybox, SLEEP, privileged: true, userns_mode: host, pid: host, tty: true}
  heir: {image: busybox, SLEEP, volumes_from: ["keeper:ro"], networks: [inside]}
  keeper: {image: busybox, SLEEP, volumes: ["given:/given", "memory:/memory"], networks: [inside, bridged]}
  caller: {image: busybox, SLEEP, networks: [outer], external_links: ["PROJECT-far:away", "PROJECT-far"]}
  old: {image: busybox, SLEEP, network_mode: bridge, external_links: ["PROJECT-elder:elder"]}
networks:
  outer: {external: true, name: PROJECT-outer}
  fixed: {ipam: {config: [{subnet: 172.31.238.0/24, gateway: 172.31.238.254}]}}
  inside: {internal: true}
  bridged: {driver: bridge, driver_opts: {com.docker.network.bridge.name: ptkeys0, com.docker.network.driver.mtu: "1280"}}
volumes:
  given: {external: true, name: PROJECT-outside}
  memory: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}
"""


@pytest.fixture(scope="module")
def keys(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The keys as one project."""
    directory = tmp_path_factory.mktemp("keys")
    project = Compose(cli, directory)
    (directory / "dir").mkdir()
    (directory / "dir/Dockerfile-alternate").write_text(DOCKERFILE)
    text = TEXT.replace("PROJECT", project.name)
    for name in ("PORT_A", "PORT_B"):
        text = text.replace(name, str(free_port()))
    project.write(text)
    cli("volume", "create", f"{project.name}-outside")
    cli("network", "create", f"{project.name}-outer")
    for name, network in (("far", f"{project.name}-outer"), ("elder", "bridge")):
        cli("run", "-d", "--init", "--name", f"{project.name}-{name}", "--network", network, "busybox", "sleep", "1000")
    try:
        project("up", "-d")
        yield project
    finally:
        said = project("down", "-v", "-t", "0", "--rmi", "local", "--remove-orphans").stderr
        cli("rm", "-f", f"{project.name}-far", f"{project.name}-elder")
    assert "-outside" not in said, "an external volume stays"
    assert "-outer" not in said, "an external network stays"
    cli("volume", "rm", f"{project.name}-outside")
    cli("network", "rm", f"{project.name}-outer")


def test_build_takes_context_file_arguments_labels_and_target(keys: Compose) -> None:
    assert keys.inside("built", "cat /number") == "1\n"
    labels = inspect(keys, f"{keys.name}-built", "{{json .Config.Labels}}")
    assert json.loads(labels)["com.example.description"] == "Accounting webapp"


def test_links_are_names_of_their_own(keys: Compose) -> None:
    need_name_server(keys, "built")
    address = inspect(
        keys, keys.container(service="db"), f'{{{{(index .NetworkSettings.Networks "{keys.name}_default").IPAddress}}}}'
    )
    for name in ("db", "database"):
        assert address in keys.inside("built", f"nslookup {name}. 127.0.0.11 2>/dev/null")


def test_external_links_are_names_of_containers_outside_the_project(keys: Compose) -> None:
    need_name_server(keys, "caller")
    where = f'{{{{(index .NetworkSettings.Networks "{keys.name}-outer").IPAddress}}}}'
    address = inspect(keys, f"{keys.name}-far", where)
    for name in ("away", f"{keys.name}-far"):
        assert address in keys.inside("caller", f"nslookup {name}. 127.0.0.11 2>/dev/null")
    address = inspect(keys, f"{keys.name}-elder", "{{.NetworkSettings.Networks.bridge.IPAddress}}")
    line = next(line for line in keys.inside("old", "cat /etc/hosts").splitlines() if "elder" in line.split())
    assert line.split()[0] == address


def test_ports_short_long_and_any(keys: Compose) -> None:
    ports = json.loads(inspect(keys, keys.container(service="server"), "{{json .NetworkSettings.Ports}}"))
    published = {binding["HostPort"] for binding in ports["8000/tcp"]}
    assert len(published) == 2
    for port in published:
        assert visit(port) == "served\n"
    assert keys("port", "--protocol", "udp", "server", "8000").stdout.startswith("127.0.0.1:")


def test_identity_of_a_container(keys: Compose) -> None:
    assert keys.inside("db", "hostname; pwd; id -u; id -G").split() == ["keeper", "/var", "65534", "65534", "1234"]
    assert "keeper.example.com" in keys.inside("db", "cat /etc/hosts")
    assert "eth0" in keys.inside("db", "ip -o -4 addr show to 172.31.238.10")
    assert keys.inside("db", "cat /sys/class/net/eth0/address") == "02:42:ac:11:65:43\n"
    assert "172.31.238.10/24" in keys.inside("db", "ip -o -4 addr")
    label = '{{index .Config.Labels "com.example.department"}}'
    assert inspect(keys, keys.container(service="db"), label) == "Finance"


def test_limits_and_security_in_the_kernel(keys: Compose) -> None:
    status = keys.inside("db", "cat /proc/self/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t0" in status
    assert "Cpus_allowed_list:\t0\n" in status
    assert keys.inside("db", "cat /proc/self/oom_score_adj") == "500\n"
    assert keys("exec", "-T", "db", "touch", "/file", code=1).stderr.count("Read-only file system") == 1
    assert keys.inside("server", "df -k /dev/shm | tail -1").split()[1] == "32768"
    host = json.loads(inspect(keys, keys.container(service="db"), "{{json .HostConfig}}"))
    assert (host["Memory"], host["PidsLimit"], host["Init"]) == (64 << 20, 77, True)
    assert "init" in keys.inside("db", "cat /proc/1/cmdline")


def test_namespaces_of_another_service_and_of_the_host(keys: Compose) -> None:
    for kind in ("pid", "ipc"):
        assert namespace(keys, "peer", kind) == namespace(keys, "db", kind)
        assert namespace(keys, "built", kind) != namespace(keys, "db", kind)
    assert namespace(keys, "strong", "user") == os.readlink("/proc/self/ns/user")
    assert keys.inside("strong", "cat /proc/self/uid_map").split() == ["0", "0", "4294967295"]
    assert namespace(keys, "strong", "pid") == os.readlink("/proc/self/ns/pid")
    assert "Seccomp:\t0" in keys.inside("strong", "cat /proc/self/status")
    assert inspect(keys, keys.container(service="strong"), "{{.HostConfig.Privileged}} {{.Config.Tty}}") == "true true"


def namespace(project: Compose, service: str, kind: str) -> str:
    return project.inside(service, f"readlink /proc/self/ns/{kind}").strip()


def test_networks_internal_bridged_and_volumes_of_others(keys: Compose) -> None:
    assert "default" not in keys.inside("heir", "ip route"), "an internal network leads nowhere"
    assert "mtu 1280" in keys.inside("keeper", "ip -o link")
    with open("/sys/class/net/ptkeys0/mtu", encoding="ascii") as file:
        assert file.read() == "1280\n"
    keys.inside("keeper", "echo shared > /given/file")
    assert keys.inside("heir", "cat /given/file") == "shared\n"
    assert keys("exec", "-T", "heir", "touch", "/given/x", code=1).stderr.count("Read-only file system") == 1
    assert "tmpfs /memory tmpfs rw" in keys.inside("keeper", "cat /proc/mounts")
    assert keys.inside("keeper", "df -k /memory | tail -1").split()[1] == "1024"
