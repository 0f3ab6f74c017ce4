"""Endpoints, proxies, waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyctr.image.manifest import clean
from pyctr.registry.hosts import Settings, is_insecure, plan_endpoints, tls_context
from pyctr.registry.proxy import find_proxy
from pyctr.registry.transport import retry_after

if TYPE_CHECKING:
    from pathlib import Path


def urls(domain: str, settings: Settings, *, pull: bool = True) -> list[str]:
    return [endpoint.url for endpoint in plan_endpoints(domain, settings, pull=pull)]


def test_plan_endpoints_mirrors_serve_pulls_of_the_hub_only() -> None:
    settings = Settings(mirrors=["http://mirror:5000/", "https://two/path"])
    assert urls("docker.io", settings) == ["http://mirror:5000", "https://two/path", "https://registry-1.docker.io"]
    assert urls("docker.io", settings, pull=False) == ["https://registry-1.docker.io"]
    assert urls("r.example", settings) == ["https://r.example"]


def test_plan_endpoints_insecure_is_tried_with_tls_first() -> None:
    assert urls("r.example:5000", Settings(insecure=["r.example:5000"])) == [
        "https://r.example:5000",
        "http://r.example:5000",
    ]
    assert urls("localhost:5000", Settings()) == ["https://localhost:5000", "http://localhost:5000"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("127.9.9.9", True), ("[::1]:5000", True),
        ("10.1.2.3:5000", True), ("11.1.2.3:5000", False), ("r.example", True), ("r.example:443", True),
        ("other.example", False), ("localhost.example", False), ("127.0.0.1.example", False),
    ],
)  # fmt: skip
def test_is_insecure_lists_networks_and_this_machine(host: str, expected: bool) -> None:
    assert is_insecure(host, ["r.example", "10.0.0.0/8", "nonsense/99"]) is expected


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://r.example/v2/", {}, None),
        ("https://r.example/v2/", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://r.example/v2/", {"https_proxy": "p:3128"}, "http://p:3128"),
        ("http://r.example/v2/", {"HTTPS_PROXY": "http://p"}, None),
        ("http://r.example/v2/", {"HTTP_PROXY": "http://p"}, "http://p"),
        ("http://r.example/v2/", {"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, None),
        ("https://localhost:5000/", {"HTTPS_PROXY": "http://p"}, None),
        ("https://127.0.0.1:5000/", {"HTTPS_PROXY": "http://p"}, None),
        ("https://r.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "r.example"}, None),
        ("https://a.r.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "x, r.example"}, None),
        ("https://r.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": ".r.example"}, "http://p"),
        ("https://notr.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "r.example"}, "http://p"),
        ("https://r.example:5000/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "r.example:5001"}, "http://p"),
        ("https://r.example:5000/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "r.example:5000"}, None),
        ("https://10.2.3.4/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://r.example/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
    ],
)
def test_find_proxy_reads_the_environment_as_go_does(
    url: str, environment: dict[str, str], expected: str | None
) -> None:
    assert find_proxy(url, environment) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("", None), ("3", 3.0), ("soon", None), ("-1", None), ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after(value, 100.0) == expected


def test_clean_leaves_one_bounded_line() -> None:
    assert clean("a\nb\x1b[31m\tc") == "a b [31m c"
    assert len(clean("x" * 5000)) == 300


@pytest.mark.parametrize("host", ["..", ".", "../other", "a/../.."])
def test_tls_context_host_of_a_redirect_leads_to_no_other_directory(tmp_path: Path, host: str) -> None:
    (tmp_path / "certs.d/a").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "certs.d", tmp_path / "other"):
        place.mkdir(exist_ok=True)
        (place / "x.crt").write_text("no certificate")  # reading it would be an error
    tls_context(host, Settings(certificates=[str(tmp_path / "certs.d")]), insecure=False)
