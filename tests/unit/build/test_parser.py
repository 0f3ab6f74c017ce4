"""Dockerfiles to instructions, and what is wrong with them, where."""

from __future__ import annotations

import pytest

from pyctr.build.dockerfile import commands
from pyctr.build.dockerfile.lexer import read_dockerfile
from pyctr.build.dockerfile.parser import parse_dockerfile
from pyctr.errors import BuildError


def test_lines_are_joined_over_comments_and_empty_ones() -> None:
    source = read_dockerfile("# c\nFROM a\nRUN x \\\n  # not this\n\n  y \\\nz\nCMD q")
    assert [(item.keyword, item.rest, item.first_line, item.last_line) for item in source.instructions] == [
        ("FROM", "a", 2, 2), ("RUN", "x   y z", 3, 7), ("CMD", "q", 8, 8),
    ]  # fmt: skip
    assert source.empty_continuations == [7]


def test_directives_end_with_the_first_line_that_is_none() -> None:
    source = read_dockerfile(
        "# syntax = docker/dockerfile:1\n# Escape=`\n# check=skip=all\n# other=x\n# syntax=y\nFROM a `\n AS b\n"
    )
    assert source.directives == {"syntax": "docker/dockerfile:1", "escape": "`", "check": "skip=all"}
    assert source.instructions[0].rest == "a  AS b"


def test_here_documents_of_one_line_follow_each_other() -> None:
    text = 'FROM a\nCOPY <<one <<-"two" /d/\n$1\none\n\t\tx\n\ttwo\nRUN cat <<EOF 3<<X\nb\nEOF\nc\nX\n'
    copy, run = parse_dockerfile(text).stages[0].commands
    assert isinstance(copy, commands.Transfer)
    assert isinstance(run, commands.Run)
    assert [(item.name, item.text, item.expand) for item in copy.documents] == [
        ("one", "$1\n", True),
        ("two", "x\n", False),
    ]
    assert [(item.name, item.content, item.descriptor) for item in run.documents] == [
        ("EOF", "b\n", 0),
        ("X", "c\n", 3),
    ]


def test_exec_form_has_no_here_documents() -> None:
    (run,) = parse_dockerfile('FROM a\nRUN ["cat", "<<EOF"]\n').stages[0].commands
    assert isinstance(run, commands.Run)
    assert (run.words, run.shell, run.documents) == (["cat", "<<EOF"], False, [])


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "file with no instructions"),
        ("RUN x", 1, 1, "no build stage in current context"),
        ("FROM a\nCPOY a b", 2, 1, "unknown instruction: CPOY (did you mean COPY?)"),
        ("FROM a\nCOPY --chwon=1 a b", 2, 6, "unknown flag: --chwon (did you mean chown?)"),
        ("FROM a\nCOPY --from a b", 2, 6, "missing a value on flag: --from"),
        ("FROM a\nCOPY --link=maybe a b", 2, 6, "expecting boolean value for flag --link, not: maybe"),
        ("FROM a\nCOPY --from=a --from=b a b", 2, 15, "duplicate flag specified: from"),
        ("FROM a\nCOPY a", 2, 1, "COPY requires at least two arguments"),
        ("FROM a\nCOPY a <<E\nE\n", 2, 8, "COPY cannot accept a heredoc as a destination"),
        ("FROM a b", 1, 1, "FROM requires either one or three arguments"),
        ("FROM a AS 1x", 1, 11, 'invalid name for build stage: "1x"'),
        ("FROM a\nENV x", 2, 1, "ENV must have two arguments"),
        ("FROM a\nENV a=b c", 2, 9, "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
        ("FROM a\nLABEL =b", 2, 7, "LABEL names can not be blank"),
        ("FROM a\nRUN", 2, 1, "RUN requires at least one argument"),
        ("FROM a\nRUN --network=hots x", 2, 5, 'unsupported network mode "hots" (did you mean host?)'),
        ("FROM a\nRUN --device=x y", 2, 5, "RUN --device is not supported"),
        ("FROM a\nSHELL sh -c", 2, 7, "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nCMD [1]", 2, 5, "arrays must be comprised of strings only"),
        ("FROM a\nHEALTHCHECK curl x", 2, 13, 'Unknown type "CURL" in HEALTHCHECK (try CMD)'),
        ("FROM a\nHEALTHCHECK --interval=1 CMD x", 2, 13, 'invalid duration for --interval: "1"'),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x", 2, 13, 'Interval "interval" cannot be less than 1ms'),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", 2, 13, "--retries cannot be negative (-1)"),
        ("FROM a\nHEALTHCHECK NONE x", 2, 18, "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nONBUILD ONBUILD RUN x", 2, 1, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("FROM a\nONBUILD FROM x", 2, 1, "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD RNU x", 2, 9, "unknown instruction: RNU (did you mean RUN?)"),
        ("FROM a\nRUN <<E\nx", 2, 5, "unterminated heredoc"),
        ("# escape=x\nFROM a", 1, 1, "invalid escape token 'x'"),
        ("# escape=`\n# escape=`\nFROM a", 2, 1, "only one escape parser directive can be used"),
        ("FROM a\nRUN a \\\n  b\nVOLUME []", 4, 1, "VOLUME requires at least one argument"),
    ],
)  # fmt: skip
def test_error_names_line_and_column(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_dockerfile(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert message in str(caught.value)
