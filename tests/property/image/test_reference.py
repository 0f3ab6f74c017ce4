"""References against the grammar as regular expressions (distribution's reference grammar)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctr.errors import InvalidArgument
from pyctr.image.reference import parse_reference
from pyctr.image.store import encode_name

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_ORACLE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)
_alphabet = st.text(alphabet="abAZ019.:/@_-[]", max_size=30)


@given(_alphabet)
def test_parse_accepts_exactly_what_the_grammar_does(text: str) -> None:
    try:
        parse_reference(text)
        accepted = True
    except InvalidArgument:
        accepted = False
    if accepted:
        assert _ORACLE.fullmatch(text), text
    elif _ORACLE.fullmatch(text):
        # Docker refuses more than the bare grammar: capitals in what is a path by its rules, lone hex ids.
        first = text.partition("/")[0]
        looks_like_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
        assert not looks_like_host or text.count("/") == 0 or re.fullmatch(r"[0-9a-f]{64}", text), text


_component = st.from_regex(_COMPONENT, fullmatch=True).filter(lambda text: len(text) < 30)


@given(
    st.lists(_component.filter(lambda text: "." not in text), min_size=1, max_size=3),
    st.from_regex(r"[\w][\w.-]{0,20}", fullmatch=True).filter(str.isascii),
)
# A first component with a dot would be a host name, which knows no underscore.
def test_parse_familiar_form_leads_back(path: list[str], tag: str) -> None:
    reference = parse_reference("/".join(path) + ":" + tag)
    assert parse_reference(reference.familiar) == reference
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("host:5000/app:v1", "host:5000/app:v1", "host:5000/app:v1"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ],
)
def test_parse_normalises_as_docker(text: str, full: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (full, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nginx",
        "a//b",
        "a:",
        "a@sha256:00",
        ":tag",
        "-a",
        "a b",
        "a" * 300,
        "f" * 64,
        "../x",
        "a/../b",
        "a:b/../../c",
        "a:b\\n",
        "a:b c",
        "a:é",
    ],
)
def test_parse_refuses_what_docker_does(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_reference(text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_encoded_names_are_distinct_and_safe(first: str, second: str) -> None:
    assert (encode_name(first) == encode_name(second)) == (first == second)
    assert "/" not in encode_name(first)
    assert not encode_name(first).startswith(".")
