"""COPY and ADD: where from, what, where to."""

from __future__ import annotations

import posixpath

from pyctr.build.dockerfile.expand import Lexer
from pyctr.build.ignore import check_pattern
from pyctr.build.plan.git import is_url, parse_git
from pyctr.build.plan.step import Copy, CopyItem, GitSource, HttpSource, InlineFiles, Where
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.dockerfile import commands
    from pyctr.build.plan.stage import StagePlan
    from pyctr.build.plan.step import Step

_SYMBOLIC_MODE = r"[ugoa]*[-+=][rwxXstugo]*([-+=][rwxXstugo]*)*"
_DIGEST_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")
_OCTAL = frozenset("01234567")


class _Flags:
    """A command's flags with variables put in."""

    __slots__ = ("checksum", "chmod", "chown", "exclude")

    def __init__(self, plan: StagePlan, command: commands.Transfer) -> None:
        expand = plan.expand
        self.chown = expand(command.source, command.chown)
        self.chmod = expand(command.source, command.chmod)
        self.checksum = expand(command.source, command.checksum)
        self.exclude = tuple(expand(command.source, pattern) for pattern in command.exclude)
        check_mode(self.chmod)
        for pattern in self.exclude:
            check_pattern(pattern)


def apply_transfer(plan: StagePlan, command: commands.Transfer) -> None:
    """Add a Copy step. Raises BuildError."""
    source = command.source
    try:
        _apply(plan, command)
    except InvalidArgument as error:
        raise source.error(str(error), offset=source.rest_offset, hint=error.hint) from None


def _apply(plan: StagePlan, command: commands.Transfer) -> None:
    source, flags = command.source, _Flags(plan, command)
    paths = [plan.expand(source, path) for path in command.sources]
    written_destination = plan.expand(source, command.destination)
    destination, is_directory = plan.absolute(written_destination)
    if flags.checksum:
        _check_checksum(command, paths)
    where = plan.where(source, plan.shown(source), on_build=command.on_build)
    items = [_item(plan, command, flags, path, where) for path in paths]
    items += _documents(plan, command)
    step = Copy(
        plan.step,
        tuple(items),
        destination=destination,
        destination_is_directory=is_directory or len(items) > 1,
        owner=flags.chown,
        mode=flags.chmod,
        link=command.link,
        parents=command.parents,
        exclude=flags.exclude,
        where=where,
        platform=plan.platform,
        ignore_cache=plan.ignore_cache,
    )
    plan.add_layer(step)
    shown = [command.keyword]
    shown += ["--parents"] if command.parents else []
    shown += [f"--chown={flags.chown}"] if flags.chown else []
    shown += [f"--chmod={flags.chmod}"] if flags.chmod else []
    shown += [*paths, *(f"<<{document.name}" for document in command.documents), written_destination]
    plan.config.note(" ".join(shown) + " # buildkit", layer=True)


def _documents(plan: StagePlan, command: commands.Transfer) -> list[CopyItem]:
    source, items = command.source, []
    for document in command.documents:
        text = document.text
        if document.expand:
            text = plan.expand(source, text, Lexer("\\", quotes_are_text=True))
        where = Where(plan.name, "preparing inline document", first_line=source.first_line, last_line=source.last_line)
        name = posixpath.basename(document.name) or document.name
        files = InlineFiles(((name, text),), where=where, platform=plan.platform)
        items.append(CopyItem(files, f"/{name}", wildcard=False, unpack=False, written=f"<<{document.name}"))
    return items


def _item(plan: StagePlan, command: commands.Transfer, flags: _Flags, path: str, where: Where) -> CopyItem:
    git = parse_git(path)
    if git or is_url(path):
        if not command.is_add:
            raise InvalidArgument(f"source can't be a {'git ref' if git else 'URL'} for COPY", hint="ADD can")
        step = _git(plan, command, flags, path, where) if git else _http(plan, flags, path, where)
        pattern = "/" if git else f"/{_file_name(path)}"
        return CopyItem(step, pattern, wildcard=False, unpack=bool(command.unpack) and not git, written=path)
    step = plan.scope.find_source(command.from_, command.source, plan)
    if not command.from_:
        _check_ignored(plan, command, path)
    unpack = command.is_add if command.unpack is None else command.unpack
    pivot, pattern = "", path
    if command.parents:
        before, mark, behind = path.partition("/./")
        pattern, pivot = (before or "/", behind) if mark else ("/", path)
        pivot = _rooted(pivot).lstrip("/")
    return CopyItem(step, _rooted(pattern), wildcard=True, unpack=unpack, pivot=pivot, written=path)


def _check_ignored(plan: StagePlan, command: commands.Transfer, path: str) -> None:
    """Of what the ignore file leaves out there is nothing to copy."""
    name = _rooted(path)[1:]
    if name and plan.scope.ignored is not None and plan.scope.ignored.excluded(name):
        plan.lint.report_ignored(command.source, path)


def _rooted(path: str) -> str:
    """Absolute and clean; `..` ends at the root, as in BuildKit."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _file_name(url: str) -> str:
    """The last part of a URL's path, unescaped."""
    from urllib.parse import unquote, urlsplit

    name = posixpath.basename(unquote(urlsplit(url).path).rstrip("/"))
    return name if name not in ("", ".", "..") and "\0" not in name else "__unnamed__"


def _source_place(plan: StagePlan, where: Where, source: str) -> Where:
    """Where a source of an instruction is shown: beside it, under its own name."""
    head, bracket, _ = where.name.rpartition("] ")
    return Where(plan.name, head + bracket + source, first_line=where.first_line, last_line=where.last_line)


def _http(plan: StagePlan, flags: _Flags, url: str, where: Where) -> Step:
    if flags.checksum and not _is_digest(flags.checksum):
        raise InvalidArgument(
            f"invalid checksum digest format: {flags.checksum}", hint="sha256: and 64 hexadecimal digits"
        )
    place = _source_place(plan, where, url)
    return HttpSource(
        url, file_name=_file_name(url), checksum=flags.checksum, where=place, platform=plan.platform, ignore_cache=plan.ignore_cache
    )  # fmt: skip


def _git(plan: StagePlan, command: commands.Transfer, flags: _Flags, path: str, where: Where) -> Step:
    git = parse_git(path)
    if git is None:
        raise InvalidArgument(f"{path} is no git source")
    if command.keep_git_dir is not None and git.keep_git_dir not in (None, command.keep_git_dir):
        raise InvalidArgument("inconsistent keep-git-dir configuration")
    if flags.checksum and git.checksum not in ("", flags.checksum):
        raise InvalidArgument(f'checksum mismatch "{flags.checksum}" != "{git.checksum}"')
    checksum = git.checksum or flags.checksum
    if checksum and not (7 <= len(checksum) <= 64 and set(checksum) <= _HEX):
        raise InvalidArgument(f"invalid checksum: {checksum}", hint="the checksum of a git source is its commit")
    keep = git.keep_git_dir if git.keep_git_dir is not None else bool(command.keep_git_dir)
    place = _source_place(plan, where, path)
    return GitSource(
        git.remote, reference=git.reference, subdirectory=git.subdirectory, keep_git_dir=keep, checksum=checksum, submodules=git.submodules,
        where=place, platform=plan.platform, ignore_cache=plan.ignore_cache,
    )  # fmt: skip


def _check_checksum(command: commands.Transfer, paths: list[str]) -> None:
    if len(paths) != 1 or command.documents:
        raise InvalidArgument("checksum can't be specified for multiple sources")
    if not is_url(paths[0]) and parse_git(paths[0]) is None:
        raise InvalidArgument("checksum requires HTTP(S) or Git sources")


def _is_digest(text: str) -> bool:
    kind, _, digits = text.partition(":")
    return len(digits) == _DIGEST_DIGITS.get(kind) and set(digits) <= _HEX


def check_mode(text: str) -> None:
    """`--chmod`: octal up to 07777, or symbolic (`u=rwX,go=rX`). Raises InvalidArgument."""
    if not text:
        return
    if text.isdecimal():
        if len(text.lstrip("0")) <= 4 and set(text) <= _OCTAL:
            return
        raise InvalidArgument(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    import re

    if not all(re.fullmatch(_SYMBOLIC_MODE, part) for part in text.split(",")):
        raise InvalidArgument(f"invalid chmod parameter: '{text}'", hint="octal (0755) or symbolic (u=rwX,go=rX)")
