"""Build contexts in git: branch, tag and directory in the fragment or the query, submodules, what is git's own left out."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool
from tests.integration.build.served import served_by_git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository with a submodule and two commits, the first tagged v1, served by git daemon."""
    git, base = need_tool("git"), tmp_path_factory.mktemp("git")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ALLOW_PROTOCOL": "file"}

    def run(name: str, *words: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run([git, *identity, *words], cwd=base / name, env=environment, capture_output=True, check=True)

    def commit(name: str, **files: str) -> None:
        for path, content in files.items():
            target = base / name / path.replace("__", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        run(name, "add", ".")
        run(name, "commit", "-qm", "x")

    for name in ("library", "origin"):
        (base / name).mkdir()
        run(name, "init", "-q", "-b", "main")
    commit("library", book="read me")
    dockerfile = "FROM busybox\nCOPY . /all\nRUN cd /all && find . -type f | sort && cat version lib/book || true\n"
    commit("origin", version="1\n", Dockerfile=dockerfile, sub__Dockerfile=dockerfile, sub__version="sub\n")
    run("origin", "tag", "v1")
    run("origin", "submodule", "--quiet", "add", str(base / "library"), "lib")
    run("origin", "config", "-f", ".gitmodules", "submodule.lib.url", "../library")
    commit("origin", version="2\n")

    with served_by_git(git, base, "origin") as url:
        yield url


def said(cli: Cli, context: str, *options: str) -> list[str]:
    """What the RUN of a context's Dockerfile writes."""
    told = cli("build", "--no-cache", *options, context).stderr
    return re.findall(r"^#\d+ \d+\.\d+ (.*)$", told, re.MULTILINE)


def test_context_in_git_has_submodules_and_nothing_of_gits_own(cli: Cli, origin: str) -> None:
    files = ["./.gitmodules", "./Dockerfile", "./lib/book", "./sub/Dockerfile", "./sub/version", "./version"]
    assert said(cli, origin) == [*files, "2", "read me"]
    assert "./.git/HEAD" in said(cli, origin, "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
    assert "./lib/book" not in said(cli, f"{origin}?submodules=false")


@pytest.mark.parametrize("rest", ["#v1:sub", "?tag=v1&subdir=sub", "#refs/tags/v1:/sub/"])
def test_context_in_git_by_reference_and_directory(cli: Cli, origin: str, rest: str) -> None:
    assert said(cli, origin + rest)[:3] == ["./Dockerfile", "./version", "sub"]


def test_context_in_git_that_is_not_there_is_named(cli: Cli, origin: str) -> None:
    for rest, message in (
        ("#v3", "repository does not contain ref v3"),
        ("#v1:none", "none"),
        ("#v1:version", "version is no directory of git://"),
        ("?tag=v1&checksum=0123456", "expected checksum to match 0123456, got "),
        ("?branhc=main", 'unexpected query "branhc"'),
    ):
        assert message in cli("build", origin + rest, code=1).stderr
