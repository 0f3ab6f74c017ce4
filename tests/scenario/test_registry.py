"""Row I7 and the tutorial's registry: Debian's docker-registry in a container, published, restarted, its data in a volume."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool
from tests.integration.network.conftest import HOST, Host, namespaces
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ':5000'}
"""


def registry_archive(path: Path) -> None:
    """What `docker pull registry:2` would bring: the program, the libraries it names, its configuration."""
    program = need_tool("docker-registry")
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    libraries = re.findall(r"(/\S+\.so\S*)", said)
    (path.parent / "config.yml").write_text(CONFIG)
    with tarfile.open(path, "w") as archive:
        archive.add(program, "bin/registry")
        for library in libraries:
            archive.add(os.path.realpath(library), library.lstrip("/"))
        archive.add(path.parent / "config.yml", "etc/docker/registry/config.yml")


@pytest.fixture
def host(cli: Cli, tmp_path: Path) -> Iterator[Host]:
    """A machine with an address that is not loopback, and port 5000 to itself."""
    for tool in ("ip", "nsenter", "nft", "curl"):
        need_tool(tool)
    host = Host(tmp_path / "host", f"pyctri{os.getpid()}")
    shutil.copytree(cli.root, host.root)
    host.env |= {"PYCTR_CONFIG": str(tmp_path / "daemon.json"), "DOCKER_CONFIG": str(tmp_path / "docker")}
    (tmp_path / "daemon.json").write_text("{}")
    with namespaces(host.name):
        yield host
        host.clear()


def answers(host: Host) -> bool:
    return host.sh("curl -s -m 30 -o /dev/null -w '%{http_code}' http://127.0.0.1:5000/v2/", code=None) == "200"


def test_registry_in_a_container_is_pushed_to_and_pulled_from(host: Host, tmp_path: Path) -> None:
    registry_archive(tmp_path / "registry.tar")
    host(
        "import", "-c", 'ENTRYPOINT ["/bin/registry"]', "-c", 'CMD ["serve", "/etc/docker/registry/config.yml"]',
        "-c", "EXPOSE 5000", "-c", "VOLUME /var/lib/registry", str(tmp_path / "registry.tar"), "registry:2",
    )  # fmt: skip
    host(
        "run", "-d", "-p", "5000:5000", "--restart", "always", "-v", "data:/var/lib/registry", "--name", "registry",
        "registry:2",
    )  # fmt: skip
    wait_until(lambda: answers(host), "the registry answers")
    assert "0.0.0.0:5000->5000/tcp" in host("ps").stdout
    host("tag", "busybox", "localhost:5000/busybox:1")
    said = host("push", "localhost:5000/busybox:1").stdout
    assert "The push refers to repository [localhost:5000/busybox]\n" in said
    assert "1: digest: sha256:" in said
    # By its other address it is not on this machine: TLS is asked of it, unless the configuration says otherwise.
    elsewhere = f"{HOST}:5000/busybox:1"
    host("tag", "busybox", elsewhere)
    refused = host("push", elsewhere, code=1)
    assert f'Get "https://{HOST}:5000/v2/' in refused.stderr or "http: server gave HTTP response" in refused.stderr
    assert "http: server gave HTTP response to HTTPS client" in refused.stderr
    (tmp_path / "daemon.json").write_text(json.dumps({"insecure-registries": [f"{HOST}:5000"]}))
    assert "Layer already exists" in host("push", elsewhere).stdout
    # What runs in it ends: it is restarted, and has what it had.
    before = host("inspect", "-f", "{{.State.Pid}}", "registry").stdout
    os.kill(int(before), 9)
    wait_until(
        lambda: host("inspect", "-f", "{{.State.Pid}}", "registry").stdout not in (before, "0\n"), "its next life"
    )
    wait_until(lambda: answers(host), "the registry answers")
    host("rmi", "busybox", "localhost:5000/busybox:1", elsewhere)
    assert "Downloaded newer image" in host("pull", "localhost:5000/busybox:1").stdout
    assert host("run", "--rm", "--network", "none", "localhost:5000/busybox:1", "echo", "hi").stdout == "hi\n"
    # The volume outlives the container.
    host("rm", "-f", "registry")
    host("rmi", "-f", "localhost:5000/busybox:1")
    host("run", "-d", "-p", "5000:5000", "-v", "data:/var/lib/registry", "--name", "registry", "registry:2")
    wait_until(lambda: answers(host), "the registry answers")
    host("pull", "-q", "localhost:5000/busybox:1")
    host("rm", "-f", "registry")
    host("volume", "rm", "data")
