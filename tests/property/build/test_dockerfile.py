"""Dockerfiles by the thousand: held against BuildKit's own parser (PyPI's `dockerfile`), and against what must always hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctr.build.dockerfile.expand import Lexer
from pyctr.build.dockerfile.lexer import read_dockerfile, split_words
from pyctr.build.dockerfile.parser import parse_dockerfile
from pyctr.build.ignore import Matcher
from pyctr.build.plan.graph import plan_build
from pyctr.build.request import Request
from pyctr.errors import BuildError, InvalidArgument, PyctrError

_ATOMS = (
    "a",
    "b c",
    '"',
    "'",
    "$x",
    "${x}",
    "=",
    "\\",
    "\\\n",
    "\n",
    " ",
    "\t",
    "#c",
    "<<E",
    "E",
    "--f=1",
    '["a"]',
    "[",
    "é",
    "`",
    ",",
    "-",
    "/",
    ":-",
)
_KEYWORDS = (
    "RUN ",
    "ENV ",
    "COPY ",
    "LABEL ",
    "ARG ",
    "CMD ",
    "EXPOSE ",
    "FROM ",
    "# ",
    "USER ",
    "ONBUILD ",
    "VOLUME ",
)
_LINES = st.builds(
    lambda word, rest: word + "".join(rest), st.sampled_from(_KEYWORDS), st.lists(st.sampled_from(_ATOMS), max_size=8)
)
FILES = st.lists(_LINES, min_size=1, max_size=5).map("\n".join)
TEXTS = st.lists(st.sampled_from((*_ATOMS, "${", "}", "${x:-", "${x#", "${x/", "?", "*", "%")), max_size=8).map("".join)


@given(FILES)
@settings(max_examples=400, deadline=None)
def test_instructions_are_where_buildkits_parser_finds_them(text: str) -> None:
    dockerfile: Any = pytest.importorskip("dockerfile")
    text = "FROM scratch\n" + text
    try:
        theirs = [item for item in dockerfile.parse_string(text) if item.cmd]  # a lone continuation is an empty one
    except dockerfile.GoParseError:
        return  # it parses arguments too; whether we refuse them is `test_refusals…`'s
    mine = read_dockerfile(text).instructions
    assert [(item.keyword, item.first_line, item.last_line) for item in mine] == [
        (item.cmd.upper(), item.start_line, item.end_line) for item in theirs
    ]
    for here, there in zip(mine, theirs, strict=True):
        # BuildKit takes a flag's bytes for letters; what it makes of others than ASCII is not copied.
        flags = [flag.encode("latin-1").decode()[2:].partition("=") for flag in there.flags]
        assert [(flag.name, flag.value) for flag in here.flags] == [
            (flag[0], flag[2] if flag[1] else None) for flag in flags
        ]


@given(FILES)
@settings(max_examples=300, deadline=None)
def test_a_dockerfile_is_parsed_or_refused_with_its_line(text: str) -> None:
    refused = None
    try:
        parse_dockerfile(text)
    except BuildError as error:
        refused = error
    if refused:
        assert refused.column
        assert 1 <= (refused.line or 0) <= text.count("\n") + 1


@given(FILES)
@settings(max_examples=200, deadline=None)
def test_a_plan_is_made_or_refused_and_is_the_same_every_time(text: str) -> None:
    def resolve(reference: str, platform: str) -> tuple[str, dict[str, Any]]:
        return "sha256:" + "0" * 64, {
            "os": "linux",
            "architecture": platform.split("/")[1],
            "config": {"Env": [reference[:3] + "=1"]},
        }

    text = "FROM x\n" + text
    try:
        first, second = (plan_build(text, Request(context="/c"), resolve) for _ in range(2))
    except BuildError:
        return
    assert [step.key for step in first.steps] == [step.key for step in second.steps]
    seen: set[str] = set()
    for step in first.steps:
        assert all(below.key in seen for below in step.inputs), "inputs come first"
        seen.add(step.key)
    history = first.results[0].config["history"]
    assert len([entry for entry in history if not entry.get("empty_layer")]) == len(first.results[0].layers)


@given(TEXTS, st.dictionaries(st.sampled_from("xE"), st.text("ab*/}", max_size=4)))
@settings(max_examples=500, deadline=None)
def test_expansion_ends_and_fails_in_one_way_only(text: str, environment: dict[str, str]) -> None:
    said = ""
    try:
        Lexer().expand(text, environment)
        Lexer().words(text, environment)
    except InvalidArgument as error:
        said = str(error)
    assert not said or said.startswith("failed to process")


@given(st.text("ab /.$'", max_size=12))
def test_quoted_text_is_itself(text: str) -> None:
    quoted = '"' + text.replace("$", "\\$") + '"'
    assert Lexer().expand(quoted, {"a": "no"}) == text
    assert split_words(quoted, "\\") == [quoted]


@given(st.text("abo", max_size=8), st.text("abo?*", max_size=4))
def test_shortest_and_longest_ends_are_what_the_shell_takes_away(value: str, pattern: str) -> None:
    from fnmatch import fnmatchcase

    def shell(operator: str) -> str:
        longest, at_end = len(operator) == 2, operator[0] == "%"
        lengths = [
            size
            for size in range(len(value) + 1)
            if fnmatchcase(value[len(value) - size :] if at_end else value[:size], pattern)
        ]
        if not lengths:
            return value
        size = lengths[-1] if longest else lengths[0]
        return value[: len(value) - size] if at_end else value[size:]

    for operator in ("#", "##", "%", "%%"):
        assert Lexer().expand(f"${{v{operator}{pattern}}}", {"v": value}) == shell(operator)


@given(
    st.lists(st.text("ab*?/!.[]-", min_size=1, max_size=6), max_size=4),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
)
def test_a_directory_that_holds_nothing_has_nothing_included_below(patterns: list[str], parts: list[str]) -> None:
    try:
        matcher = Matcher(patterns)
    except PyctrError:
        return
    path = "/".join(parts)
    included = not matcher.excluded(path)
    for end in range(1, len(parts)):
        assert matcher.may_hold("/".join(parts[:end])) or not included
