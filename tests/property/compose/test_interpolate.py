"""Interpolation against a model: every template is made with the value it must give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyctr.compose.interpolate import substitute

VARIABLES = {"SET": "value", "EMPTY": "", "lower": "x$y"}
NAMES = st.sampled_from(["SET", "EMPTY", "lower", "UNSET", "_U1"])
PLAIN = st.text(alphabet=st.sampled_from("abc XYZ09.:/-_{é"), max_size=8)


def expected(name: str, operator: str, value: str) -> str:
    given = VARIABLES.get(name)
    present = given is not None and (given != "" or ":" not in operator)
    if operator.endswith("-"):
        return given if present and given is not None else value
    return value if present else given or ""


@st.composite
def templates(draw: st.DrawFn, depth: int = 3, inside: bool = False) -> tuple[str, str]:
    """A template and what it must become."""
    text, result = "", ""
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["plain", "dollar", "name", "braced", "default"]))
        if kind == "plain":
            plain = draw(PLAIN).replace("{", "" if inside else "{")
            # A name is not to run on into the text after it.
            text, result = f"{text} {plain}", f"{result} {plain}"
        elif kind == "dollar":
            text, result = f"{text}$$", f"{result}$"
        elif kind == "name" or depth == 0:
            name = draw(NAMES)
            text, result = f"{text}${name} ", f"{result}{VARIABLES.get(name, '')} "
        elif kind == "braced":
            name = draw(NAMES)
            text, result = f"{text}${{{name}}}", f"{result}{VARIABLES.get(name, '')}"
        else:
            name, operator = draw(NAMES), draw(st.sampled_from([":-", "-", ":+", "+"]))
            inner, value = draw(templates(depth=depth - 1, inside=True))
            text, result = f"{text}${{{name}{operator}{inner}}}", result + expected(name, operator, value)
    return text, result


@given(templates())
def test_substitute_gives_what_the_template_was_made_for(case: tuple[str, str]) -> None:
    template, result = case
    assert substitute(template, VARIABLES) == result


@given(st.text())
def test_doubled_dollars_keep_any_text(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}) == text


@given(st.text().filter(lambda text: "$" not in text))
def test_text_without_dollars_is_itself(text: str) -> None:
    assert substitute(text, VARIABLES) == text
