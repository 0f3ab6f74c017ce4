"""Build contexts: directories of this machine, seen through `.dockerignore`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from pyctr._core import SourceTree
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:

    class Matcher(Protocol):
        """Patterns of a `.dockerignore`."""

        def matches(self, path: str) -> bool:
            """Whether a path, or a directory it is in, is left out."""

        def may_match_below(self, path: str) -> bool:
            """Whether something in a directory that is left out may be taken back by an exception."""


class Context:
    """A directory that COPY and ADD read. What its ignore file leaves out is not there."""

    __slots__ = ("_matcher", "_tree", "path")

    def __init__(self, path: str, matcher: Matcher | None) -> None:
        self.path = path
        self._matcher = matcher
        self._tree: SourceTree | None = None

    @property
    def tree(self) -> SourceTree:
        """The files, as they are when first asked for."""
        if self._tree is None:
            try:
                skip = [] if self._matcher is None else ignored(self.path, self._matcher)
                self._tree = SourceTree(self.path, skip=skip, anonymous=True)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise InvalidArgument(f"read build context {error.filename or self.path}: {reason}") from None
        return self._tree


def ignored(root: str, matcher: Matcher) -> list[str]:
    """What a matcher leaves out of a directory: the topmost paths of which nothing remains."""
    found: list[str] = []
    _walk(root, "", matcher, found)
    return found


def _walk(root: str, path: str, matcher: Matcher, found: list[str]) -> bool:
    """Collect below one directory; whether anything of it remains."""
    remains = False
    here: list[str] = []
    with os.scandir(f"{root}/{path}" if path else root) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{path}/{entry.name}" if path else entry.name
            left_out = matcher.matches(name)
            is_directory = entry.is_dir(follow_symlinks=False)
            if is_directory and (not left_out or matcher.may_match_below(name)):
                below: list[str] = []
                something = _walk(root, name, matcher, below)
                # A directory that is left out is there for what is taken back in it, and only then.
                left_out = left_out and not something
                if not left_out:
                    here += below
            if left_out:
                here.append(name)
            else:
                remains = True
    found += here
    return remains
