"""Instructions to commands in stages. BuildKit's frontend/dockerfile/instructions: which flags and how many arguments each takes."""

from __future__ import annotations

from pyctr.build.dockerfile import commands
from pyctr.build.dockerfile.health import parse_health
from pyctr.build.dockerfile.lexer import (
    Instruction,
    parse_here_document,
    parse_json_list,
    read_dockerfile,
    split_blanks,
    split_first,
    split_words,
)
from pyctr.build.dockerfile.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.build.dockerfile.lexer import HereDocument

_STAGE_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
#: Flag → what it takes: one text, several, or yes and no.
_ONE, _MANY, _BOOLEAN = "one", "many", "boolean"
_COPY_FLAGS = {"chown": _ONE, "chmod": _ONE, "link": _BOOLEAN, "exclude": _MANY}
_FLAGS: dict[str, dict[str, str]] = {
    "FROM": {"platform": _ONE},
    "RUN": {"mount": _MANY, "network": _ONE, "security": _ONE, "device": _MANY},
    "COPY": {**_COPY_FLAGS, "from": _ONE, "parents": _BOOLEAN},
    "ADD": {**_COPY_FLAGS, "checksum": _ONE, "keep-git-dir": _BOOLEAN, "unpack": _BOOLEAN},
    "HEALTHCHECK": dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), _ONE),
}


class Flags:
    """An instruction's flags, checked."""

    __slots__ = ("instruction", "values")

    def __init__(self, instruction: Instruction) -> None:
        self.instruction = instruction
        self.values: dict[str, list[str]] = {}
        known = _FLAGS.get(instruction.keyword, {})
        for flag in instruction.flags:
            kind = known.get(flag.name)
            if kind is None:
                advice = did_you_mean(flag.name, known)
                raise instruction.error(f"unknown flag: --{flag.name}{advice}", offset=flag.offset)
            if flag.value is None and kind != _BOOLEAN:
                raise instruction.error(f"missing a value on flag: --{flag.name}", offset=flag.offset)
            value = "true" if flag.value is None else flag.value
            if kind == _BOOLEAN and value.lower() not in ("true", "false"):
                message = f"expecting boolean value for flag --{flag.name}, not: {value}"
                raise instruction.error(message, offset=flag.offset)
            if flag.name in self.values and kind != _MANY:
                raise instruction.error(f"duplicate flag specified: {flag.name}", offset=flag.offset)
            self.values.setdefault(flag.name, []).append(value)

    def text(self, name: str) -> str:
        """A flag's value, "" if it was not given."""
        return self.values.get(name, [""])[0]

    def texts(self, name: str) -> list[str]:
        """Every value of a flag."""
        return self.values.get(name, [])

    def boolean(self, name: str) -> bool | None:
        """Yes, no, or not given."""
        return None if name not in self.values else self.text(name).lower() == "true"


def parse_dockerfile(text: str) -> commands.Dockerfile:
    """Parse a Dockerfile. Raises BuildError with line and column."""
    source = read_dockerfile(text)
    arguments: list[commands.Arg] = []
    stages: list[commands.Stage] = []
    for instruction in source.instructions:
        if instruction.keyword == "FROM":
            stages.append(_from(instruction, len(stages)))
            continue
        command = parse_instruction(instruction, source.escape)
        if stages:
            stages[-1].commands.append(command)
        elif isinstance(command, commands.Arg):
            arguments.append(command)
        else:
            raise instruction.error("no build stage in current context", hint="FROM comes first")
    if not stages:
        raise source.instructions[-1].error("dockerfile contains no stages to build")
    return commands.Dockerfile(source, arguments, stages)


def parse_instruction(instruction: Instruction, escape: str) -> commands.Command:
    """One instruction other than FROM."""
    parse = _PARSERS.get(instruction.keyword)
    if parse is None:
        advice = did_you_mean(instruction.keyword, (*_PARSERS, "FROM"))
        raise instruction.error(f"unknown instruction: {instruction.keyword}{advice}")
    return parse(instruction, Flags(instruction), escape)


