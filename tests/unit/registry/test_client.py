"""The client against a registry in this process: authentication, redirects, retries, pages, mounts, uploads."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pyctr.errors import CorruptData, NotFound, RegistryError
from pyctr.registry.client import Registry
from pyctr.registry.credentials import Credentials
from pyctr.registry.hosts import Settings
from pyctr.registry.search import search
from pyctr.registry.transport import Transport, read_bounded
from pyctr.registry.upload import Uploader
from tests.fake_registry import FakeRegistry, Handler, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake
        while _OPEN:
            _OPEN.pop().close()


_OPEN: list[Transport] = []


def client(
    fake: FakeRegistry, *, credentials: Credentials | None = None, pull: bool = True, domain: str = "", **settings: Any
) -> tuple[Registry, list[float]]:
    """A client that does not wait, and what it would have waited."""
    waits: list[float] = []
    transport = Transport(Settings(**settings), environment={}, sleep=waits.append, jitter=lambda: 1.0)
    _OPEN.append(transport)
    return Registry(domain or fake.address, transport, pull=pull, find=lambda: credentials), waits


def only(part: str, answer: Any, times: int = 1_000_000) -> Any:
    """A fault for requests with a part in their path, a number of times."""
    left = [times]

    def fault(handler: Handler) -> bool:
        if part not in handler.path or left[0] <= 0:
            return False
        left[0] -= 1
        return bool(answer(handler))

    return fault


def token_server(fake: FakeRegistry, token: str = "good", **answer: Any) -> list[dict[str, list[str]]]:
    """Let the registry want tokens, and give them itself; the queries it got."""
    fake.tokens.add(token)
    fake.challenge = f'Bearer realm="http://{fake.address}/token",service="s"'
    queries: list[dict[str, list[str]]] = []

    def give(handler: Handler) -> bool:
        handler.registry.requests[-1][2].setdefault("Authorization", "")
        body = handler.body().decode()
        queries.append(parse_qs(urlsplit(handler.path).query or body))
        return handler.reply(200, json.dumps({"token": token, **answer}).encode())

    fake.faults.append(only("/token", give))
    return queries


def test_token_is_asked_once_with_scope_and_credentials(fake: FakeRegistry) -> None:
    queries = token_server(fake)
    blob = fake.put_blob(b"x")
    registry, _ = client(fake, credentials=Credentials("me", "secret"))
    repository = registry.repository("a/b")
    assert repository.has_blob(blob)
    assert repository.has_blob(blob)
    assert [query["scope"] for query in queries] == [["repository:a/b:pull"]]
    assert queries[0]["account"] == ["me"]
    assert fake.asked("GET", "/token")[0]["Authorization"].startswith("Basic ")


def test_token_that_expired_is_renewed(fake: FakeRegistry) -> None:
    queries = token_server(fake)
    registry, _ = client(fake)
    now = [0.0]
    registry.auth.clock = lambda: now[0]
    blob = fake.put_blob(b"x")
    assert registry.repository("a").has_blob(blob)
    now[0] = 1000.0
    assert registry.repository("a").has_blob(blob)
    assert len(queries) == 2


def test_identity_token_is_traded_by_post(fake: FakeRegistry) -> None:
    queries = token_server(fake)
    registry, _ = client(fake, credentials=Credentials(identity_token="refresh"))
    registry.ping()
    assert queries[0]["grant_type"] == ["refresh_token"]
    assert queries[0]["refresh_token"] == ["refresh"]


def test_token_refused_again_and_again_ends(fake: FakeRegistry) -> None:
    token_server(fake)
    fake.tokens.clear()
    fake.tokens.add("another")
    registry, _ = client(fake)
    with pytest.raises(RegistryError, match="unauthorized: authentication required"):
        registry.ping()
    assert len(fake.requests) < 10


def test_basic_is_sent_when_asked_and_then_unasked(fake: FakeRegistry) -> None:
    fake.users["me"] = "secret"
    registry, _ = client(fake, credentials=Credentials("me", "secret"))
    registry.ping()
    registry.ping()
    assert ["Authorization" in headers for _, _, headers in fake.requests[-3:]] == [False, True, True]


def test_basic_without_credentials_names_login(fake: FakeRegistry) -> None:
    fake.users["me"] = "secret"
    with pytest.raises(RegistryError, match="no basic auth credentials") as caught:
        client(fake)[0].ping()
    assert caught.value.hint == f"pyctr login {fake.address}"


def test_basic_wrong_password_says_no_secret(fake: FakeRegistry) -> None:
    fake.users["me"] = "secret"
    with pytest.raises(RegistryError, match="unauthorized") as caught:
        client(fake, credentials=Credentials("me", "sesame"))[0].ping()
    assert "sesame" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        ("Digest realm=x", "authentication by digest: only basic and bearer"),
        ("", "HTTP status: 401|unauthorized"),
        ("\x7f;;;", "nothing that can be read"),
        ("Bearer", "a token of nowhere: not a URL"),
        ('Bearer realm="file:///etc/passwd"', "not a URL"),
        ('Bearer realm="http://user:pw@host/"', "not a URL"),
    ],
)
def test_odd_challenge_is_refused(fake: FakeRegistry, challenge: str, message: str) -> None:
    fake.users["me"] = "secret"
    fake.challenge = challenge
    with pytest.raises(RegistryError, match=message):
        client(fake, credentials=Credentials("me", "secret"))[0].ping()


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"token": "a b"}', b'{"token": "a\\nb"}', b'{"token": 1}'])
def test_malformed_token_is_refused(fake: FakeRegistry, answer: bytes) -> None:
    fake.tokens.add("good")
    fake.challenge = f'Bearer realm="http://{fake.address}/token"'
    fake.faults.append(only("/token", lambda handler: handler.reply(200, answer)))
    with pytest.raises(RegistryError, match="malformed token"):
        client(fake)[0].ping()


def test_redirect_to_another_host_has_no_credentials(fake: FakeRegistry) -> None:
    with FakeRegistry().serving() as other:
        blob = other.put_blob(b"content")
        fake.users["me"] = "secret"

        def away(handler: Handler) -> bool:
            if not handler.authorized():
                return False
            return handler.reply(307, Location=f"http://{other.address}/v2/x/blobs/{blob}?signature=abc")

        fake.faults.append(only("/blobs/", away))
        registry, _ = client(fake, credentials=Credentials("me", "secret"))
        response, _ = registry.repository("x").open_blob(blob)
        assert read_bounded(response, 100, "blob") == b"content"
        assert "Authorization" in fake.requests[-1][2]
        assert "Authorization" not in other.requests[-1][2]


def test_redirect_loop_ends(fake: FakeRegistry) -> None:
    fake.faults.append(only("/blobs/", lambda handler: handler.reply(302, Location=handler.path)))
    with pytest.raises(RegistryError, match="stopped after 10 redirects"):
        client(fake)[0].repository("x").open_blob(digest_of(b""))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://me:pw@host/"])
def test_redirect_to_nowhere_is_refused(fake: FakeRegistry, location: str) -> None:
    fake.faults.append(only("/blobs/", lambda handler: handler.reply(302, Location=location)))
    with pytest.raises(RegistryError, match="redirected to what is not a URL"):
        client(fake)[0].repository("x").open_blob(digest_of(b""))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_error_is_tried_again_with_back_off(fake: FakeRegistry, status: int) -> None:
    fake.faults.append(only("/blobs/", lambda handler: handler.fail(status, "X"), times=3))
    registry, waits = client(fake)
    assert registry.repository("x").has_blob(fake.put_blob(b"x"))
    assert waits == [0.5, 1.0, 2.0]


def test_retry_after_is_honoured(fake: FakeRegistry) -> None:
    fake.faults.append(only("/blobs/", lambda handler: handler.fail(429, "X", Retry_After="7"), times=1))
    registry, waits = client(fake)
    assert registry.repository("x").has_blob(fake.put_blob(b"x"))
    assert waits == [8.0]


def test_rate_limit_says_so_and_does_not_wait_for_hours(fake: FakeRegistry) -> None:
    answer = "You have reached your pull rate limit"
    fake.faults.append(only("/manifests/", lambda h: h.fail(429, "TOOMANYREQUESTS", answer, Retry_After="3600")))
    registry, waits = client(fake)
    with pytest.raises(RegistryError, match="toomanyrequests: You have reached your pull rate limit") as caught:
        registry.repository("x").manifest("latest")
    assert waits == []
    assert "3600 s" in (caught.value.hint or "")


def test_connection_that_breaks_is_made_again(fake: FakeRegistry) -> None:
    registry, waits = client(fake)
    registry.ping()
    fake.faults.append(only("/blobs/", lambda handler: handler.cut(), times=2))
    assert registry.repository("x").has_blob(fake.put_blob(b"x"))
    assert len(waits) == 2


def test_dead_registry_is_one_error(fake: FakeRegistry) -> None:
    registry, _ = client(fake, domain="127.0.0.1:1")
    with pytest.raises(RegistryError, match=r'Get "http://127.0.0.1:1/v2/": connection refused'):
        registry.ping()


def test_mirror_that_fails_is_passed_over_and_gets_no_password(fake: FakeRegistry) -> None:
    with FakeRegistry().serving() as mirror:
        registry, _ = client(
            fake, credentials=Credentials("me", "secret"), domain="docker.io", mirrors=[f"http://{mirror.address}"]
        )
        endpoints = registry.endpoints()
        assert [endpoint.mirror for endpoint in endpoints] == [True, False]
        endpoints[1].scheme, endpoints[1].host, endpoints[1].insecure = "http", fake.address, True
        fake.put_manifest("library/x", "latest", {}, "application/json")
        mirror.users["me"] = "secret"
        assert registry.repository("library/x").manifest("latest").data == b"{}"
        assert all("Authorization" not in headers for _, _, headers in mirror.requests)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ((404, "MANIFEST_UNKNOWN"), NotFound, "manifest for ADDRESS/x:latest not found: manifest unknown"),
        ((404, "NAME_UNKNOWN"), NotFound, "repository ADDRESS/x not found"),
        ((403, "DENIED"), RegistryError, "pull access denied for ADDRESS/x, repository does not exist or may require"),
        ((418, "TEAPOT"), RegistryError, "teapot"),
    ],
)
def test_refusal_is_worded_as_dockers(fake: FakeRegistry, error: Any, kind: type[Exception], message: str) -> None:
    fake.faults.append(only("/manifests/", lambda handler: handler.fail(*error)))
    with pytest.raises(kind, match=message.replace("ADDRESS", fake.address)):
        client(fake)[0].repository("x").manifest("latest")


@pytest.mark.parametrize("page", [b"<html>\x1b[2J" * 10_000, b"[" * 60_000, b'{"errors":' * 6_000])
def test_error_page_of_a_proxy_is_one_line(fake: FakeRegistry, page: bytes) -> None:
    fake.faults.append(only("/manifests/", lambda handler: handler.reply(403, page)))
    with pytest.raises(RegistryError, match="HTTP status: 403") as caught:
        client(fake)[0].repository("x").manifest("latest")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_manifest_too_large_is_refused_unread(fake: FakeRegistry) -> None:
    def endless(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(100 << 20))
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" " * (1 << 20))
        return True

    fake.faults.append(only("/manifests/", endless))
    with pytest.raises(RegistryError, match="larger than 4194304 bytes"):
        client(fake)[0].repository("x").manifest("latest")


def test_manifest_of_another_digest_is_refused(fake: FakeRegistry) -> None:
    digest = fake.put_manifest("x", "latest", {}, "application/json")
    fake.manifests["x", digest] = ("application/json", b'{"a":1}')
    with pytest.raises(CorruptData, match=f"expected {digest}"):
        client(fake)[0].repository("x").manifest(digest)


def test_tags_come_from_all_pages(fake: FakeRegistry) -> None:
    for tag in "abcde":
        fake.put_manifest("x", tag, {}, "application/json")
    assert client(fake)[0].repository("x").tags() == list("abcde")


def test_tags_pages_in_a_circle_end(fake: FakeRegistry) -> None:
    answer = {"Link": '</v2/x/tags/list?n=1000>; rel="next"'}
    fake.faults.append(only("/tags/", lambda handler: handler.reply(200, b'{"tags":["a"]}', **answer)))
    with pytest.raises(RegistryError, match="circle"):
        client(fake)[0].repository("x").tags()


@pytest.mark.parametrize("tag", ["../x", "a\x1b[2J", "x@sha256:" + "0" * 64, "", "a" * 129, "a b"])
def test_tags_that_are_none_are_refused_and_shown_harmless(fake: FakeRegistry, tag: str) -> None:
    answer = json.dumps({"name": "x", "tags": ["good", tag]}).encode()
    fake.faults.append(only("/tags/list", lambda handler: handler.reply(200, answer)))
    with pytest.raises(RegistryError, match="is no tag") as caught:
        client(fake)[0].repository("x").tags()
    assert str(caught.value).isprintable()


def test_search_without_an_index_reads_the_catalogue(fake: FakeRegistry) -> None:
    answer = json.dumps({"repositories": ["a/web", "db", "web"]}).encode()
    fake.faults.append(only("/_catalog", lambda handler: handler.reply(200, answer)))
    assert [item.name for item in search(client(fake)[0], "web", limit=5)] == ["a/web", "web"]


# Writing


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def upload(fake: FakeRegistry, content: Path, monkeypatch: pytest.MonkeyPatch, *, chunk: int) -> list[int]:
    monkeypatch.setattr("pyctr.registry.upload.MONOLITHIC_BYTES", 1024)
    monkeypatch.setattr("pyctr.registry.upload.CHUNK_BYTES", chunk)
    registry, _ = client(fake, pull=False)
    seen: list[int] = []
    data = content.read_bytes()
    Uploader(registry.repository("x")).upload(str(content), digest_of(data), len(data), seen.append)
    assert fake.blobs[digest_of(data)] == data
    return seen


def test_upload_goes_in_chunks(fake: FakeRegistry, content: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = upload(fake, content, monkeypatch, chunk=4000)
    assert len(fake.asked("PATCH", "/uploads/")) == 3
    assert max(seen) == 10_240


def test_upload_of_a_small_blob_is_one_request(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"small")
    upload(fake, path, monkeypatch, chunk=4000)
    assert [how for how, _, _ in fake.requests if how in ("PATCH", "PUT")] == ["PUT"]


def test_upload_goes_on_where_the_connection_broke(
    fake: FakeRegistry, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(handler: Handler) -> bool:
        if handler.command != "PATCH":
            return False
        fake.uploads["0"] += handler.rfile.read(1000)
        return handler.cut(reset=True)

    fake.faults.append(only("/uploads/", half, times=1_000))
    fake.faults[0] = only("/uploads/0", half, times=4)
    upload(fake, content, monkeypatch, chunk=4000)
    assert fake.asked("GET", "/uploads/")


def test_upload_the_registry_refuses_is_an_error(fake: FakeRegistry, content: Path) -> None:
    registry, _ = client(fake, pull=False)
    with pytest.raises(RegistryError, match="digest invalid: provided digest did not match"):
        Uploader(registry.repository("x")).upload(str(content), digest_of(b"else"), 10_240, lambda _: None)


def test_mount_takes_over_or_cancels(fake: FakeRegistry) -> None:
    blob = fake.put_blob(b"x")
    fake.put_manifest("source", "latest", {}, "application/json")
    uploader = Uploader(client(fake, pull=False)[0].repository("x"))
    assert uploader.mount(blob, "source")
    assert not uploader.mount(blob, "absent")
    assert fake.uploads == {}


def test_put_manifest_the_registry_changed_is_an_error(fake: FakeRegistry) -> None:
    answer = {"Docker_Content_Digest": digest_of(b"else")}
    fake.faults.append(only("/manifests/", lambda handler: handler.body() is not None and handler.reply(201, **answer)))
    with pytest.raises(RegistryError, match="stored another digest"):
        Uploader(client(fake, pull=False)[0].repository("x")).put_manifest("latest", b"{}", "application/json")


def test_threads_share_one_token(fake: FakeRegistry) -> None:
    queries = token_server(fake)
    registry, _ = client(fake)
    blob = fake.put_blob(b"x")
    threads = [threading.Thread(target=registry.repository("x").has_blob, args=(blob,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queries) == 1
