"""Dockerfiles over every instruction and flag: the configuration, the history and the tree are BuildKit's, where dockerd's knows the feature."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from pyctr._core import export_tree
from tests.conftest import need_tool
from tests.integration.build.dockerfiles import COMMON, NEWER
from tests.peers import running_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.build.conftest import Builder
    from tests.peers import Peer

_CLIENT = "/usr/bin/docker"
_RUNTIME = ("dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
#: Fields of a real docker's config that are of the container it was made by, or null.
_NOT_COMPARED = (
    "Hostname",
    "Domainname",
    "Image",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ArgsEscaped",
    "Tty",
    "OpenStdin",
    "StdinOnce",
)
#: What a container of docker's brings along (volumes, /etc), and empty directories that BuildKit of 20.10 leaves where it mounted.
_THEIRS = {
    "run_cache_mount": {"c"}, "run_bind_stage": {"m"}, "run_bind_context": {"m"}, "run_tmpfs": {"m"}, "scratch": {"etc"},
    "volume": {"a", "b", "c d", "e"}, "run_secret_missing": {"run", "run/secrets"},
}  # fmt: skip
_ARGUMENTS = {"GIVEN": "given value", "ALSO": "also"}


@pytest.fixture(scope="module")
def docker() -> Iterator[Peer]:
    """A dockerd whose client has BuildKit built in."""
    need_tool("docker")
    if not os.path.exists(_CLIENT):
        pytest.skip("needs Debian's docker client")
    with running_dockerd() as peer:
        peer.command[0] = _CLIENT
        peer.environment = {**(peer.environment or {}), "DOCKER_BUILDKIT": "1"}
        yield peer


def _context(build: Builder) -> None:
    for name, text in (("a.txt", "a"), ("b.txt", "b"), ("dir/x.txt", "x"), ("dir/sub/y", "y")):
        build.write(name, text)
    (build.context / "b.txt").chmod(0o600)
    (build.context / "link").symlink_to("a.txt")
    with tarfile.open(build.context / "in.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("in/t")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"t"))


def _tree(data: bytes) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.removeprefix("./").strip("/")
            if not name or name.split("/")[0] in _RUNTIME or name in _RUNTIME:
                continue
            content = archive.extractfile(member) if member.isreg() or member.islnk() else None
            kind = b"0" if content else member.type
            link = "" if content else member.linkname
            found[name] = (kind, member.mode & 0o7777, member.uid, member.gid, link, content.read() if content else b"")
    return found


def _exported(build: Builder, image: Any, tmp_path: Path) -> dict[str, tuple[object, ...]]:
    path = tmp_path / "mine.tar"
    with path.open("wb") as file:
        export_tree(build.engine.image_store.resolve(image.id).layer_paths(), file.fileno())
    return _tree(path.read_bytes())


def _differences(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    keys = mine.keys() | theirs.keys()
    return {key: (mine.get(key), theirs.get(key)) for key in keys if mine.get(key) != theirs.get(key)}


def _known(docker: Peer, build: Builder, tmp_path: Path) -> None:
    """Let docker have our busybox, once."""
    if docker.run("image", "inspect", "busybox").returncode:
        archive = tmp_path / "busybox.tar"
        with archive.open("wb") as file:
            build.engine.images.save(["busybox"], file.fileno())
        docker("load", "-i", str(archive))


@pytest.mark.parametrize("name", sorted(COMMON))
def test_image_is_buildkits(docker: Peer, build: Builder, tmp_path: Path, name: str) -> None:
    _context(build)
    _known(docker, build, tmp_path)
    (tmp_path / "Dockerfile").write_text(COMMON[name], newline="")
    arguments = [word for key, value in _ARGUMENTS.items() for word in ("--build-arg", f"{key}={value}")]
    docker(
        "build", "--network", "none", *arguments, "-t", "oracle", "-f", str(tmp_path / "Dockerfile"), str(build.context)
    )
    container = docker("create", "--network", "none", "oracle", "true").strip()
    theirs = _tree(docker.run("export", container).stdout)
    docker("rm", container)
    config = json.loads(docker("image", "inspect", "oracle"))[0]
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "oracle").splitlines()
    image = build(COMMON[name], build_args=_ARGUMENTS).images[0]
    stored = build.engine.image_store.resolve(image.id).config
    assert _differences(_exported(build, image, tmp_path), theirs).keys() <= _THEIRS.get(name, set())
    wanted = {key: value for key, value in config["Config"].items() if value and key not in _NOT_COMPARED}
    assert (
        _differences({key: value for key, value in stored["config"].items() if key not in _NOT_COMPARED}, wanted) == {}
    )
    assert stored.get("author", "") == config["Author"]
    mine = [entry["created_by"] for entry in reversed(stored["history"])]
    # Docker writes these down in another way since 20.10.
    changed = ("EXPOSE", "HEALTHCHECK", "ARG", "COPY --ch")
    assert [line for line in mine if not line.startswith(changed)] == [
        line for line in history if not _is_older(line, mine)
    ]


def _is_older(line: str, mine: list[str]) -> bool:
    """Whether a line of docker's history has a newer form in ours: flags of COPY are in it now."""
    newer = any(other.startswith("COPY --ch") and other.endswith(line.removeprefix("COPY")) for other in mine)
    return newer or line.startswith(("EXPOSE", "HEALTHCHECK", "ARG"))


@pytest.mark.parametrize("name", sorted(NEWER))
def test_newer_syntax_does_what_it_says(build: Builder, tmp_path: Path, name: str) -> None:
    _context(build)
    text, output = NEWER[name]
    tree = _exported(build, build(text).images[0], tmp_path)
    assert tree["o"][5] == output.encode()
