"""The tutorial's chapter on Compose: its Flask and redis project, and each snippet of its reference with the effect checked.

Images are made from Debian's packages; where the tutorial names somebody's program (httpd, postgres), busybox stands in.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, free_port, needs_root
from tests.integration.compose.conftest import Compose
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root

APP = """\
import time

import redis
from flask import Flask

app = Flask(__name__)
cache = redis.Redis(host='redis', port=6379)


def get_hit_count():
    retries = 5
    while True:
        try:
            return cache.incr('hits')
        except redis.exceptions.ConnectionError as exc:
            if retries == 0:
                raise exc
            retries -= 1
            time.sleep(0.5)


@app.route('/')
def hello():
    count = get_hit_count()
    return 'Hello World! I have been seen {} times.\\n'.format(count)
"""
DOCKERFILE = """\
FROM python-and-redis
WORKDIR /code
ENV FLASK_APP app.py
ENV FLASK_RUN_HOST 0.0.0.0
COPY . .
CMD ["flask", "run"]
"""
FLASK = """\
services:
  web:
    build: .
    ports:
     - "PORT:5000"
  redis:
    image: python-and-redis
    command: ["redis-server", "--protected-mode", "no"]
"""


@pytest.mark.slow
def test_flask_and_redis_count_visits(cli: Cli, tmp_path: Path) -> None:
    packages = "redis-server,python3-flask,python3-redis"
    made = cli(
        "image", "bootstrap", "debian", "--include", packages, "--name", "python-and-redis", code=None, timeout=600
    )
    if made.returncode != 0:
        pytest.skip(f"needs Debian's packages: {made.stderr.strip()[-300:]}")
    project = Compose(cli, tmp_path)
    port = free_port()
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    project.write(FLASK.replace("PORT", str(port)))
    try:
        project("up", "-d")
        need_name_server(project, "web")
        seen = [visit(port) for _ in range(3)]
        assert seen == [f"Hello World! I have been seen {count} times.\n" for count in (1, 2, 3)]
        project("restart", "web")
        assert visit(port) == "Hello World! I have been seen 4 times.\n"
        assert "web-1    | " in project("logs").stdout
    finally:
        project("down", "--rmi", "local", "-v", "-t", "1")


def need_name_server(project: Compose, service: str) -> None:
    """Skip where no name server listens at 127.0.0.11 of the container."""
    if "0B00007F:" not in project.inside(service, "cat /proc/net/udp"):
        pytest.skip("needs the name server at 127.0.0.11")


def visit(port: int | str) -> str:
    """The page, once the program serves it. None is given up half way: that would count as a visit."""

    def page() -> str:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as answer,
        ):
            return str(answer.read().decode())
        return ""

    return str(wait_until(page, "the web service answers"))


REFERENCE = """
services:
  redis:
    image: busybox
    SLEEP
    deploy:
      mode: replicated
      replicas: 2
      endpoint_mode: dnsrr
      labels: {description: "This redis service label"}
      resources:
        limits: {cpus: '0.50', memory: 50M}
        reservations: {cpus: '0.25', memory: 20M}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}
  web:
    image: busybox
    container_name: my-web-container
    SLEEP
    cap_add: [SYS_TIME]
    cap_drop: [CHOWN]
    cgroup_parent: m-executor-abcd
    depends_on: [redis]
    devices: ["/dev/null:/dev/ttyUSB0"]
    dns: [8.8.8.8, 9.9.9.9]
    dns_search: [dc1.example.com, dc2.example.com]
    env_file: [./common.env]
    environment: {RACK_ENV: development, SHOW: 'true'}
    expose: ["3000", "8000"]
    extra_hosts: ["somehost:162.242.195.82", "otherhost:50.31.209.229"]
    healthcheck: {test: ["CMD", "true"], interval: 1m30s, timeout: 10s, retries: 3, start_period: 40s, start_interval: 100ms}
    logging: {driver: json-file, options: {max-size: "200k", max-file: "10"}}
    networks: {some-network: {aliases: [alias1]}, other-network: {aliases: [alias2]}, default: }
    restart: unless-stopped
    secrets: [my_secret, {source: owned, uid: "103", gid: "104", mode: 0440}]
    configs: [{source: inline, target: /etc/inline.conf}]
    stop_grace_period: 1m30s
    stop_signal: SIGUSR1
    sysctls: {net.core.somaxconn: 1024, net.ipv4.tcp_syncookies: 0}
    tmpfs: [/run/t, /tmp]
    ulimits: {nproc: 65535, nofile: {soft: 200, hard: 400}}
    volumes: ["./data:/var/lib/data", "named:/named:ro"]
  entry:
    image: busybox
    entrypoint: [sh, -c, 'echo "from the entry point: $$0"']
    command: ["the command"]
  shared: {image: busybox, SLEEP, network_mode: "service:web"}
  hostly: {image: busybox, SLEEP, network_mode: host}
  alone: {image: busybox, SLEEP, network_mode: none}
