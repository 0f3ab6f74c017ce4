"""Challenges of odd registries."""

from __future__ import annotations

import pytest

from pyctr.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://a/token",service="r",scope="repository:x:pull,push"',
            [Challenge("bearer", {"realm": "https://a/token", "service": "r", "scope": "repository:x:pull,push"})],
        ),
        ("BEARER Realm=x , Service = y", [Challenge("bearer", {"realm": "x", "service": "y"})]),
        (
            'Basic realm="a", Bearer realm="b"',
            [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b"})],
        ),
        (r'Basic realm="a\"b\\c"', [Challenge("basic", {"realm": 'a"b\\c'})]),
        ('Basic realm="unclosed', [Challenge("basic", {})]),
        ('Basic realm="a", realm="b"', [Challenge("basic", {"realm": "a"})]),
        (",, Basic realm=a,,", [Challenge("basic", {"realm": "a"})]),
        ("=x", []),
        ("Negotiate, Basic realm=a", [Challenge("negotiate", {}), Challenge("basic", {"realm": "a"})]),
    ],
)
def test_parse_challenges_header_gives_challenges(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected
