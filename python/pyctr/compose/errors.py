"""What a compose file can be wrong in.

ComposeError is InvalidArgument: what was asked for is malformed. The message says file, line and key where they are known.
"""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where in a tree: keys, and numbers of items.
Path = tuple[str | int, ...]


class ComposeError(InvalidArgument):
    """A compose file, an env file or the project they make is not valid."""

    exit_code = 1


class Places:
    """Where each key of the merged files was written last: path → (file, line)."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[Path, tuple[str, int]] = {}

    def note(self, path: Path, file: str, line: int) -> None:
        """Remember where a key is; a later file's place replaces an earlier one's."""
        self._lines[path] = (file, line)

    def of(self, path: Path) -> str:
        """``file:line`` of the key or of the nearest thing around it; empty when nothing is known."""
        while path:
            place = self._lines.get(path)
            if place:
                return f"{place[0]}:{place[1]}"
            path = path[:-1]
        return ""

    def error(self, path: Path, message: str, *, hint: str | None = None) -> ComposeError:
        """An error that begins with the place of its key."""
        place = self.of(path)
        return ComposeError(f"{place}: {message}" if place else message, hint=hint)


def dotted(path: Iterable[str | int]) -> str:
    """``services.web.ports[0]`` of a path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(word: str, words: Iterable[str]) -> str:
    """``, did you mean "image"?`` where a known word is near; else empty."""
    import difflib

    found = difflib.get_close_matches(word, list(words), n=1)
    return f', did you mean "{found[0]}"?' if found else ""
