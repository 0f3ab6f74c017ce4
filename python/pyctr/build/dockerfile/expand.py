"""Variables, quotes and words, as BuildKit's Dockerfile frontend has them.

The forms: `$v ${v} ${v:-x} ${v-x} ${v:+x} ${v+x} ${v:?x} ${v?x} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}`. Patterns know `*` and `?`.
It is not a shell: words are split only where an instruction takes several, nothing is executed, there are no arrays.
"""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names of one character that are no letter (POSIX special parameters).
_SPECIAL = frozenset("@*#?-$!0")


class Lexer:
    """How text is read: the escape character, and what stays as it is written."""

    __slots__ = ("escape", "found", "keep_escapes", "keep_quotes", "keep_unset", "missing", "quotes_are_text")

    def __init__(
        self,
        escape: str = "\\",
        *,
        keep_quotes: bool = False,
        keep_escapes: bool = False,
        quotes_are_text: bool = False,
        keep_unset: bool = False,
    ) -> None:
        self.escape = escape
        #: Quotes group words but stay in the result.
        self.keep_quotes = keep_quotes
        self.keep_escapes = keep_escapes
        #: Quotes mean nothing (here-documents).
        self.quotes_are_text = quotes_are_text
        #: Variables without a value stay as they are written.
        self.keep_unset = keep_unset
        #: Variables of the text read last that have a value, and those that have none and nothing in its place.
        self.found: set[str] = set()
        self.missing: set[str] = set()

    def expand(self, text: str, environment: Mapping[str, str]) -> str:
        """The text with its variables' values, quotes and escapes taken away. Raises InvalidArgument."""
        return _Reader(self, text, environment).all()[0]

    def words(self, text: str, environment: Mapping[str, str]) -> list[str]:
        """The same, in words: blanks split them, in values of variables too, but not within quotes."""
        return _Reader(self, text, environment).all()[1]


def is_space(letter: str) -> bool:
    """Unicode's white space, as Go has it."""
    return letter.isspace() and not "\x1c" <= letter <= "\x1f"


class _Words:
    """Words as they grow."""

    __slots__ = ("done", "inside", "word")

    def __init__(self) -> None:
        self.done: list[str] = []
        self.word = ""
        self.inside = False

    def add(self, text: str) -> None:
        """Text outside of quotes."""
        for letter in text:
            if not is_space(letter):
                self.add_quoted(letter)
            elif self.inside and self.word:
                self.done.append(self.word)
                self.word, self.inside = "", False

    def add_quoted(self, text: str) -> None:
        self.word += text
        self.inside = True

    def all(self) -> list[str]:
        return self.done + ([self.word] if self.word else [])


