"""What is a git source, and what it says (BuildKit's dfgitutil)."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

#: user@host:path, as ssh and scp have it.
_SCP = r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+:(?!//).+"
_SCHEMES = ("http://", "https://", "ssh://", "git://")


class GitReference:
    """`REMOTE[?query][#REF[:SUBDIRECTORY]]`."""

    __slots__ = ("checksum", "keep_git_dir", "reference", "remote", "subdirectory", "submodules")

    def __init__(self, remote: str, reference: str = "", subdirectory: str = "") -> None:
        self.remote = remote
        self.reference = reference
        self.subdirectory = subdirectory
        self.checksum = ""
        self.keep_git_dir: bool | None = None
        self.submodules = True


def is_url(text: str) -> bool:
    """Whether a source is one file from the web: http(s), and no repository."""
    return text.startswith(("http://", "https://")) and parse_git(text) is None


def parse_git(text: str, *, context: bool = False) -> GitReference | None:
    """A git source, None if it is something else. Raises InvalidArgument for a query that makes no sense.

    http(s) is git only if its path ends in `.git`; `context` allows `github.com/…` too, as build contexts do.
    """
    if context and text.startswith("github.com/"):
        text = "https://" + text
    elif text.startswith(("http://", "https://")):
        if not text.partition("#")[0].partition("?")[0].endswith(".git"):
            return None
    elif not text.startswith(_SCHEMES) and not _is_scp(text):
        return None
    remote, _, fragment = text.partition("#")
    query = ""
    if text.startswith(_SCHEMES):
        remote, _, query = remote.partition("?")
    reference, _, subdirectory = fragment.partition(":")
    git = GitReference(remote, reference, subdirectory)
    _read_query(git, query)
    return git


def _is_scp(text: str) -> bool:
    if "@" not in text:
        return False
    import re

    return re.fullmatch(_SCP, text) is not None


def _read_query(git: GitReference, query: str) -> None:
    """`?ref= tag= branch= subdir= checksum= commit= keep-git-dir= submodules=`."""
    if not query:
        return
    from urllib.parse import parse_qsl

    pairs = parse_qsl(query, keep_blank_values=True)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InvalidArgument(f"git URL {git.remote}: a query has multiple values")
    if "tag" in values and "branch" in values:
        raise InvalidArgument("branch conflicts with tag")
    for name, value in values.items():
        if not value and name not in ("submodules", "keep-git-dir"):
            raise InvalidArgument(f'query "{name}" has no value')
        if name in _PREFIXES:
            prefix = _PREFIXES[name]
            wanted = value if value.startswith(prefix) else prefix + value
            git.reference = _agreed("ref", git.reference, wanted)
        elif name == "subdir":
            git.subdirectory = _agreed("subdir", git.subdirectory, value)
        elif name in ("checksum", "commit"):
            git.checksum = value
        elif name == "keep-git-dir":
            git.keep_git_dir = _boolean(name, value)
        elif name == "submodules":
            git.submodules = _boolean(name, value)
        else:
            raise InvalidArgument(f'unexpected query "{name}"')
    if git.checksum and not git.reference:
        git.reference = git.checksum


#: `tag=v1` means refs/tags/v1.
_PREFIXES = {"ref": "", "tag": "refs/tags/", "branch": "refs/heads/"}


def _agreed(what: str, old: str, new: str) -> str:
    if old not in ("", new):
        raise InvalidArgument(f'{what} conflicts: "{old}" vs "{new}"')
    return new


def _boolean(name: str, value: str) -> bool:
    lowered = value.lower()
    if lowered in ("", "1", "t", "true"):
        return True
    if lowered in ("0", "f", "false"):
        return False
    raise InvalidArgument(f'invalid {name} value: "{value}"')
