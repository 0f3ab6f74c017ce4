"""An ordinary user builds images and runs projects of several services."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool
from tests.fake_registry import FakeRegistry, Layer, tar_of
from tests.integration.rootless.conftest import UID, make_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.rootless.conftest import User

_DOCKERFILE = """\
FROM busybox
RUN --network=none mkdir /d && touch /d/old /gone && echo made > /made && chown 5:6 /made
COPY --chown=7:8 file /file
RUN --network=none --mount=type=cache,target=/cache rm -r /d /gone && mkdir /d && touch /d/new
USER 9:9
CMD stat -c '%u:%g' /made /file; ls /d; id -u; ls /gone
"""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    yield from make_user()


@pytest.fixture
def context(user: User) -> Path:
    """A directory of the user's with a Dockerfile and a compose file."""
    directory = user.home / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(_DOCKERFILE)
    (directory / "file").write_text("copied\n")
    os.chown(directory, UID, UID)
    return directory


def test_build_owners_deletions_and_cache(user: User, context: Path) -> None:
    user("build", "-t", "made", str(context))
    again = user("build", "--progress", "plain", "-t", "made", str(context))
    assert again.stderr.count("CACHED") == 4
    done = user("run", "--rm", "--network", "none", "made", code=1)
    assert done.stdout.split() == ["5:6", "7:8", "new", "9"]
    user("save", "-o", str(user.home / "made.tar"), "made")
    assert (user.home / "made.tar").stat().st_uid == UID
    with tarfile.open(user.home / "made.tar") as archive:
        assert "index.json" in archive.getnames()
    user("rmi", "made")
    user("load", "-i", str(user.home / "made.tar"))
    assert user("run", "--rm", "--network", "none", "made", code=1).stdout == done.stdout


_SERVICES = """\
services:
  web:
    image: busybox
    init: true
    command: httpd -f -h /etc
  asks:
    image: busybox
    command: sh -c 'until wget -qO- http://web/hostname; do sleep 0.1; done > /data/answer'
    depends_on: [web]
    volumes: ["kept:/data"]
volumes: {kept: {}}
"""


def test_compose_services_find_each_other_and_leave_nothing(user: User) -> None:
    need_tool("slirp4netns")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun")
    path = user.home / "compose.yaml"
    path.write_text(_SERVICES)
    project = ("compose", "-f", str(path), "-p", "app")
    user(*project, "up", "-d")
    user("wait", "app-asks-1")
    answer = user("run", "--rm", "--network", "none", "-v", "app_kept:/data", "busybox", "cat", "/data/answer").stdout
    assert answer == user("exec", "app-web-1", "hostname").stdout
    user(*project, "down", "-v")
    assert user("ps", "-aq").stdout == ""
    assert "app_" not in user("network", "ls").stdout + user("volume", "ls").stdout


def test_pull_from_a_registry_on_the_hosts_loopback(user: User) -> None:
    layer = Layer(tar_of({"small": b"small"}))
    with FakeRegistry().serving() as registry:
        registry.put_image("some/image", "v1", [layer])
        user("pull", f"{registry.address}/some/image:v1")
        user("push", f"{registry.address}/some/image:v1")
    assert f"{registry.address}/some/image" in user("images").stdout
    user("rmi", f"{registry.address}/some/image:v1")
