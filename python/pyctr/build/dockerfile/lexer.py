"""Lines to instructions: directives, comments, continuations, flags, here-documents. BuildKit's frontend/dockerfile/parser, in its terms."""

from __future__ import annotations

from pyctr.build.dockerfile.expand import Lexer, is_space
from pyctr.errors import BuildError, InvalidArgument

_DIRECTIVES = frozenset(("escape", "syntax", "check"))
_BLANKS = "\t\v\f\r "
_TO_SPACE = str.maketrans(_BLANKS, " " * len(_BLANKS))
#: Instructions that take here-documents.
_TAKE_HERE = frozenset(("ADD", "COPY", "RUN"))
#: bufio.Scanner's limit, which BuildKit has: a longer line is no Dockerfile.
_LINE_MAX_CHARACTERS = 65_535


class HereDocument:
    """`<<NAME` and the lines up to NAME. `expand`: no part of the name was quoted; `strip_tabs`: `<<-`."""

    __slots__ = ("content", "descriptor", "expand", "name", "strip_tabs")

    def __init__(self, name: str, *, content: str = "", expand: bool, strip_tabs: bool, descriptor: int = 0) -> None:
        self.name = name
        self.content = content
        self.expand = expand
        self.strip_tabs = strip_tabs
        self.descriptor = descriptor

    @property
    def text(self) -> str:
        """The content as it is meant: with `<<-` without leading tabs."""
        if not self.strip_tabs:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))


class Flag:
    """`--name` or `--name=value` before the arguments."""

    __slots__ = ("name", "offset", "value")

    def __init__(self, name: str, value: str | None, offset: int) -> None:
        self.name = name
        self.value = value
        self.offset = offset


class Instruction:
    """One instruction, its lines joined. `text` is the whole of it, `rest` what stands behind keyword and flags."""

    __slots__ = ("comment", "flags", "here_documents", "keyword", "last_line", "pieces", "rest", "rest_offset", "text")

    def __init__(self, text: str, pieces: list[tuple[int, int, int]]) -> None:
        self.text = text = text.rstrip()
        #: (offset in `text`, line, column) of each line that was joined.
        self.pieces = pieces
        self.last_line = pieces[-1][1]
        self.here_documents: list[HereDocument] = []
        #: The comment right above, "" if there is none.
        self.comment = ""
        parts = split_first(text.strip())
        self.keyword = parts[0].upper()
        start = len(text) - len(text.lstrip()) + len(parts[0])
        self.flags, self.rest_offset = _flags(text, start)
        self.rest = text[self.rest_offset :].strip()

    @property
    def first_line(self) -> int:
        """Line of the keyword."""
        return self.pieces[0][1]

    @property
    def written_keyword(self) -> str:
        """The keyword in the letters it was written in."""
        return self.text.split(maxsplit=1)[0]

    def place(self, offset: int = 0) -> tuple[int, int]:
        """Line and column of a character of `text`."""
        start, line, column = next(piece for piece in reversed(self.pieces) if piece[0] <= max(offset, 0))
        return line, column + offset - start

    def error(self, message: str, *, offset: int = 0, hint: str | None = None) -> BuildError:
        """An error at a character of `text`."""
        error = BuildError(message, hint=hint)
        error.line, error.column = self.place(offset)
        error.last_line = max(self.last_line, error.line)
        return error

    def find(self, word: str) -> int:
        """Where a word stands, as far as can be told."""
        found = self.text.find(word, self.rest_offset)
        found = self.text.find(word, len(self.keyword)) if found < 0 else found
        return found if found >= 0 else self.rest_offset