class _Reader:
    """One pass over one text."""

    __slots__ = ("environment", "lexer", "position", "text")

    def __init__(self, lexer: Lexer, text: str, environment: Mapping[str, str]) -> None:
        self.lexer = lexer
        self.text = text
        self.environment = environment
        self.position = 0

    def all(self) -> tuple[str, list[str]]:
        self.lexer.found, self.lexer.missing = set(), set()
        try:
            return self._until("", keep_escapes=self.lexer.keep_escapes)
        except InvalidArgument as error:
            raise InvalidArgument(f'failed to process "{self.text}": {error}') from None

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _next(self) -> str:
        letter = self._peek()
        self.position += len(letter)
        return letter

    def _until(self, stop: str, *, keep_escapes: bool) -> tuple[str, list[str]]:
        """Read up to and with `stop`, or to the end if that is ""."""
        result, words = "", _Words()
        while letter := self._peek():
            if letter == stop:
                self.position += 1
                return result, words.all()
            if letter == "$":
                piece = self._variable()
                words.add(piece)
            elif letter in "'\"" and not self.lexer.quotes_are_text:
                piece = self._single() if letter == "'" else self._double(keep_escapes)
                words.add_quoted(piece)
            else:
                piece = self._next()
                if piece == self.lexer.escape:
                    kept = piece if keep_escapes else ""
                    after = self._next()
                    words.add_quoted(kept + after)
                    piece = kept + after
                else:
                    words.add(piece)
            result += piece
        if stop:
            raise InvalidArgument(f"unexpected end of statement while looking for matching {stop}")
        return result, words.all()

    def _single(self) -> str:
        """Between single quotes everything is what it is."""
        end = self.text.find("'", self.position + 1)
        if end < 0:
            self.position = len(self.text)
            raise InvalidArgument("unexpected end of statement while looking for matching single-quote")
        inner = self.text[self.position + 1 : end]
        self.position = end + 1
        return f"'{inner}'" if self.lexer.keep_quotes else inner

    def _double(self, keep_escapes: bool) -> str:
        """Between double quotes variables are put in; the escape works before `"`, `$` and itself only."""
        self.position += 1
        result = '"' if self.lexer.keep_quotes else ""
        while letter := self._peek():
            if letter == '"':
                self.position += 1
                return result + (letter if self.lexer.keep_quotes else "")
            if letter == "$":
                result += self._variable()
                continue
            self.position += 1
            if letter == self.lexer.escape:
                if keep_escapes:
                    result += letter
                if not self._peek():
                    continue
                if self._peek() in ('"', "$", self.lexer.escape):
                    letter = self._next()
            result += letter
        raise InvalidArgument("unexpected end of statement while looking for matching double-quote")

    def _variable(self) -> str:
        """`$name` or `${name…}`."""
        self.position += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self.lexer.keep_unset else value or ""
        self.position += 1
        if not self._peek():
            raise InvalidArgument("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise InvalidArgument("syntax error: bad substitution")
        name = self._name()
        operator = self._next()
        if not operator:
            raise InvalidArgument("syntax error: missing '}'")
        after = self._peek() if operator == ":" else operator
        value = self._value(name, has_substitute=after in ("-", "+", "?"))
        if operator == "}":
            return f"${{{name}}}" if value is None and self.lexer.keep_unset else value or ""
        if operator == "/":
            return self._replacement(name, value)
        # `${v:#p}` is read too, and means `${v#p}`.
        null_is_unset = operator == ":"
        if null_is_unset:
            operator = self._next()
        shown = ":" * null_is_unset + operator
        if operator not in ("+", "-", "?", "#", "%") and not null_is_unset:
            raise InvalidArgument(f"unsupported modifier ({shown}) in substitution")
        word = self._inside("}", keep_escapes=operator in ("#", "%"))
        if value is None and self.lexer.keep_unset:
            return f"${{{name}{shown}{word}}}"
        return _modified(name, value, operator, word, null_is_unset=null_is_unset, shown=shown)

    def _value(self, name: str, *, has_substitute: bool = False) -> str | None:
        value = self.environment.get(name)
        if value is not None:
            self.lexer.found.add(name)
        elif not has_substitute:
            self.lexer.missing.add(name)
        return value

    def _inside(self, stop: str, *, keep_escapes: bool, missing: str = "syntax error: missing '}'") -> str:
        try:
            return self._until(stop, keep_escapes=keep_escapes)[0]
        except InvalidArgument:
            if not self._peek():
                raise InvalidArgument(missing) from None
            raise

    def _replacement(self, name: str, value: str | None) -> str:
        """`${v/pattern/new}`, with `//` everywhere. A `/` in the pattern and a `}` in either are escaped."""
        everywhere = self._peek() == "/"
        if everywhere:
            self.position += 1
        pattern = self._inside("/", keep_escapes=True, missing="syntax error: missing '/' in ${}")
        new = self._inside("}", keep_escapes=True)
        if value is None:
            return f"${{{name}/{pattern}/{new}}}" if self.lexer.keep_unset else ""
        return replace_pattern(value, parse_pattern(pattern), new, everywhere=everywhere)

    def _name(self) -> str:
        start = self.position
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self.position += 1
        elif first and first in _SPECIAL:
            self.position += 1
        else:
            while (letter := self._peek()) and (letter.isalpha() or letter.isdigit() or letter == "_"):
                self.position += 1
        return self.text[start : self.position]


def _modified(name: str, value: str | None, operator: str, word: str, *, null_is_unset: bool, shown: str) -> str:
    missing = value is None or (null_is_unset and value == "")
    if operator == "-":
        return word if missing else value or ""
    if operator == "+":
        return "" if missing else word
    if operator == "?":
        if missing:
            what = "unset" if value is None else "empty"
            raise InvalidArgument(f"{name}: {word or f'is not allowed to be {what}'}")
        return value or ""
    if operator in ("#", "%"):
        longest = word.startswith(operator)
        pattern = parse_pattern(word[1:] if longest else word)
        return _without(value or "", pattern, at_end=operator == "%", longest=longest)
    raise InvalidArgument(f"unsupported modifier ({shown}) in substitution")


#: One piece of a pattern: "*", "?" as wildcards, or a letter.
Pattern = list[tuple[str, bool]]


def parse_pattern(text: str) -> Pattern:
    """A pattern's pieces, each with whether it is a wildcard. Raises InvalidArgument for an escape that escapes nothing."""
    pieces: Pattern = []
    position = 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "\\":
            after = text[position : position + 1]
            position += 1
            if after and after in "*?\\}/":
                pieces.append((after, False))
            else:
                raise InvalidArgument(f"invalid pattern ({text}) in substitution: invalid escape '\\{after}'")
        else:
            pieces.append((letter, letter in "*?"))
    return pieces


def _ends(pattern: Pattern, text: str, start: int) -> list[int]:
    """Where matches that begin at `start` can end, shortest first. A wildcard matches no line's end (Go's regexp)."""
    positions = {start}
    for letter, wildcard in pattern:
        if not positions:
            break
        if wildcard and letter == "*":
            grown: set[int] = set()
            for first in sorted(positions):
                line_end = text.find("\n", first)
                grown.update(range(first, (len(text) if line_end < 0 else line_end) + 1))
            positions = grown
        else:
            positions = {
                position + 1
                for position in positions
                if position < len(text) and (text[position] != "\n" if wildcard else text[position] == letter)
            }
    return sorted(positions)


def _without(value: str, pattern: Pattern, *, at_end: bool, longest: bool) -> str:
    if at_end:
        return _without(value[::-1], pattern[::-1], at_end=False, longest=longest)[::-1]
    ends = _ends(pattern, value, 0)
    return value[ends[-1] if longest else ends[0] :] if ends else value


def replace_pattern(value: str, pattern: Pattern, new: str, *, everywhere: bool) -> str:
    """The first, or every, longest match replaced."""
    result, start, last_end = "", 0, -1
    while start <= len(value):
        ends = _ends(pattern, value, start)
        # An empty match right behind another one does not count (Go's ReplaceAll).
        if not ends or (ends[-1] == start == last_end):
            result += value[start : start + 1]
            start += 1
            continue
        result += new
        last_end = ends[-1]
        if not everywhere:
            return result + value[last_end:]
        if last_end == start:
            result += value[start : start + 1]
            start += 1
        else:
            start = last_end
    return result
