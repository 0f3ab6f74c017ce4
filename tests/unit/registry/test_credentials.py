"""config.json and credential helpers."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

import pytest

from pyctr.errors import InvalidArgument, PyctrError
from pyctr.registry.credentials import HUB_KEY, ClientConfig, Credentials, server_key

if TYPE_CHECKING:
    from pathlib import Path

HELPER = """#!/bin/sh
read -r input
echo "$1 $input" >> "$0.log"
case $1 in
 get) if [ -e "$0.answer" ]; then cat "$0.answer"; else echo "credentials not found in native keychain"; exit 1; fi;;
 store) : ;;
 erase) rm -f "$0.answer";;
esac
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin/docker-credential-test"
    path.parent.mkdir()
    path.write_text(HELPER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def config(tmp_path: Path, value: object) -> ClientConfig:
    (tmp_path / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return ClientConfig(str(tmp_path / "config.json"))


@pytest.mark.parametrize("name", ["", "docker.io", "index.docker.io", HUB_KEY, "https://index.docker.io/v1"])
def test_server_key_names_of_the_hub_are_one(name: str) -> None:
    assert server_key(name) == HUB_KEY


@pytest.mark.parametrize(
    "name", ["r.example:5000", "https://r.example:5000", "http://r.example:5000/v2/", "r.example:5000/"]
)
def test_server_key_is_host_and_port(name: str) -> None:
    assert server_key(name) == "r.example:5000"


def test_find_auth_of_the_file_is_decoded(tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:pass:word").decode()
    file = config(tmp_path, {"auths": {"https://r.example/v1/": {"auth": auth}, "other": {}}})
    assert file.find("r.example") == Credentials("me", "pass:word")
    assert file.find("other") is None
    assert file.find("third") is None


def test_find_no_file_is_no_credentials(tmp_path: Path) -> None:
    assert ClientConfig(str(tmp_path / "none/config.json")).find("r.example") is None


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"auths": {"r.example": {"auth": "???"}}}', '{"auths": {"r.example": {"auth": "YQ=="}}}']
)
def test_find_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"config\.json"):
        config(tmp_path, text).find("r.example")


def test_store_keeps_the_rest_and_is_private(tmp_path: Path) -> None:
    file = config(tmp_path, {"HttpHeaders": {"a": "b"}, "auths": {"other": {"auth": "eDp5"}}})
    assert file.store("https://r.example:5000/", Credentials("me", "secret")) == ""
    value = json.loads((tmp_path / "config.json").read_text())
    assert value["HttpHeaders"] == {"a": "b"}
    assert value["auths"] == {"other": {"auth": "eDp5"}, "r.example:5000": {"auth": "bWU6c2VjcmV0"}}
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
    assert ClientConfig(file.path).find("r.example:5000") == Credentials("me", "secret")
    assert file.erase("r.example:5000")
    assert not ClientConfig(file.path).erase("r.example:5000")


def test_helper_stores_gets_and_erases(tmp_path: Path, helper: Path) -> None:
    file = config(tmp_path, {"credHelpers": {"r.example": "test"}})
    assert file.find("r.example") is None
    assert file.store("r.example", Credentials("me", "secret")) == "test"
    assert "secret" not in (tmp_path / "config.json").read_text()
    helper.with_name(helper.name + ".answer").write_text('{"Username": "me", "Secret": "secret"}')
    assert file.find("r.example") == Credentials("me", "secret")
    assert file.erase("r.example")
    assert file.find("r.example") is None
    log = helper.with_name(helper.name + ".log").read_text().splitlines()
    assert [line.split()[0] for line in log] == ["get", "store", "get", "get", "erase", "get"]


def test_helper_token_is_an_identity_token(tmp_path: Path, helper: Path) -> None:
    helper.with_name(helper.name + ".answer").write_text('{"Username": "<token>", "Secret": "t"}')
    assert config(tmp_path, {"credsStore": "test"}).find("r.example") == Credentials(identity_token="t")


def test_helper_failure_names_the_helper_and_no_secret(tmp_path: Path, helper: Path) -> None:
    helper.with_name(helper.name + ".answer").write_text("sesame")
    with pytest.raises(PyctrError, match="docker-credential-test get: malformed answer") as caught:
        config(tmp_path, {"credsStore": "test"}).find("r.example")
    assert "sesame" not in str(caught.value)
    with pytest.raises(PyctrError, match="not found in"):
        config(tmp_path, {"credsStore": "absent"}).find("r.example")
    with pytest.raises(InvalidArgument, match="invalid name"):
        config(tmp_path, {"credsStore": "../x"}).find("r.example")


def test_credentials_repr_has_no_secret() -> None:
    assert "secret" not in repr(Credentials("me", "secret", "secret"))
