"""`deploy.endpoint_mode`: vip is one name with one address, dnsrr one name with all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.conftest import needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.compose.conftest import Compose

    Make = Callable[[str], Compose]

pytestmark = needs_root
TEXT = """
services:
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "hostname > /tmp/index.html; exec httpd -f -h /tmp"]
    networks: {default: {aliases: [shop]}, lent: }
    healthcheck: {test: "wget -qO- 127.0.0.1", interval: 100ms, start_interval: 100ms, start_period: 10s}
    deploy: {replicas: 3, endpoint_mode: MODE}
  asker: {image: busybox, init: true, command: sleep 1000}
networks: {lent: {external: true, name: LENT}}
"""
ASK = "for i in 1 2 3 4 5 6; do timeout 60 wget -qO- http://shop || echo nobody; done"
LOOK = "nslookup -type=a {} | sed -n 's/^Address: //p' | sort"


def kept(project: Compose, network: str) -> dict[str, str]:
    """Auxiliary addresses of a network."""
    [found] = json.loads(project.cli("network", "inspect", network).stdout)
    return found["IPAM"]["Config"][0].get("AuxiliaryAddresses") or {}


def addresses(project: Compose) -> list[str]:
    """Those of the service's containers on the project's own network."""
    path = f'{{{{(index .NetworkSettings.Networks "{project.name}_default").IPAddress}}}}'
    return sorted(project.cli("inspect", "-f", path, *project("ps", "-q", "web").stdout.split()).stdout.split())


def test_vip_is_one_address_for_all_replicas_and_stays_theirs(compose: Make) -> None:
    project = compose("")
    lent = f"{project.name}lent"
    project.cli("network", "create", lent)
    try:
        project.write(TEXT.replace("LENT", lent).replace("MODE", "vip"))
        project("up", "-d", "--wait")
        [vip] = kept(project, f"{project.name}_default").values()
        for name in ("web", "shop"):
            assert project.inside("asker", LOOK.format(name)).split() == [vip]
        assert project.inside("asker", LOOK.format("tasks.web")).split() == addresses(project)
        replicas = set(project("ps", "-q", "web").stdout.split())
        answered = project.inside("asker", ASK).split()
        assert {next(each for each in replicas if each.startswith(name)) for name in answered} == replicas
        assert answered[:3] == answered[3:], "in turn"
        project("up", "-d", "--wait", "--scale", "web=1", "--force-recreate")
        [only] = project("ps", "-q", "web").stdout.split()
        assert project.inside("asker", LOOK.format("web")).split() == [vip]
        assert project.inside("asker", ASK).split() == [only[:12]] * 6
        assert list(kept(project, lent)) == [f"{project.name}_web"]
        assert f"Virtual address {project.name}_web  Removed" in project.events("down", "-t", "0")
        assert kept(project, lent) == {}
    finally:
        project("down", "-t", "0", code=None)
        project.cli("network", "rm", lent)


def test_dnsrr_is_every_address(compose: Make) -> None:
    project = compose(TEXT.replace("networks: {lent: {external: true, name: LENT}}", "networks: {lent: }"))
    project.write((project.directory / "compose.yaml").read_text().partition("\n")[2].replace("MODE", "dnsrr"))
    project("up", "-d", "--wait")
    assert project.inside("asker", LOOK.format("web")).split() == addresses(project)
    assert kept(project, f"{project.name}_default") == {}


def test_vip_where_the_host_sees_no_packets_is_refused_by_name(compose: Make) -> None:
    text = """
services: {web: {image: busybox, SLEEP, deploy: {endpoint_mode: vip}}}
networks: {default: {driver_opts: {com.docker.network.bridge.enable_icc: "false"}}}
"""
    project = compose(text)
    said = project("up", "-d", code=1).stderr
    assert "services.web.deploy.endpoint_mode: network" in said
    assert "has no virtual addresses (com.docker.network.bridge.enable_icc=false)" in said
