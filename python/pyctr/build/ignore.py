""".dockerignore and `COPY --exclude`: Docker's own semantics (moby/patternmatcher, BuildKit's dockerignore), which are not git's.

A pattern is rooted at the context; `*` and `?` stay within a path's part, `**` does not; `!` takes back; the last pattern that matches
decides; a directory that matches takes along what is in it.
"""

from __future__ import annotations

import os
import posixpath

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_REGEX_LETTERS = frozenset(".+()|{}$")
_WILDCARDS = frozenset("*?[]\\")


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """The patterns of a .dockerignore, cleaned."""
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#") or not (pattern := line.strip()):
            continue
        back = pattern.startswith("!")
        if back:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = posixpath.normpath(pattern)
            if pattern.startswith("//"):  # normpath keeps two, filepath.Clean does not
                pattern = pattern[1:]
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append("!" + pattern if back else pattern)
    return tuple(patterns)


def read_patterns(context: str, dockerfile: str = "") -> tuple[str, ...]:
    """The patterns of `DOCKERFILE.dockerignore`, else of `CONTEXT/.dockerignore`; none if there is neither. Raises InvalidArgument."""
    candidates = [f"{dockerfile}.dockerignore"] if dockerfile else []
    for path in [*candidates, f"{context}/.dockerignore"]:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return parse_ignore_file(file.read())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InvalidArgument(f"read {path}: {error.strerror}") from None
    return ()


class Matcher:
    """Which paths a list of patterns excludes. Paths are relative, with `/`, clean."""

    __slots__ = ("_directories", "_exceptions", "patterns")

    def __init__(self, patterns: tuple[str, ...] | list[str]) -> None:
        self.patterns = [Pattern(text) for line in patterns if (text := line.strip())]
        self._exceptions = [pattern for pattern in self.patterns if pattern.takes_back]
        #: Directory → for each pattern, whether it was found to match that directory or one above it.
        self._directories: dict[str, tuple[bool, ...]] = {"": (False,) * len(self.patterns)}

    def excluded(self, path: str) -> bool:
        """Whether a path is excluded: the last pattern that matches it, or a directory above it, decides."""
        return self._decide(path)[0]

    def _decide(self, path: str) -> tuple[bool, tuple[bool, ...]]:
        """Going down from the top as BuildKit does: a pattern that would change nothing at a directory is not remembered to match it."""
        directory = os.path.dirname(path)
        above = self._directories.get(directory)
        if above is None:
            above = self._directories[directory] = self._decide(directory)[1]
        decided, matches = False, []
        for pattern, matched in zip(self.patterns, above, strict=True):
            matches.append(matched or (pattern.takes_back == decided and pattern.match(path)))
            if matches[-1]:
                decided = not pattern.takes_back
        return decided, tuple(matches)

    def may_hold(self, directory: str) -> bool:
        """Whether anything in a directory can be included: False means it can be passed over as a whole."""
        if not self.excluded(directory):
            return True
        return any(pattern.may_match_below(directory) for pattern in self._exceptions)


class Pattern:
    """One pattern. Raises InvalidArgument if it is malformed."""

    __slots__ = ("_kind", "_regex", "takes_back", "text")

    def __init__(self, line: str) -> None:
        text = posixpath.normpath(line)
        if text.startswith("//"):
            text = text[1:]
        self.takes_back = text.startswith("!")
        if self.takes_back:
            text = text[1:]
            if not text:
                raise InvalidArgument('illegal exclusion pattern: "!"')
        check_pattern(text)
        self.text = text
        self._kind, regex = _translate(text)
        self._regex = _compiled(regex) if self._kind == "regex" else None

    def match(self, path: str) -> bool:
        """Whether it matches this very path."""
        if self._regex is not None:
            return self._regex.match(path) is not None
        if self._kind == "prefix":
            return path.startswith(self.text[:-2])
        if self._kind == "suffix":
            suffix = self.text[2:]
            return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
        return path == self.text

    def may_match_below(self, directory: str) -> bool:
        """Whether it could match something in a directory; yes if it has a wildcard, as BuildKit decides."""
        return bool(_WILDCARDS & set(self.text)) or (self.text + "/").startswith(directory + "/")


def _compiled(regex: str) -> re.Pattern[str]:
    import re

    return re.compile(regex)


def _translate(text: str) -> tuple[str, str]:
    """How a pattern is matched (exact, prefix, suffix, regex), and its regular expression."""
    import re

    kind, regex, position, first = "exact", "", 0, True
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "*" and text.startswith("*", position):
            position += 1
            if text.startswith("/", position):
                position += 1
            if position == len(text):
                kind, regex = ("prefix", regex) if kind == "exact" else ("regex", regex + ".*")
            else:
                kind, regex = "regex", regex + "(.*/)?"
            if first:
                kind = "suffix"
        elif letter == "*":
            kind, regex = "regex", regex + "[^/]*"
        elif letter == "?":
            kind, regex = "regex", regex + "[^/]"
        elif letter in _REGEX_LETTERS:
            regex += "\\" + letter
        elif letter == "\\" and position < len(text):
            kind, regex = "regex", regex + re.escape(text[position])
            position += 1
        elif letter == "[":
            end = _class_end(text, position)
            kind, regex = "regex", regex + "[" + _class_body(text[position:end]) + "]"
            position = end + 1
        else:
            regex += re.escape(letter)
        first = False
    return kind, f"{regex}\\Z"


def _class_end(text: str, position: int) -> int:
    """Where a `[` ends; checked before that it does."""
    if text.startswith("^", position):
        position += 1
    while text[position] != "]":
        position += 2 if text[position] == "\\" else 1
    return position


def _class_body(text: str) -> str:
    """A class's inside, with what only Python's regular expressions would read into it escaped."""
    import re

    body = "^" if text.startswith("^") else ""
    rest = text[len(body) :]
    return body + re.sub(r"\\?([\[&~|])", r"\\\1", rest)


def check_pattern(text: str) -> None:
    """Raise InvalidArgument for what Go's filepath.Match calls a bad pattern."""
    position = 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "\\":
            if position == len(text):
                raise InvalidArgument(f'syntax error in pattern "{text}"')
            position += 1
        elif letter == "[":
            position = _checked_class(text, position)


def _checked_class(text: str, position: int) -> int:
    bad = InvalidArgument(f'syntax error in pattern "{text}"')
    if text.startswith("^", position):
        position += 1
    count = 0
    while True:
        if position >= len(text):
            raise bad
        if text[position] == "]" and count:
            return position + 1
        low, position = _class_letter(text, position, bad)
        if text.startswith("-", position):
            high, position = _class_letter(text, position + 1, bad)
            if high < low:
                raise InvalidArgument(f'syntax error in pattern "{text}": {low}-{high} is no range')
        count += 1


def _class_letter(text: str, position: int, bad: InvalidArgument) -> tuple[str, int]:
    letter = text[position : position + 1]
    if letter in ("", "-", "]"):
        raise bad
    if letter == "\\":
        position += 1
        letter = text[position : position + 1]
        if not letter:
            raise bad
    if position + 1 >= len(text):
        raise bad
    return letter, position + 1
