"""Where passwords and signatures must not go, and whom TLS must not trust."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import pytest

from pyctr.errors import InvalidArgument, PyctrError, RegistryError
from pyctr.registry.auth import _check_realm
from pyctr.registry.client import Registry
from pyctr.registry.credentials import ClientConfig
from pyctr.registry.hosts import Endpoint, Settings, tls_context
from pyctr.registry.transport import explain

if TYPE_CHECKING:
    from pathlib import Path

SECURE, INSECURE = Endpoint("https", "a.example"), Endpoint("https", "a.example", insecure=True)


def test_redirect_from_https_to_http_is_refused_unless_the_user_said_so() -> None:
    with pytest.raises(RegistryError, match="redirected from https to http"):
        Registry._check_target(SECURE, "https://a.example/v2/x", "http://b.example/x")
    Registry._check_target(INSECURE, "https://a.example/v2/x", "http://b.example/x")


def test_token_is_not_asked_for_through_the_open() -> None:
    with pytest.raises(RegistryError, match="not a secure place"):
        _check_realm(SECURE, "http://b.example/token")
    assert _check_realm(INSECURE, "http://b.example/token") == "b.example"


def test_failed_connection_says_nothing_of_what_an_address_is_signed_with() -> None:
    assert "secret" not in str(
        explain("get", "https://b.example/blob?signature=secret", OSError(5, "Input/output error"))
    )


def test_tls_verifies_certificate_and_name_unless_the_user_said_so() -> None:
    context = tls_context("a.example", Settings(), insecure=False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert tls_context("a.example", Settings(), insecure=True).verify_mode == ssl.CERT_NONE


def test_helper_that_fails_is_named_and_what_it_says_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-loud"
    helper.write_text("#!/bin/sh\necho sesame; echo sesame >&2; exit 3\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "loud"}')
    with pytest.raises(PyctrError, match="docker-credential-loud get: exit status 3") as caught:
        ClientConfig(str(tmp_path / "config.json")).find("a.example")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../bin/x", "a b", "a;b", "a/b"])
def test_helper_whose_name_is_a_path_is_not_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": name}))
    with pytest.raises(InvalidArgument, match="invalid name"):
        ClientConfig(str(tmp_path / "config.json")).find("a.example")