networks: {some-network: , other-network: }
volumes: {named: }
secrets: {my_secret: {file: ./my_secret.txt}, owned: {environment: OWNED}}
configs: {inline: {content: "inline $${not} for $RACK\\n"}}
"""


@pytest.fixture(scope="module")
def reference(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The snippets of the reference as one project."""
    directory = tmp_path_factory.mktemp("reference")
    project = Compose(cli, directory)
    (directory / "common.env").write_text("COMMON=from the file\nSHOW=overridden\n")
    (directory / "my_secret.txt").write_text("hidden\n")
    (directory / "data").mkdir()
    (directory / "data/file").write_text("of the host\n")
    cli.env |= {"OWNED": "by 103", "RACK": "rack"}
    project.write(REFERENCE)
    project("up", "-d")
    yield project
    project("down", "-v", "-t", "0")
    subprocess.run(
        ["sh", "-c", "rmdir /sys/fs/cgroup/*/m-executor-abcd /sys/fs/cgroup/m-executor-abcd"],
        check=False,
        stderr=subprocess.DEVNULL,
    )


def inspect(project: Compose, container: str, template: str) -> str:
    return project.cli("inspect", "-f", template, container).stdout.strip()


def test_capabilities_and_limits_in_the_kernel(reference: Compose) -> None:
    status = dict(
        line.split(":\t") for line in reference.inside("web", "cat /proc/self/status").splitlines() if ":\t" in line
    )
    effective = int(status["CapEff"], 16)
    assert effective >> 25 & 1, "SYS_TIME was added"
    assert not effective & 1, "CHOWN was dropped"
    limits = reference.inside("web", "grep -E 'processes|open files' /proc/self/limits")
    assert limits.split("\n")[0].split()[2:4] == ["65535", "65535"]
    assert limits.split("\n")[1].split()[3:5] == ["200", "400"]
    assert reference.inside("web", "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/tcp_syncookies").split() == [
        "1024",
        "0",
    ]
    pid = inspect(reference, "my-web-container", "{{.State.Pid}}")
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        assert "/m-executor-abcd/" in file.read()


def test_names_hosts_and_name_servers(reference: Compose) -> None:
    hosts = reference.inside("web", "cat /etc/hosts")
    assert "162.242.195.82\tsomehost" in hosts
    assert "50.31.209.229\totherhost" in hosts
    assert "search dc1.example.com dc2.example.com" in reference.inside("web", "cat /etc/resolv.conf")
    assert json.loads(inspect(reference, "my-web-container", "{{json .HostConfig.Dns}}")) == ["8.8.8.8", "9.9.9.9"]
    assert "alias1" in inspect(reference, "my-web-container", "{{json .NetworkSettings.Networks}}")
    need_name_server(reference, "web")
    addresses = {
        inspect(
            reference,
            reference.container(number, "redis"),
            f'{{{{(index .NetworkSettings.Networks "{reference.name}_default").IPAddress}}}}',
        )
        for number in (1, 2)
    }
    answer = reference.inside("web", "nslookup redis. 127.0.0.11 2>/dev/null | grep -o '[0-9.]*$'").split()
    assert addresses <= set(answer), "dnsrr: every address of the service"


