"""Dockerfiles over every instruction and flag: the configuration, the history and the tree are BuildKit's, where dockerd's knows the feature."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.integration.build.dockerfiles import COMMON, NEWER
from tests.integration.build.oracle import differences, digest, give_busybox, tree_of_ours, tree_of_theirs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.build.conftest import Builder
    from tests.peers import Peer

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


def _context(build: Builder) -> None:
    for name, text in (("a.txt", "a"), ("b.txt", "b"), ("dir/x.txt", "x"), ("dir/sub/y", "y")):
        build.write(name, text)
    (build.context / "b.txt").chmod(0o600)
    (build.context / "link").symlink_to("a.txt")
    with tarfile.open(build.context / "in.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("in/t")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"t"))


@pytest.mark.parametrize("name", sorted(COMMON))
def test_image_is_buildkits(docker: Peer, build: Builder, tmp_path: Path, name: str) -> None:
    _context(build)
    give_busybox(docker, build, tmp_path)
    (tmp_path / "Dockerfile").write_text(COMMON[name], newline="")
    arguments = [word for key, value in _ARGUMENTS.items() for word in ("--build-arg", f"{key}={value}")]
    docker(
        "build", "--network", "none", *arguments, "-t", "oracle", "-f", str(tmp_path / "Dockerfile"), str(build.context)
    )
    theirs = tree_of_theirs(docker, "oracle")
    config = json.loads(docker("image", "inspect", "oracle"))[0]
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "oracle").splitlines()
    image = build(COMMON[name], build_args=_ARGUMENTS).images[0]
    stored = build.engine.image_store.resolve(image.id).config
    assert differences(tree_of_ours(build, image.id, tmp_path), theirs).keys() <= _THEIRS.get(name, set())
    wanted = {key: value for key, value in config["Config"].items() if value and key not in _NOT_COMPARED}
    assert (
        differences({key: value for key, value in stored["config"].items() if key not in _NOT_COMPARED}, wanted) == {}
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
    tree = tree_of_ours(build, build(text).images[0].id, tmp_path)
    assert tree["o"][5] == digest(output.encode())
