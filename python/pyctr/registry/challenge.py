"""``WWW-Authenticate``: what a registry asks of who wants in (RFC 9110, section 11.6.1; RFC 6750, section 3)."""

from __future__ import annotations

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: Headers are a sender's choice: more than this is not read.
_LENGTH_MAX = 16 << 10


class Challenge:
    """One way to authenticate: a scheme in lower case and its parameters, names in lower case."""

    __slots__ = ("parameters", "scheme")

    def __init__(self, scheme: str, parameters: dict[str, str]) -> None:
        self.scheme = scheme
        self.parameters = parameters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Challenge) and (self.scheme, self.parameters) == (other.scheme, other.parameters)

    def __hash__(self) -> int:
        return hash((self.scheme, tuple(sorted(self.parameters.items()))))

    def __repr__(self) -> str:
        return f"Challenge({self.scheme!r}, {self.parameters!r})"


def parse_challenges(header: str) -> list[Challenge]:
    """Every challenge of a header, in order. What is malformed ends the reading; it never raises.

    Several challenges share one header, separated by the same commas as the parameters of each: a word followed by ``=``
    belongs to the challenge before it, any other begins the next.
    """
    reader = _Reader(header[:_LENGTH_MAX])
    challenges: list[Challenge] = []
    while True:
        reader.skip(" \t,")
        word = reader.token()
        if not word:
            return challenges
        reader.skip(" \t")
        if reader.peek() == "=" and challenges:
            reader.next()
            reader.skip(" \t")
            value = reader.value()
            if value is None:
                return challenges
            challenges[-1].parameters.setdefault(word.lower(), value)
        else:
            challenges.append(Challenge(word.lower(), {}))


class _Reader:
    """A cursor over a header."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def next(self) -> str:
        letter = self.peek()
        self.position += 1
        return letter

    def skip(self, letters: str) -> None:
        while self.peek() and self.peek() in letters:
            self.position += 1

    def token(self) -> str:
        start = self.position
        while self.peek() in _TOKEN and self.peek():
            self.position += 1
        return self.text[start : self.position]

    def value(self) -> str | None:
        """A token or a quoted string; None if the quotes do not close."""
        if self.peek() != '"':
            return self.token()
        self.next()
        out: list[str] = []
        while letter := self.next():
            if letter == '"':
                return "".join(out)
            out.append(self.next() if letter == "\\" else letter)
        return None
