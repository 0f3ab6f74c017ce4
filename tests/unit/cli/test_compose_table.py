"""The live table of compose: what it draws, whatever the terminal's size."""

from __future__ import annotations

import io
import re

import pytest

from pyctr.cli.commands.compose.progress import Plain, Table
from pyctr.compose.apply.images import Transfer


def drawn(table: Table, width: int) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in table._lines(width)]


@pytest.fixture
def table() -> Table:
    table = Table(io.StringIO(), colour=True)
    table.over.set()  # nothing is drawn by itself
    for number in range(3):
        table.event(f"Container project-with-a-long-name-{number}", "Starting", state="working")
    table.event(
        "Container project-with-a-long-name-1", "Error no such file or directory, or something longer", state="error"
    )
    table.event("db", "Pulling", state="working")
    table.moved("db", 1_500_000, 30_000_000)
    return table


@pytest.mark.parametrize("width", [30, 40, 60, 100, 200])
def test_lines_fit_and_tell_names_apart(table: Table, width: int) -> None:
    head, *rows = drawn(table, width)
    assert head == "[+] Running 1/4"
    assert {len(row) for row in rows} == {width}
    assert len(set(rows)) == len(rows)
    assert all(row.endswith("s ") for row in rows)


def test_bytes_stand_after_the_word_until_the_next_event(table: Table) -> None:
    assert "db                                  " in drawn(table, 100)[-1]
    assert "Pulling 1.50MB / 30.00MB" in drawn(table, 100)[-1]
    table.event("db", "Pulled", state="done")
    assert "MB" not in drawn(table, 100)[-1]


def test_rows_at_work_are_shown_where_not_all_fit(table: Table) -> None:
    rows = drawn(table, 60)[1:]
    shown = table._shown(rows, 3)
    assert shown == [rows[0], rows[2], rows[3]], "the one that has ended gives way"


def test_pull_without_a_terminal_is_a_line_a_stage_of_each_layer() -> None:
    out = io.StringIO()
    plain = Plain(out)
    tell = Transfer("db", plain)
    plain.pull("db", "Pulling", state="working")
    tell("Pulling from library/db", id="latest")
    for status, current in (("Pulling fs layer", 0), ("Downloading", 1), ("Downloading", 2), ("Pull complete", 0)):
        tell(status, "0123456789ab", current, 2 if current else 0)
    plain.pull("db", "Pulled", state="done")
    layer = " 0123456789ab"
    assert out.getvalue() == (
        f" db Pulling \n{layer} Pulling fs layer \n{layer} Downloading \n{layer} Pull complete \n db Pulled \n"
    )
