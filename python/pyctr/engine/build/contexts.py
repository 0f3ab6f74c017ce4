"""Build contexts: directories of this machine, seen through `.dockerignore`; archives, addresses and git made into such.

`opening.open_context` makes a directory of whatever the user named; `open_named` shows it, and the `--build-context` ones, to steps.
"""

from __future__ import annotations

import os

from pyctr._core import SourceTree, sha256
from pyctr.errors import BuildError, InvalidArgument, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.ignore import Matcher
    from pyctr.build.request import Request

#: Files of ROOT/build, one a context, that keep what its files came to (rust/core/src/tree/known.rs).
CONTENTS = "contents"


class Context:
    """A directory that COPY and ADD read. What its ignore file leaves out is not there."""

    __slots__ = ("_skip", "_tree", "known", "matcher", "path")

    def __init__(self, path: str, matcher: Matcher | None, known: str | None = None) -> None:
        self.path = path
        self.matcher = matcher
        #: Where is kept what its files came to.
        self.known = known
        self._skip: list[str] | None = None
        self._tree: SourceTree | None = None

    @property
    def skip(self) -> list[str]:
        """The topmost paths that are left out."""
        if self._skip is None:
            try:
                self._skip = [] if self.matcher is None else ignored(self.path, self.matcher)
            except OSError as error:
                raise _unreadable(error, self.path) from None
        return self._skip

    @property
    def tree(self) -> SourceTree:
        """The files."""
        if self._tree is None:
            self._tree = SourceTree(self.path, skip=self.skip, anonymous=True, known=self.known)
        return self._tree

    def keep(self) -> None:
        """Keep what its files came to, so that the next build need not read those that are as they were."""
        if self._tree is None or self.known is None:
            return
        try:
            self._tree.keep_known()
        except PyctrError:  # a full disk: they are read again then
            return


def _unreadable(error: OSError, path: str) -> InvalidArgument:
    reason = (error.strerror or str(error)).lower()
    return InvalidArgument(f"read build context {error.filename or path}: {reason}")


def open_named(request: Request, name: str, root: str) -> Context:
    """The build context, or one of `--build-context`, by the name a step has; `root` keeps what is known of their files."""
    from pyctr.build.ignore import Matcher, read_patterns

    if name == "context":
        path, patterns = request.context, tuple(request.ignore)
    elif name in request.contexts:
        path = request.contexts[name]
        patterns = tuple(read_patterns(path))
    else:
        raise BuildError(f"no build context {name}", hint=f"give one with --build-context {name}=DIRECTORY")
    if not os.path.isdir(path):
        raise InvalidArgument(f"build context {path}: not a directory")
    return Context(path, Matcher(patterns) if patterns else None, _known_path(root, os.path.realpath(path)))


def _known_path(root: str, path: str) -> str | None:
    """Where is kept what a directory's files came to; of one that was fetched for this build alone nothing is."""
    if path.startswith(f"{os.path.realpath(root)}/build/"):
        return None
    os.makedirs(f"{root}/build/{CONTENTS}", 0o700, exist_ok=True)
    return f"{root}/build/{CONTENTS}/{sha256(os.fsencode(path))}"


def ignored(root: str, matcher: Matcher) -> list[str]:
    """What a matcher leaves out of a directory: the topmost paths of which nothing remains."""
    found: list[str] = []
    _walk(root, "", matcher, found)
    return found


def _walk(root: str, path: str, matcher: Matcher, found: list[str]) -> bool:
    """Collect below one directory; whether anything of it remains."""
    remains = False
    with os.scandir(f"{root}/{path}" if path else root) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{path}/{entry.name}" if path else entry.name
            left_out = matcher.excluded(name)
            if entry.is_dir(follow_symlinks=False) and (not left_out or matcher.may_hold(name)):
                below: list[str] = []
                something = _walk(root, name, matcher, below)
                # A directory that is left out is there for what is taken back in it, and only then.
                left_out = left_out and not something
                if not left_out:
                    found += below
            if left_out:
                found.append(name)
            else:
                remains = True
    return remains


def excluded_of(names: list[tuple[str, bool]], matcher: Matcher) -> list[str]:
    """Of a listing, directories before what is in them, the paths that a matcher leaves out and that hold nothing it keeps."""
    kept = {name for name, _ in names if not matcher.excluded(name)}
    above = {name[:end] for name in kept for end in range(len(name)) if name[end] == "/"}
    return [name for name, is_directory in names if name not in kept and not (is_directory and name in above)]
