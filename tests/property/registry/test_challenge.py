"""Challenges: what is written is read; what is garbage does no harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyctr.registry.challenge import Challenge, parse_challenges

_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!", min_size=1, max_size=12)
_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_CHALLENGE = st.builds(Challenge, _TOKEN, st.dictionaries(_TOKEN, _VALUE, min_size=1, max_size=4))


def written(challenge: Challenge) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return challenge.scheme + " " + ", ".join(f"{name}={quoted(value)}" for name, value in challenge.parameters.items())


@given(st.lists(_CHALLENGE, max_size=4))
def test_parse_challenges_what_was_written_is_read(challenges: list[Challenge]) -> None:
    assert parse_challenges(", ".join(map(written, challenges))) == challenges


@given(st.text(max_size=200))
def test_parse_challenges_garbage_never_raises(text: str) -> None:
    for challenge in parse_challenges(text):
        assert challenge.scheme


@given(st.text(st.sampled_from('Basic realm="x", \\=;'), max_size=100))
def test_parse_challenges_near_challenges_never_raise(text: str) -> None:
    parse_challenges(text)