class Source:
    """A Dockerfile, read: its instructions, directives (`syntax`, `check`, `escape`) and escape character."""

    __slots__ = ("directive_lines", "directives", "empty_continuations", "escape", "instructions", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.directives: dict[str, str] = {}
        self.directive_lines: dict[str, int] = {}
        self.escape = "\\"
        self.instructions: list[Instruction] = []
        #: Last lines of instructions with an empty line among those that are joined.
        self.empty_continuations: list[int] = []


def error_at(message: str, line: int, column: int = 1) -> BuildError:
    """An error at a line, where there is no instruction yet."""
    error = BuildError(message)
    error.line = error.last_line = line
    error.column = column
    return error


def read_dockerfile(text: str) -> Source:
    """Split a Dockerfile into instructions. Raises BuildError with line and column."""
    source = Source(text)
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    at = _read_directives(source, lines)
    comment = ""
    while at < len(lines):
        first = lines[at].lstrip()
        if not first.rstrip("\r") or first.startswith("#"):
            comment = first[1:].strip()
            at += 1
            continue
        instruction, at = _join(source, lines, at)
        if instruction is None:
            continue
        instruction.comment, comment = comment, ""
        at = _read_here_documents(instruction, lines, at)
        source.instructions.append(instruction)
    if not source.instructions:
        raise error_at("file with no instructions", max(len(lines), 1))
    return source


def read_directives(text: str) -> dict[str, str]:
    """The directives of a Dockerfile alone."""
    source = Source(text)
    _read_directives(source, text.removeprefix("\ufeff").split("\n"))
    return source.directives


def _read_directives(source: Source, lines: list[str]) -> int:
    """`# name=value` lines at the very top; the index of the first line that is none."""
    for index, line in enumerate(lines):
        written, _, value = line.strip().removeprefix("#").partition("=")
        name, value = written.strip().lower(), value.strip()
        if not (line.lstrip().startswith("#") and value and written.strip().isascii() and name in _DIRECTIVES):
            return index
        if name in source.directives:
            raise error_at(f"only one {name} parser directive can be used", index + 1)
        source.directives[name] = value
        source.directive_lines[name] = index + 1
        if name == "escape":
            if value not in ("\\", "`"):
                raise error_at(f"invalid escape token '{value}' does not match ` or \\", index + 1)
            source.escape = value
    return len(lines)


def _join(source: Source, lines: list[str], at: int) -> tuple[Instruction | None, int]:
    """An instruction from its first line on, and the index of the line behind it."""
    text, pieces, has_empty_line = "", [], False
    first = at
    while at < len(lines):
        # Only a first line loses what it is indented by.
        line = lines[at].removesuffix("\r")
        column = 1
        if at == first:
            column += len(line) - len(line.lstrip())
            line = line.lstrip()
        elif line.lstrip().startswith("#") or not line.strip():
            has_empty_line = has_empty_line or not line.strip()
            at += 1
            continue
        if len(line) > _LINE_MAX_CHARACTERS:
            raise error_at(f"dockerfile line greater than max allowed size of {_LINE_MAX_CHARACTERS}", at + 1)
        pieces.append((len(text), at + 1, column))
        at += 1
        continued = _continued(line, source.escape)
        text += line if continued is None else continued
        if continued is None:
            break
    if has_empty_line:
        source.empty_continuations.append(at)
    if not text.strip():
        return None, at
    instruction = Instruction(text, pieces)
    instruction.last_line = at
    return instruction, at


def _continued(line: str, escape: str) -> str | None:
    """A line without the escape at its end, blanks behind it or not; None if there is none, or it is escaped itself."""
    bare = line.rstrip(" \t")
    return bare[:-1] if bare.endswith(escape) and bare[-2:-1] != escape else None


def split_blanks(text: str) -> list[str]:
    """Words between blanks that are not lines' ends; an empty one at either end that is blank."""
    first, *others = text.translate(_TO_SPACE).split(" ")
    return [first, *(word for word in others[:-1] if word), *others[-1:]]


def split_first(text: str) -> list[str]:
    """The first word, and what stands behind the blanks after it if there are any."""
    first, blank, _ = text.translate(_TO_SPACE).partition(" ")
    return [first, text[len(first) :].lstrip(_BLANKS)] if blank else [first]


def _flags(text: str, at: int) -> tuple[list[Flag], int]:
    """Flags behind the keyword, and where the arguments begin. Quotes and backslashes in a flag are taken away."""
    flags: list[Flag] = []
    while True:
        while at < len(text) and is_space(text[at]):
            at += 1
        if not text.startswith("--", at):
            return flags, at
        start, word, quote = at, "", ""
        while at < len(text) and (quote or not is_space(text[at])):
            letter = text[at]
            at += 1
            if letter == quote or (not quote and letter in "'\""):
                quote = "" if quote else letter
                continue
            if letter == "\\":
                letter = text[at : at + 1]
                at += 1
            word += letter
        if word == "--":
            return flags, at
        name, equals, value = word[2:].partition("=")
        flags.append(Flag(name, value if equals else None, start))


def _read_here_documents(instruction: Instruction, lines: list[str], at: int) -> int:
    """Take the lines of the here-documents that the instruction names; the index of the line behind them."""
    if "<<" not in instruction.text or not _takes_here_documents(instruction):
        return at
    for document in find_here_documents(instruction.text):
        content, ended = "", False
        while at < len(lines) and not ended:
            line = lines[at]
            at += 1
            end = line.removesuffix("\r")
            ended = (end.lstrip("\t") if document.strip_tabs else end) == document.name
            content += "" if ended else line + "\n"
        if not ended:
            raise instruction.error(
                "unterminated heredoc", offset=instruction.find("<<"), hint=f"no line is {document.name}"
            )
        document.content = content
        instruction.here_documents.append(document)
    instruction.last_line = at
    return at


def _takes_here_documents(instruction: Instruction) -> bool:
    """ADD, COPY and RUN do, in their shell form, also behind ONBUILD."""
    keyword, rest = instruction.keyword, instruction.rest
    if keyword == "ONBUILD":
        inner = Instruction(rest, [(0, 1, 1)]) if rest else None
        keyword, rest = (inner.keyword, inner.rest) if inner else ("", "")
    return keyword in _TAKE_HERE and parse_json_list(rest) is None


def find_here_documents(text: str) -> list[HereDocument]:
    """The `<<NAME` words of an instruction, without their content."""
    lexer = Lexer("\\", keep_quotes=True, keep_escapes=True, keep_unset=True)
    try:
        words = lexer.words(text, {})
    except InvalidArgument:
        return []  # an open quote: the shell's business, not a here-document's
    documents = (parse_here_document(word) for word in words)
    return [document for document in documents if document is not None]


def parse_here_document(word: str) -> HereDocument | None:
    """`[N]<<[-]NAME`, its name quoted or not; None if the word is something else."""
    number, mark, name = word.partition("<<")
    strip_tabs, name = name.startswith("-"), name.removeprefix("-")
    if not mark or not name or "<" in name or (number and not number.isdecimal()):
        return None
    try:
        plain = Lexer("\\", keep_unset=True).words(name, {})
        quoted = Lexer("\\", keep_unset=True, keep_quotes=True, keep_escapes=True).words(name, {})
    except InvalidArgument:
        return None
    if len(plain) != 1 or len(quoted) != 1:
        return None
    return HereDocument(plain[0], expand=plain == quoted, strip_tabs=strip_tabs, descriptor=int(number or 0))


def parse_json_list(text: str) -> list[str] | None:
    """The exec form: a JSON array of strings. None if it is not JSON; raises ValueError if it holds anything but strings."""
    from pyctr._core import json_loads

    text = text.strip()
    if not text.startswith("["):
        return None
    try:
        value = json_loads(text)
    except ValueError:
        return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise ValueError("when using JSON array syntax, arrays must be comprised of strings only")
    return value


def split_words(text: str, escape: str) -> list[str]:
    """Words as ENV, LABEL and ARG have them: quotes group and stay, an escape takes what follows with it."""
    words: list[str] = []
    word, quote, begun, position = "", "", False, 0
    while position < len(text):
        letter = text[position]
        position += 1
        if not quote and is_space(letter):
            if begun:
                words.append(word)
            word, begun = "", False
            continue
        if letter == escape and quote != "'":
            if position == len(text):
                break  # an escape at the very end escapes nothing
            word += letter + text[position]
            position += 1
        else:
            if letter == quote:
                quote = ""
            elif not quote and letter in "'\"":
                quote = letter
            word += letter
        begun = True
    return words + ([word] if begun else [])