def parse_trigger(expression: str, stage: commands.Stage) -> commands.Command:
    """What an image's ONBUILD says, at the FROM that brought it."""
    source = read_dockerfile(expression)
    if len(source.instructions) != 1:
        raise stage.source.error("onbuild trigger should be a single expression")
    instruction = source.instructions[0]
    if instruction.keyword in ("FROM", "MAINTAINER", "ONBUILD"):
        raise stage.source.error(f"{instruction.keyword} isn't allowed as an ONBUILD trigger")
    instruction.pieces = [(0, stage.source.first_line, 1)]
    instruction.last_line = stage.source.last_line
    command = parse_instruction(instruction, source.escape)
    command.on_build = True
    return command


def _from(instruction: Instruction, index: int) -> commands.Stage:
    flags = Flags(instruction)
    words = split_blanks(instruction.rest) if instruction.rest else []
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not set(name) <= _STAGE_NAME or not name[:1].isalpha():
            message = f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain symbols'
            raise instruction.error(message, offset=instruction.text.rfind(words[2]))
    elif len(words) == 1:
        name = ""
    else:
        raise instruction.error("FROM requires either one or three arguments")
    return commands.Stage(instruction, base=words[0], name=name, platform=flags.text("platform"), index=index)


def _exec_form(instruction: Instruction, text: str | None = None) -> list[str] | None:
    try:
        return parse_json_list(instruction.rest if text is None else text)
    except ValueError as error:
        raise instruction.error(str(error), offset=instruction.rest_offset) from None


def _list(instruction: Instruction) -> list[str]:
    """A JSON array, or words at blanks."""
    words = _exec_form(instruction)
    if words is not None:
        return words
    return split_blanks(instruction.rest) if instruction.rest else []


def _pairs(instruction: Instruction, _flags: Flags, escape: str) -> commands.Command:
    keyword, rest = instruction.keyword, instruction.rest
    words = split_words(rest, escape)
    if not words:
        raise instruction.error(f"{keyword} requires at least one argument")
    if "=" not in words[0]:
        parts = split_first(rest)
        if len(parts) < 2:
            raise instruction.error(f"{keyword} must have two arguments")
        return commands.Pairs(instruction, [(parts[0], parts[1])], legacy=True)
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            message = f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            raise instruction.error(message, offset=instruction.find(word))
        if not name:
            raise instruction.error(f"{keyword} names can not be blank", offset=instruction.find(word))
        pairs.append((name, value))
    return commands.Pairs(instruction, pairs, legacy=False)


def _arg(instruction: Instruction, _flags: Flags, escape: str) -> commands.Command:
    words = split_words(instruction.rest, escape)
    if not words:
        raise instruction.error("ARG requires at least one argument")
    arguments: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise instruction.error("ARG names can not be blank", offset=instruction.find(word))
        arguments.append((name, value if equals else None))
    return commands.Arg(instruction, arguments)


def _text(instruction: Instruction, _flags: Flags, _escape: str) -> commands.Command:
    if not instruction.rest:
        raise instruction.error(f"{instruction.keyword} requires exactly one argument")
    return commands.Text(instruction, instruction.rest)


def _words(instruction: Instruction, _flags: Flags, _escape: str) -> commands.Command:
    if instruction.keyword == "EXPOSE":
        words = split_blanks(instruction.rest) if instruction.rest else []
    else:
        words = _list(instruction)
    if not words:
        raise instruction.error(f"{instruction.keyword} requires at least one argument")
    if instruction.keyword == "VOLUME":
        words = [word.strip() for word in words]
        if not all(words):
            raise instruction.error("VOLUME specified can not be an empty string")
    return commands.Words(instruction, words)


def _shell(instruction: Instruction, _flags: Flags, _escape: str) -> commands.Command:
    words = _exec_form(instruction)
    if words is None:
        raise instruction.error("SHELL requires the arguments to be in JSON form", offset=instruction.rest_offset)
    if not words:
        raise instruction.error("SHELL requires at least one argument")
    return commands.Words(instruction, words)


def _command_line(instruction: Instruction, _flags: Flags, _escape: str) -> commands.Command:
    words = _exec_form(instruction)
    shell = words is None
    if words is None:
        words = [instruction.rest] if instruction.rest else []
    return commands.CommandLine(instruction, words, shell=shell and bool(words))


