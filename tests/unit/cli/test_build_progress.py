"""Lines of a build's output: whole ones, ones without end, ones that would move the cursor."""

from __future__ import annotations

import io
import re

from pyctr.cli.build.plain import Plain
from pyctr.cli.build.vertex import Vertex, item_text, printable


def test_lines_are_put_together_by_stream() -> None:
    entry = Vertex("RUN", 1)
    assert entry.take(1, b"a\nb") == ["a"]
    assert entry.take(2, b"err\n") == ["err"]
    assert entry.take(1, b"c\r\n10%\r20%\nrest") == ["bc", "20%"]
    assert entry.finish() == ["rest"]
    assert entry.lines == ["a", "err", "bc", "20%", "rest"]


def test_line_without_end_is_shown_in_pieces_and_not_kept() -> None:
    entry = Vertex("RUN", 1)
    shown = [line for _ in range(64) for line in entry.take(1, b"x" * 10_000)]
    assert len(max(shown, key=len)) < 80_000
    assert sum(map(len, shown + entry.finish())) == 640_000


def test_what_moves_the_cursor_is_not_written() -> None:
    assert printable("\x1b[31mred\x1b[0m\x1b]0;title\x07 \x08bell\t|é") == "red �bell\t|é"


def test_interrupted_step_is_named_again() -> None:
    out = io.StringIO()
    progress = Plain(out)
    progress.start("a", "[1/2] RUN a")
    progress.start("b", "[2/2] RUN b")
    progress.log("a", 1, b"said\n")
    progress.done("b")
    progress.done("a", error="exit code: 1")
    lines = [re.sub(r"\d\.\d+", "T", line) for line in out.getvalue().splitlines()]
    assert lines == [
        "#1 [1/2] RUN a", "#1 ...", "",
        "#2 [2/2] RUN b", "#2 ...", "",
        "#1 [1/2] RUN a", "#1 T said", "#1 ...", "",
        "#2 [2/2] RUN b", "#2 DONE Ts", "",
        "#1 [1/2] RUN a", "#1 ERROR: exit code: 1",
    ]  # fmt: skip
    assert progress.failed_output() == "------\n > [1/2] RUN a:\nsaid\n------\n"


def test_sizes_are_buildxs() -> None:
    assert item_text("layer", 1500, 2_000_000, done=True) == "layer 1.50kB / 2.00MB done"
