"""Go templates, against what a docker client prints for the same values."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.cli.commands.ps import ps
from pyctr.cli.format import compile_template, print_rows
from pyctr.cli.human import columns, quoted, shorten, size
from pyctr.errors import InvalidArgument

VALUE: dict[str, Any] = {
    "Name": "/web", "N": 3, "Flag": True, "None": None, "List": ["a", "b"], "Map": {"y": 2, "x": 1},
    "State": {"Status": "running", "Code": 0}, "Items": [{"Id": 1}, {"Id": 2}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "/web"),
        ("{{.State.Status}}-{{.State.Code}}", "running-0"),
        ("{{json .Map}}", '{"y":2,"x":1}'),
        ("{{.Map}} {{.List}} {{.Flag}} {{.None}}", "map[x:1 y:2] [a b] true <no value>"),
        ("{{range .Items}}{{.Id}},{{end}}", "1,2,"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "x=1;y=2;"),
        ("{{range .None}}x{{else}}none{{end}}", "none"),
        ("{{if .Flag}}yes{{else}}no{{end}}", "yes"),
        ("{{if eq .N 4}}four{{else if gt .N 2}}many{{else}}few{{end}}", "many"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ('{{join .List ", " | upper}}', "A, B"),
        ('{{index .Map "x"}}{{index .List 1}}', "1b"),
        ("{{len .List}}", "2"),
        ('{{printf "%s=%d" .Name .N}}', "/web=3"),
        ("a {{- .N -}} b", "a3b"),
        ("{{/* nothing */}}x", "x"),
        ("{{$x := .N}}{{$x}}", "3"),
        ('{{title "word"}} {{lower "ABC"}}', "Word abc"),
        ("{{and .Flag .N}} {{or .None .N}} {{not .Flag}}", "3 3 false"),
        ("{{(index .Items 0).Id}}", "1"),
        ("{{.N | }}", "3"),
    ],
)
def test_template_renders_as_go(template: str, text: str) -> None:
    assert compile_template(template)(VALUE) == text


@pytest.mark.parametrize(
    "template", ["{{.Name", "{{end}}", "{{if .N}}", "{{nothing .N}}", "{{}}", "{{range}}", "{{| .N}}"]
)
def test_template_malformed_is_refused(template: str) -> None:
    with pytest.raises(InvalidArgument):
        compile_template(template)(VALUE)


def test_template_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidArgument, match='map has no entry for key "Nothing"'):
        compile_template("{{.Nothing}}")(VALUE)


@pytest.mark.parametrize(("count", "text"), [(0, "0B"), (999, "999B"), (1982358, "1.98MB"), (12345678901, "12.3GB")])
def test_size_has_three_digits(count: int, text: str) -> None:
    assert size(count) == text


def test_columns_are_dockers() -> None:
    assert columns(["A", "BB"], [["long", "x"]]) == "A         BB\nlong      x\n"
    assert columns(["A", "BB"], [["longer than that", "x"]]).startswith("A                  BB\n")
    assert shorten("abcdef", 4) == "abc…"


def test_quoted_text_stays_on_its_line() -> None:
    assert quoted('a "b"\n\tc\\d\x1b…é') == r'"a \"b\"\n\tc\\d\x1b…é"'


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{{.Bogus}}",
            'failed to execute template: template: :1:2: executing "" at <.Bogus>: can\'t evaluate field Bogus',
        ),
        ("table {{.ID}}\\t{{.CreatedAgo}}", "failed to execute template: .* can't evaluate field CreatedAgo"),
        ("{{.ID", "failed to parse template: template: :1: unclosed action"),
        ("{{slice .ID 0 3}}", "failed to execute template: .* error calling slice: index out of range: 3"),
    ],
)
def test_ps_checks_its_template_before_it_looks_for_containers(template: str, said: str) -> None:
    engine: Any = None
    with pytest.raises(InvalidArgument, match=said):
        ps(engine, {"format": template}, [])


def test_other_listings_check_a_template_with_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("{{.Bogus}}", [], {"Name": "NAME"})
    assert capsys.readouterr().out == ""
    for rows, template in (([{"Name": "a"}], "{{.Bogus}}"), ([], "{{.Name")):
        with pytest.raises(InvalidArgument, match=r"^template parsing error: template: :1"):
            print_rows(template, rows, {"Name": "NAME"})
