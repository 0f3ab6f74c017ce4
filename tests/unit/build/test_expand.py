"""Every form of variable, quotes and words. The cases are those of the shell's manual and of BuildKit's documentation."""

from __future__ import annotations

import pytest

from pyctr.build.dockerfile.expand import Lexer
from pyctr.errors import InvalidArgument

ENVIRONMENT = {"v": "/foo/boo.tar.gz", "e": "", "w": "a  b", "q": 'x"y', "up": "foofoo"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$v", "/foo/boo.tar.gz"), ("${v}x", "/foo/boo.tar.gzx"), ("$vx", ""), ("a$", "a$"), (r"\$v", "$v"), ("'$v'", "$v"),
        ('"$e-$up"', "-foofoo"), ("${n:-x}", "x"), ("${n-x}", "x"), ("${e:-x}", "x"), ("${e-x}", ""), ("${v:+x}", "x"), ("${e:+x}", ""),
        ("${e+x}", "x"), ("${n+x}", ""), ("${v:?no}", "/foo/boo.tar.gz"), ("${e?no}", ""), ("${v#*/}", "foo/boo.tar.gz"),
        ("${v##*/}", "boo.tar.gz"), ("${v%.*}", "/foo/boo.tar"), ("${v%%.*}", "/foo/boo"), ("${v#nope}", "/foo/boo.tar.gz"),
        ("${up/o/0}", "f0ofoo"), ("${up//o/0}", "f00f00"), ("${up//f?o/-}", "--"), ("${up/o*/}", "f"), (r"${v/\/foo/}", "/boo.tar.gz"),
        (r"${up#\*}", "foofoo"), ("${n:-${up}}", "foofoo"), ("${n:-'a b'}", "a b"), ("${up//x/y}", "foofoo"), ('"a\\"b"', 'a"b'),
        ('"a\\b"', "a\\b"), ("a\\b", "ab"), ("$1", ""), ("${n}", ""), ("é$up", "éfoofoo"), ("", ""),
    ],
)  # fmt: skip
def test_expand_gives_what_the_shell_would(text: str, expected: str) -> None:
    assert Lexer().expand(text, ENVIRONMENT) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "missing '}'"), ("${v", "missing '}'"), ("${}", "bad substitution"), ("${:x}", "bad substitution"),
        ("${v:-x", "missing '}'"), ("${v!x}", "unsupported modifier (!)"), ("${v:=x}", "unsupported modifier (:=)"),
        ("${n?}", "n: is not allowed to be unset"), ("${n:?custom}", "n: custom"), ("${e:?}", "e: is not allowed to be empty"),
        ("'a", "matching single-quote"), ('"a', "matching double-quote"), ("${v/a}", "missing '/' in ${}"), (r"${v#\q}", r"invalid escape '\q'"),
    ],
)  # fmt: skip
def test_expand_refuses_in_buildkits_words(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Lexer().expand(text, ENVIRONMENT)
    assert message in str(caught.value)


def test_words_split_values_of_variables_but_not_quotes() -> None:
    assert Lexer().words("a $w 'c  d' \"$w\" e\\ f", ENVIRONMENT) == ["a", "a", "b", "c  d", "a  b", "e f"]


def test_escape_may_be_a_backtick() -> None:
    assert Lexer("`").expand("C:\\x `$v $up", ENVIRONMENT) == "C:\\x $v foofoo"


def test_unset_variables_stay_where_they_are_kept() -> None:
    lexer = Lexer(keep_unset=True, keep_quotes=True)
    assert lexer.expand("echo \"$n\" '$up' ${n:-x} $up", ENVIRONMENT) == "echo \"$n\" '$up' ${n:-x} foofoo"
