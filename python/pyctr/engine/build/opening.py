"""What the user named as build context, made a directory: a path, an archive or Dockerfile on stdin, an address, git."""

from __future__ import annotations

import contextlib
import os

from pyctr._core import SourceTree, remove_tree
from pyctr.build.plan.config import go_quote
from pyctr.build.plan.git import parse_git
from pyctr.errors import BuildError, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.build.plan.git import GitReference
    from pyctr.build.report import Report
    from pyctr.engine import Engine

_VERTEX = "[internal] load remote build context"


class Opened:
    """A context's directory; `temporary`: it goes when the build ends, and no ignore file of a parent matters."""

    __slots__ = ("path", "temporary")

    def __init__(self, path: str, *, temporary: bool) -> None:
        self.path = path
        self.temporary = temporary


@contextlib.contextmanager
def open_context(
    engine: Engine, text: str, *, report: Report, stdin: int, keep_git_dir: bool = False
) -> Iterator[Opened]:
    """A directory of what the user typed. Raises BuildError, InvalidArgument."""
    if os.path.isdir(text):
        # The directory itself may be a link: only what is in it must not lead out.
        yield Opened(os.path.realpath(text), temporary=False)
        return
    source = parse_git(text, context=True)
    if text != "-" and source is None and not text.startswith(("http://", "https://")):
        reason = f"path {go_quote(text)} not found"
        if os.path.lexists(text):
            reason = f"context must be a directory: {os.path.abspath(text)}"
        raise InvalidArgument(f"unable to prepare context: {reason}")
    from pyctr.engine.build.scratch import Scratch

    engine.image_store.prepare()
    scratch = Scratch(engine.image_store)
    try:
        directory = scratch.directory(0o755)
        if text == "-":
            _read_stream(stdin, directory, "stdin")
            yield Opened(directory, temporary=True)
            return
        report.start(_VERTEX, f"{_VERTEX} {text.partition('#')[0]}")
        try:
            if source is None:
                path = _fetch(text, directory, report)
            else:
                path = _clone(source, directory, report, keep_git_dir=source.keep_git_dir or keep_git_dir)
        except BaseException as error:
            report.done(_VERTEX, error=str(error) or "canceled")
            raise
        report.done(_VERTEX)
        yield Opened(path, temporary=True)
    finally:
        scratch.close()


def _read_stream(fd: int, directory: str, what: str) -> None:
    """An archive, unpacked; or a Dockerfile, alone in the directory."""
    import tempfile

    with tempfile.TemporaryFile(dir=directory) as file:
        while data := os.read(fd, 1 << 18):
            file.write(data)
        file.seek(0)
        _take(file.fileno(), directory, what)


def _take(fd: int, directory: str, what: str) -> None:
    from pyctr.engine.build.files import is_archive, unpack_into

    if not os.fstat(fd).st_size:
        raise InvalidArgument(f"build context from {what} is empty")
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if is_archive(fd):
            unpack_into(fd, root, "/", owner=None)
            return
    finally:
        os.close(root)
    with open(f"{directory}/Dockerfile", "wb") as file:
        os.sendfile(file.fileno(), fd, 0, os.fstat(fd).st_size)


def _fetch(url: str, directory: str, report: Report) -> str:
    import tempfile

    from pyctr.engine.build.fetch import download

    with tempfile.TemporaryFile(dir=directory) as file:
        download(url, file, tell=lambda done, total: report.status(_VERTEX, "downloading", current=done, total=total))
        file.seek(0)
        _take(file.fileno(), directory, url)
    return directory


def _clone(source: GitReference, directory: str, report: Report, *, keep_git_dir: bool) -> str:
    """A checkout, or a directory of it; without what is git's own, unless it is wanted."""
    from pyctr.engine.build import git

    commit = git.resolve_checked(source.remote, source.reference, source.checksum)
    git.check_out(
        source.remote, source.reference, commit, directory,
        submodules=source.submodules, output=lambda data: report.log(_VERTEX, 2, data),
    )  # fmt: skip
    for path in () if keep_git_dir else git.metadata_of(directory):
        remove_tree(f"{directory}/{path}")
    subdirectory = source.subdirectory
    if not subdirectory.strip("/"):
        return directory
    # A link in the checkout leads inside it.
    place, is_directory = SourceTree(directory).open_place(subdirectory)
    try:
        if not is_directory:
            raise BuildError(f"{subdirectory} is no directory of {source.remote}")
        return os.readlink(f"/proc/self/fd/{place}")
    finally:
        os.close(place)