def _run(instruction: Instruction, flags: Flags, _escape: str) -> commands.Command:
    if flags.texts("device"):
        offset = next(flag.offset for flag in instruction.flags if flag.name == "device")
        raise instruction.error("RUN --device is not supported: there are no CDI devices in builds", offset=offset)
    words = _exec_form(instruction)
    shell = words is None
    if words is None:
        words = [instruction.rest] if instruction.rest else []
    if not words:
        raise instruction.error("RUN requires at least one argument")
    network, security = flags.text("network") or "default", flags.text("security") or "sandbox"
    for name, value, known in (
        ("network", network, ("default", "none", "host")),
        ("security", security, ("sandbox", "insecure")),
    ):
        if value not in known:
            kind = "network mode" if name == "network" else "security mode"
            offset = next(flag.offset for flag in instruction.flags if flag.name == name)
            raise instruction.error(f'unsupported {kind} "{value}"{did_you_mean(value, known)}', offset=offset)
    return commands.Run(
        instruction, words, shell=shell, mounts=flags.texts("mount"), network=network, security=security
    )


def _transfer(instruction: Instruction, flags: Flags, _escape: str) -> commands.Command:
    words = _list(instruction)
    if len(words) < 2:
        keyword = instruction.keyword
        raise instruction.error(
            f"{keyword} requires at least two arguments, but only {len(words)} provided. Destination could not be determined"
        )
    *sources, destination = words
    if parse_here_document(destination):
        raise instruction.error(
            f"{instruction.keyword} cannot accept a heredoc as a destination", offset=instruction.find(destination)
        )
    read = {document.name: document for document in instruction.here_documents}
    paths: list[str] = []
    documents: list[HereDocument] = []
    for word in sources:
        document = parse_here_document(word)
        if document and document.name in read:
            documents.append(read[document.name])
        else:
            paths.append(word)
    command = commands.Transfer(instruction, paths, destination, documents)
    command.from_ = flags.text("from")
    command.chown, command.chmod, command.checksum = (flags.text(name) for name in ("chown", "chmod", "checksum"))
    command.exclude = flags.texts("exclude")
    command.link, command.parents = bool(flags.boolean("link")), bool(flags.boolean("parents"))
    command.keep_git_dir, command.unpack = flags.boolean("keep-git-dir"), flags.boolean("unpack")
    return command


def _health(instruction: Instruction, flags: Flags, _escape: str) -> commands.Command:
    check = parse_health(instruction, flags.values, _exec_form)
    return commands.Health(instruction, check)


def _on_build(instruction: Instruction, _flags: Flags, escape: str) -> commands.Command:
    import re

    expression = re.sub(r"(?i)^\s*ONBUILD\s*", "", instruction.text)
    if not expression:
        raise instruction.error("ONBUILD requires at least one argument")
    # Its own errors are found here already, where they stand.
    inner = Instruction(expression, [(0, *instruction.place(instruction.text.find(expression)))])
    inner.here_documents, inner.last_line = instruction.here_documents, instruction.last_line
    if inner.keyword == "ONBUILD":
        raise instruction.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if inner.keyword in ("MAINTAINER", "FROM"):
        raise instruction.error(f"{inner.keyword} isn't allowed as an ONBUILD trigger")
    parse_instruction(inner, escape)
    for document in instruction.here_documents:
        expression += "\n" + document.content + document.name
    return commands.OnBuild(instruction, expression)


_PARSERS: dict[str, Callable[[Instruction, Flags, str], commands.Command]] = {
    "ADD": _transfer,
    "ARG": _arg,
    "CMD": _command_line,
    "COPY": _transfer,
    "ENTRYPOINT": _command_line,
    "ENV": _pairs,
    "EXPOSE": _words,
    "HEALTHCHECK": _health,
    "LABEL": _pairs,
    "MAINTAINER": _text,
    "ONBUILD": _on_build,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _text,
    "USER": _text,
    "VOLUME": _words,
    "WORKDIR": _text,
}
