"""Templates of any text: the value's text, or one of our errors in one line; never anything else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyctr.cli.format import compile_template
from pyctr.cli.template.text import quote, unquote
from pyctr.errors import InvalidArgument
from tests.integration.cli.templates import INSPECT

VALUE: dict[str, Any] = {
    "Name": "/web", "Id": "0123456789abcdef", "State": {"Status": "created", "Running": False, "ExitCode": 0},
    "Config": {"Cmd": ["sh"], "Labels": {"a": "1"}, "Env": ["A=b", "C=d"], "Volumes": None, "Hostname": "h", "Image": "i"},
    "HostConfig": {"Memory": 0, "PortBindings": {}}, "NetworkSettings": {"Ports": {}}, "Float": 1.5, "Null": None,
}  # fmt: skip
PIECES = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", ".", ".Name", ".State", "$", "$x", ":=", "=", "|", "(", ")", '"a"', "`b`", "'c'", "1", "-2",
     "1.5", "if", "else", "end", "range", "with", "define", "template", "block", "break", "json", "len", "index", "printf", "eq",
     "and", "or", "not", "slice", "join", "split", "/*", "*/", ",", "nil", "true", "text", "\n", '"%d%s"', ".Null", ".Config.Labels"]
)  # fmt: skip


@given(st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=40), st.sampled_from(INSPECT)))
def test_any_template_gives_text_or_one_line(template: str) -> None:
    try:
        said = "template parsing error: template: :" + compile_template(template)(VALUE)
    except InvalidArgument as error:
        said = str(error)
    assert said.startswith("template parsing error: template: :")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_is_itself(text: str) -> None:
    assert compile_template(text)({}) == text


@given(st.text())
def test_quoted_text_comes_back(text: str) -> None:
    assert unquote(quote(text)) == text
    if text.isprintable():
        assert compile_template("{{" + quote(text) + "}}")({}) == text


@given(st.lists(st.text(alphabet="abc ", max_size=5), max_size=5), st.integers(0, 6), st.integers(0, 6))
def test_functions_are_pythons(items: list[str], start: int, end: int) -> None:
    value = {"L": items, "S": start, "E": end}
    assert compile_template('{{join .L ","}}')(value) == ",".join(items)
    assert compile_template("{{range $i, $v := .L}}{{if $i}},{{end}}{{$v}}{{end}}")(value) == ",".join(items)
    if start <= end <= len(items):
        assert compile_template('{{join (slice .L .S .E) ","}}')(value) == ",".join(items[start:end])
    assert compile_template("{{lt .S .E}} {{eq .S .E}}")(value) == f"{start < end} {start == end}".lower()
