"""pull, push and login by the real docker client, against Debian's registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import need_tool
from tests.integration.registry.conftest import HTPASSWD, running_registry
from tests.token_server import TokenServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api.conftest import Api


def test_push_and_pull_with_the_clients_own_credentials(api: Api, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    extra = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    docker = api.docker
    with running_registry(tmp_path / "registry", extra=extra) as host:
        name = f"{host}/team/busybox:1"
        docker("tag", "busybox", name)
        docker("push", name, code=1)
        assert "401" in docker("login", "-u", "me", "--password-stdin", host, code=1, input="wrong").stderr
        docker("login", "-u", "me", "--password-stdin", host, input="secret")
        pushed = docker("push", name).stdout
        assert "digest: sha256:" in pushed
        docker("rmi", name)
        pulled = docker("pull", name).stdout
        assert f"Status: Downloaded newer image for {name}" in pulled or "Pulling from team/busybox" in pulled
        assert docker("run", "--rm", "--network", "none", name, "echo", "pulled").stdout == "pulled\n"
        docker("rmi", name)
        # An image that is not here is pulled by the client itself.
        assert docker("run", "--rm", "--network", "none", name, "echo", "again").stdout == "again\n"
        docker("rmi", name)
        docker("logout", host)
        docker("pull", name, code=1)
    assert "refused" in docker("pull", name, code=1).stderr


def test_identity_token_goes_to_the_client_and_comes_back(api: Api, tmp_path: Path) -> None:
    tokens = TokenServer(tmp_path, need_tool("openssl"))
    tokens.users["me"] = "secret"
    docker = api.docker
    with tokens.serving(), running_registry(tmp_path / "registry", extra=tokens.registry_options) as host:
        docker("login", "-u", "me", "--password-stdin", host, input="secret")
        assert len(tokens.identities) == 1
        tokens.users["me"] = "changed"
        docker("tag", "busybox", f"{host}/busybox")
        docker("push", "-q", f"{host}/busybox")
        docker("rmi", f"{host}/busybox")
        docker("logout", host)
