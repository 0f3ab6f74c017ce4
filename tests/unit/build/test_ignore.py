""".dockerignore: Docker's semantics. The cases follow moby/patternmatcher's own documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyctr.build.ignore import Matcher, parse_ignore_file, read_patterns
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("a", "a", True), ("a", "a/b", True), ("a", "b/a", False), ("*/a", "b/a", True), ("*/a", "c/b/a", False), ("**/a", "c/b/a", True),
        ("**/a", "a", True), ("**", "x/y", True), ("a/**", "a/b/c", True), ("a/**", "a", False), ("a/**/z", "a/z", True), ("a/**/z", "a/b/c/z", True),
        ("*.go", "x.go", True), ("*.go", "d/x.go", False), ("**/*.go", "d/e/x.go", True), ("?b", "ab", True),
        ("[a-c]x", "bx", True), ("[^a-c]x", "dx", True), ("[^a-c]x", "ax", False), ("a\\*b", "a*b", True), ("a\\*b", "axb", False),
        ("/a/", "a", True), ("./a", "a", True), ("a/../b", "b", True), ("*\n!a", "a", False), ("*\n!a", "a/b", False), ("*\n!a/b", "a/b", False),
        ("*\n!a/b", "a/c", True), ("!a\na", "a", True), ("a.b", "axb", False), ("a+b", "a+b", True), ("# a\nb", "# a", False), (" a ", "a", True),
        ("docs\n!docs/README.md", "docs/x", True), ("docs\n!docs/README.md", "docs/README.md", False), ("x/b\n!x", "x/b", True), ("[[]x", "[x", True),
    ],
)  # fmt: skip
def test_excluded(patterns: str, path: str, excluded: bool) -> None:
    assert Matcher(parse_ignore_file(patterns)).excluded(path) is excluded


def test_directories_that_may_hold_an_exception_are_looked_into() -> None:
    matcher = Matcher(["*", "!a/b/c", "!d*/x"])
    assert matcher.may_hold("a")
    assert matcher.may_hold("a/b")
    assert matcher.may_hold("q"), "a wildcard may match anywhere, as BuildKit decides"
    assert not Matcher(["*", "!a/b/c"]).may_hold("q")


@pytest.mark.parametrize("pattern", ["[", "[a", "a[]", "[b-a]", "a\\", "!", "[-x]"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        Matcher([pattern])


def test_the_dockerfiles_own_ignore_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("\ufeffa\n")
    assert read_patterns(str(tmp_path), str(tmp_path / "Dockerfile")) == ("a",)
    (tmp_path / "Dockerfile.dockerignore").write_text("b\n")
    assert read_patterns(str(tmp_path), str(tmp_path / "Dockerfile")) == ("b",)
    assert read_patterns(str(tmp_path / "none")) == ()
