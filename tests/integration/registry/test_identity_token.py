"""Identity tokens: a real docker-registry that sends its clients to a token server, a real docker beside us."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool, needs_root
from tests.integration.registry.conftest import running_registry
from tests.peers import running_dockerd
from tests.token_server import TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root
HELPER = """#!/bin/sh
read -r server
test "$1" = get && printf '{"ServerURL":"%s","Username":"<token>","Secret":"%s"}' "$server" "$(cat "$0.secret")"
"""


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    server = TokenServer(tmp_path, need_tool("openssl"))
    server.users["me"] = "secret"
    with server.serving():
        yield server


@pytest.fixture
def guarded(tokens: TokenServer, tmp_path: Path) -> Iterator[str]:
    """A registry whose token server that is; its address."""
    with running_registry(tmp_path / "guarded", extra=tokens.registry_options) as address:
        yield address


def kept(tmp_path: Path) -> dict[str, dict[str, str]]:
    value: dict[str, dict[str, str]] = json.loads((tmp_path / "docker/config.json").read_text())["auths"]
    return value


def test_login_keeps_an_identity_token_and_no_password(
    tokens: TokenServer, guarded: str, cli: Cli, other: Cli, tmp_path: Path
) -> None:
    other.env["PYCTR_ROOT"] = cli.env["PYCTR_ROOT"]
    name = f"{guarded}/mine"
    done = other("login", "-u", "me", "--password-stdin", guarded, input="wrong", code=1)
    assert "unauthorized" in done.stderr
    assert done.stderr.count("\n") == 1
    other("login", "-u", "me", "--password-stdin", guarded, input="secret")
    (token,) = tokens.identities
    assert kept(tmp_path) == {guarded: {"auth": base64.b64encode(b"me:").decode(), "identitytoken": token}}
    # The password may change now.
    tokens.users["me"] = "another"
    tokens.requests.clear()
    cli("tag", "busybox", name)
    other("push", "-q", name)
    other("pull", name)
    assert {(method, path) for method, path, _ in tokens.requests} == {("POST", "/token")}
    forms = [form for _, _, form in tokens.requests]
    assert {form["grant_type"] for form in forms} == {"refresh_token"}
    assert "repository:mine:pull,push" in {form["scope"] for form in forms}
    assert {(form["service"], form["client_id"]) for form in forms} == {("test registry", "pyctr")}
    # Taken back, it is of no more use, and nobody says what it was.
    tokens.identities.clear()
    done = other("pull", name, code=1)
    assert "unauthorized" in done.stderr
    assert token not in done.stderr
    cli("rmi", name)


def test_login_without_identity_tokens_keeps_the_password(
    tokens: TokenServer, guarded: str, other: Cli, tmp_path: Path
) -> None:
    tokens.gives_identities = False
    other("login", "-u", "me", "--password-stdin", guarded, input="secret")
    assert kept(tmp_path) == {guarded: {"auth": base64.b64encode(b"me:secret").decode()}}


def test_helper_that_has_an_identity_token_is_enough(
    tokens: TokenServer, guarded: str, other: Cli, tmp_path: Path
) -> None:
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    (tmp_path / "bin/docker-credential-test.secret").write_text("kept")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"credHelpers": {guarded: "test"}}))
    other.env["PATH"] = f"{helper.parent}:{other.env['PATH']}"
    assert "unauthorized" in other("pull", f"{guarded}/absent", code=1).stderr
    tokens.identities["kept"] = "me"
    assert "manifest unknown" in other("pull", f"{guarded}/absent", code=1).stderr


def test_docker_keeps_what_we_keep_and_each_uses_the_others(
    tokens: TokenServer, guarded: str, cli: Cli, other: Cli, tmp_path: Path
) -> None:
    other.env["PYCTR_ROOT"] = cli.env["PYCTR_ROOT"]
    name = f"{guarded}/both"
    cli("tag", "busybox", name)
    with running_dockerd() as docker:
        assert docker.environment is not None
        docker.environment["DOCKER_CONFIG"] = str(tmp_path / "docker")
        docker("login", "-u", "me", "--password-stdin", guarded, input=b"secret")
        (token,) = tokens.identities
        theirs = kept(tmp_path)
        assert other("push", "-q", name).stdout == f"{name}:latest\n"
        other("logout", guarded)
        other("login", "-u", "me", "--password-stdin", guarded, input="secret")
        assert theirs == json.loads(json.dumps(kept(tmp_path)).replace(list(tokens.identities)[1], token))
        docker("pull", "-q", name)
    cli("rmi", name)
