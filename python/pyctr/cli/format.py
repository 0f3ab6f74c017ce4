"""`--format`: json, table and Go templates, for one value (`inspect`) and for rows (`ps`, `images`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.human import columns
from pyctr.cli.template import Template
from pyctr.cli.template.errors import ExecutionError, ParseError
from pyctr.cli.template.values import Missing
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable


def compile_template(text: str) -> Callable[[Any], str]:
    """A function from a value to text, as `inspect --format` does it. Raises InvalidArgument in Docker's words."""
    try:
        template = Template(text)
    except ParseError as error:
        raise _reworded(error, "template parsing error") from None

    def render(value: Any) -> str:
        try:
            return template.render(value)
        except ExecutionError as error:
            raise _reworded(error, "template parsing error") from None

    return render


def _reworded(error: InvalidArgument, words: str) -> InvalidArgument:
    changed = InvalidArgument(f"{words}: {error}")
    changed.exit_code = error.exit_code
    return changed


class Row:
    """A row as a template sees it: what is asked for must be a column; `Label "key"` is one label."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def template_field(self, name: str) -> Any:
        """A column. Raises Missing."""
        if name not in self.values:
            raise Missing(f"can't evaluate field {name} in type row")
        return self.values[name]

    def template_method(self, name: str) -> Callable[[str], str] | None:
        """`Label`."""
        return self._label if name == "Label" and "Labels" in self.values else None

    def _label(self, key: str) -> str:
        pairs = (pair.partition("=") for pair in str(self.values["Labels"]).split(","))
        return next((value for name, _, value in pairs if name == key), "")

    def template_json(self) -> dict[str, Any]:
        """What `json .` gives: the columns, sorted."""
        return dict(sorted(self.values.items()))


class Header(Row):
    """The headers of columns."""

    __slots__ = ()

    def template_field(self, name: str) -> Any:
        """A column's header; its own name where there is none."""
        return self.values.get(name, name)

    def template_method(self, name: str) -> Callable[[str], str] | None:
        """`Label "com.example.key"` heads its column with the key's last part (docker formatter)."""
        return _label_header if name == "Label" else None


def _label_header(key: str) -> str:
    return key.rpartition(".")[2].replace("-", " ").replace("_", " ")


def parse_rows(template: str) -> tuple[Template, bool]:
    """A template for rows, and whether it asks for a table. Raises ParseError."""
    if template == "json":
        template = "{{json .}}"
    is_table = template.startswith("table ")
    body = template.removeprefix("table ").strip() if is_table else template
    return Template(body.replace("\\t", "\t").replace("\\n", "\n")), is_table


def check_rows(template: str, row: dict[str, Any]) -> None:
    """Refuse what cannot be shown of any row, in the words of Docker's `ps`, which alone looks before there are rows."""
    try:
        parsed, _ = parse_rows(template)
    except ParseError as error:
        raise _reworded(error, "failed to parse template") from None
    try:
        parsed.render(Row(row))
    except ExecutionError as error:
        raise _reworded(error, "failed to execute template") from None


def print_rows(template: str, rows: list[dict[str, Any]], headers: dict[str, str]) -> None:
    """Rows as Docker prints them: ``json`` a line each, ``table …`` with a header, else the template a line each."""
    try:
        parsed, is_table = parse_rows(template)
        lines = [parsed.render(Row(row)) for row in rows]
        header = parsed.render(Header(headers), is_header=True) if is_table else ""
    except (ParseError, ExecutionError) as error:
        raise _reworded(error, "template parsing error") from None
    if not is_table:
        sys.stdout.write("".join(line + "\n" for line in lines))
        return
    cells = [line.split("\t") for line in lines]
    sys.stdout.write(columns(header.split("\t"), cells))