def test_environment_entry_point_and_mounts(reference: Compose) -> None:
    assert reference.inside("web", "echo $RACK_ENV $SHOW $COMMON") == "development true from the file\n"
    said = "from the entry point: the command\n"
    wait_until(lambda: reference("logs", "--no-log-prefix", "entry").stdout == said, "what it says")
    assert reference.inside("web", "cat /var/lib/data/file") == "of the host\n"
    assert reference("exec", "-T", "web", "touch", "/named/x", code=1).stderr.count("Read-only file system") == 1
    mounts = reference.inside("web", "cat /proc/mounts")
    assert "tmpfs /run/t tmpfs" in mounts
    assert "tmpfs /tmp tmpfs" in mounts
    assert reference.inside("web", "stat -c '%t,%T' /dev/ttyUSB0") == "1,3\n"


def test_secrets_and_configs_have_content_owner_and_mode(reference: Compose) -> None:
    assert reference.inside("web", "cat /run/secrets/my_secret /run/secrets/owned") == "hidden\nby 103"
    assert reference.inside("web", "stat -c '%u %g %a' /run/secrets/owned") == "103 104 440\n"
    assert reference.inside("web", "cat /etc/inline.conf") == "inline ${not} for rack\n"


def test_deploy_on_one_machine(reference: Compose) -> None:
    names = [reference.container(number, "redis") for number in (1, 2)]
    for name in names:
        host = json.loads(inspect(reference, name, "{{json .HostConfig}}"))
        assert (host["NanoCpus"], host["Memory"], host["MemoryReservation"], host["CpuShares"]) == (
            500_000_000,
            50 << 20,
            20 << 20,
            256,
        )
        policy = host["RestartPolicy"]
        assert (policy["Name"], policy["MaximumRetryCount"]) == ("on-failure", 3)
        assert (policy["Delay"], policy["Window"]) == (5_000_000_000, 120_000_000_000)
        assert inspect(reference, name, "{{.Config.Labels.description}}") == "This redis service label"
    pid = inspect(reference, names[0], "{{.State.Pid}}")
    assert limit_of(pid) == 50 << 20


def limit_of(pid: str) -> int:
    """A process' limit of memory, in bytes, as its control group has it."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        lines = [line.strip().split(":", 2) for line in file]
    for number, controllers, path in lines:
        if "memory" in controllers.split(","):
            file_name = f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"
        elif number == "0" and not any("memory" in other[1].split(",") for other in lines):
            file_name = f"/sys/fs/cgroup{path}/memory.max"
        else:
            continue
        with open(file_name, encoding="ascii") as file:
            return int(file.read())
    raise AssertionError("no memory controller")


def test_what_is_written_down_for_later(reference: Compose) -> None:
    found = json.loads(reference.cli("inspect", "my-web-container").stdout)[0]
    assert found["Config"]["StopSignal"] == "SIGUSR1"
    assert found["Config"]["StopTimeout"] == 90
    assert found["Config"]["Healthcheck"]["Interval"] == 90_000_000_000
    assert {"3000/tcp", "8000/tcp"} <= found["Config"]["ExposedPorts"].keys()
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert found["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "200k", "max-file": "10"}}
    health = "{{.State.Health.Status}}"
    wait_until(lambda: inspect(reference, "my-web-container", health) == "healthy", "its health")


def test_network_modes(reference: Compose) -> None:
    assert reference.inside("shared", "ip -o addr") == reference.inside("web", "ip -o addr")
    assert reference.inside("alone", "ls /sys/class/net").split() == ["lo"]
    with open("/proc/sys/kernel/hostname", encoding="ascii") as file:
        assert reference.inside("hostly", "hostname") == file.read()


def test_gpus_are_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    project = Compose(cli, tmp_path)
    project.write("services: {web: {image: busybox, gpus: all}}")
    assert project("up", "-d", code=1).stderr.splitlines()[-1] == "pyctr: services.web.gpus: GPUs are not supported"
    project("down")
