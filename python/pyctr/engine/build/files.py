"""COPY, ADD and WORKDIR: files brought into a snapshot (docs/build-execute.md, "COPY").

The rules are BuildKit's; the core does the work on descriptors (rust/core/src/tree).
"""

from __future__ import annotations

import contextlib
import os

from pyctr._core import ArchiveReader, SourceTree, find_owner, make_directory, unpack_archive
from pyctr.errors import BuildError, CorruptData, InvalidArgument, NotFound
from pyctr.image.compression import opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyctr.engine.build.scratch import Changes

Owner = tuple[int, int]


class Selected:
    """What one source of a COPY came to: a path of a tree, where it begins to be kept, and the digest of what is there."""

    __slots__ = ("digest", "parents_from", "path", "tree")

    def __init__(self, tree: SourceTree, path: str, digest: str, parents_from: int | None) -> None:
        self.tree = tree
        self.path = path
        self.digest = digest
        self.parents_from = parents_from

    @property
    def key(self) -> str:
        """What of it decides about the result: a directory's own name does not, a file's does."""
        name = self.path[self.parents_from :] if self.parents_from is not None else os.path.basename(self.path)
        return f"{name}\0{self.digest}"


def select(tree: SourceTree, pattern: str, *, parents: bool, wildcard: bool, where: str) -> list[Selected]:
    """The paths a source means, digested. Raises NotFound naming what is missing `where`."""
    before, pivot, after = pattern.partition("/./") if parents else ("", "", pattern)
    start = len(before.strip("/")) + 1 if before.strip("/") else 0
    whole = f"{before}/{after}" if pivot else pattern
    found = []
    for path in tree.expand(whole) if wildcard else [whole.strip("/")]:
        try:
            digest = tree.digest(path)
        except NotFound:
            raise NotFound(f'"/{path.lstrip("/")}" not found{where}', hint=_near_names(tree, path)) from None
        found.append(Selected(tree, path, digest, start if parents else None))
    return found


def _near_names(tree: SourceTree, path: str) -> str | None:
    """What the user may have meant."""
    import difflib

    directory, _, name = path.strip("/").rpartition("/")
    with contextlib.suppress(NotFound):
        names = [entry for entry, _ in tree.list(directory) if "/" not in entry]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(f"{directory}/{entry}".lstrip("/") for entry in near) + "?"
    return None


def resolve_owner(text: str, root: int) -> Owner:
    """``--chown``: user and group by the files of the root, strictly; a number alone is the group's too."""
    user, colon, _ = text.partition(":")
    if not colon and user.isascii() and user.isdigit():
        text = f"{user}:{user}"
    try:
        return find_owner(root, text)
    except InvalidArgument as error:
        raise BuildError(f"--chown={text}: {error}") from None


def copy_selected(
    selected: Sequence[Selected],
    changes: Changes,
    target: str,
    *,
    owner: Owner | None,
    mode: str | None,
    mtime_s: int | None,
    unpack: bool = False,
) -> list[str]:
    """Copy what was selected to a target; the digests of what really was copied. `unpack`: archives become what is in them."""
    digests = []
    for item in selected:
        changes.settled = None
        if unpack and _unpack(item, changes.root, target, owner=owner):
            digests.append(item.digest)
            continue
        copied = item.tree.copy(
            item.path, changes.root, target,
            owner=owner, mode=mode, mtime=mtime_s, parents_from=item.parents_from, upper=changes.upper,
        )  # fmt: skip
        if copied.direct is not None:
            changes.mount()
        changes.settled = copied.direct
        digests.append(copied.digest)
    return digests


def _unpack(item: Selected, root: int, target: str, *, owner: Owner | None) -> bool:
    """Unpack an archive; whether it was one (moby archive.IsArchivePath: its first header can be read)."""
    try:
        fd = item.tree.open_file(item.path)
    except InvalidArgument:
        return False
    try:
        if not is_archive(fd):
            return False
        unpack_into(fd, root, target, owner=owner)
    finally:
        os.close(fd)
    return True


def is_archive(fd: int) -> bool:
    """Whether a file is a tar, plain or compressed. It stands at its beginning again after this."""
    try:
        with opened(fd) as stream:
            for _ in ArchiveReader(stream):
                return True
        return False
    except (CorruptData, EOFError):
        return False
    finally:
        os.lseek(fd, 0, os.SEEK_SET)


def unpack_into(fd: int, root: int, target: str, *, owner: Owner | None) -> None:
    """Unpack an archive into a directory, which is made; only that is given the owner, what is in the archive has its own."""
    make_directory(root, target, owner=owner or (0, 0))
    with opened(fd) as stream:
        unpack_archive(stream, root, target)
