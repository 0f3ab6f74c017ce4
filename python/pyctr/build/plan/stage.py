"""One stage while it is planned: its config, environment and file system so far, and what each instruction does to them."""

from __future__ import annotations

import contextlib

from pyctr.build.dockerfile import commands
from pyctr.build.dockerfile.expand import Lexer
from pyctr.build.ignore import Matcher
from pyctr.build.lint.stage import StageLinter
from pyctr.build.plan.config import clean_directory
from pyctr.build.plan.step import MakeDirectory, Where
from pyctr.errors import BuildError, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyctr.build.dockerfile.lexer import Instruction
    from pyctr.build.lint.rules import Linter
    from pyctr.build.plan.config import ImageConfig
    from pyctr.build.plan.step import Step
    from pyctr.build.request import Request


class Scope:
    """What is the same for every stage of one platform."""

    __slots__ = (
        "arguments",
        "escape",
        "find_source",
        "ignored",
        "linter",
        "many_platforms",
        "request",
        "target_platform",
    )

    def __init__(
        self,
        request: Request,
        *,
        arguments: Mapping[str, str],
        escape: str,
        target_platform: str,
        many_platforms: bool,
        find_source: Callable[[str, Instruction, StagePlan], Step],
        linter: Linter,
    ) -> None:
        self.request = request
        #: Arguments before the first FROM and predefined ones.
        self.arguments = arguments
        self.escape = escape
        self.target_platform = target_platform
        self.many_platforms = many_platforms
        #: Name or number of a stage, of a named context, or an image → its file system; "" is the build context.
        self.find_source = find_source
        self.linter = linter
        #: What the ignore file leaves out of the build context.
        self.ignored = Matcher(request.ignore) if request.ignore else None


class StagePlan:
    """A stage as it is after the instructions so far."""

    __slots__ = (
        "arguments", "config", "directory", "environment", "ignore_cache", "layers", "lexer", "lint", "name", "number", "platform", "scope", "shown_name",
        "stage", "step", "total", "triggers",
    )  # fmt: skip

    def __init__(self, stage: commands.Stage, scope: Scope, *, shown_name: str) -> None:
        self.stage = stage
        self.scope = scope
        self.lexer = Lexer(scope.escape)
        self.lint = StageLinter(scope.linter)
        self.name = stage.name or f"stage-{stage.index}"
        #: As progress shows it: not at all if it is the only one.
        self.shown_name = shown_name
        request = scope.request
        self.ignore_cache = request.no_cache or any(stage.name == name.lower() for name in request.no_cache_filter)
        self.config: ImageConfig
        self.step: Step
        self.platform: str
        self.layers: list[Step] = []
        #: ENV and ARG, latest last.
        self.environment: dict[str, str] = {}
        #: ARGs of this stage and of those it is FROM, for the history of RUN.
        self.arguments: dict[str, str] = {}
        self.directory = "/"
        self.number = 0
        self.total = sum(makes_layer(command) for command in stage.commands)
        #: What a stage that is FROM this one does first.
        self.triggers: list[str] = []

    def begin(self, step: Step, config: ImageConfig, platform: str) -> None:
        """Start on a base."""
        self.step, self.config, self.platform = step, config, platform
        for entry in config.run.get("Env", []):
            name, _, value = entry.partition("=")
            self.set_variable(name, value)
        self.directory = config.run.get("WorkingDir") or "/"

    def set_variable(self, name: str, value: str) -> None:
        """A variable is seen from here on."""
        self.environment.pop(name, None)
        self.environment[name] = value

    def expand(self, source: Instruction, word: str, lexer: Lexer | None = None) -> str:
        """A word with variables put in. Raises BuildError at the word."""
        lexer = lexer or self.lexer
        try:
            text = lexer.expand(word, self.environment)
        except InvalidArgument as error:
            raise source.error(str(error), offset=source.find(word)) from None
        self.note_missing(source, lexer)
        return text

    def note_missing(self, source: Instruction, lexer: Lexer) -> None:
        """Say which variables of what was read last are not set; an ARG without a value is meant to be so."""
        if lexer.missing - self.arguments.keys():
            self.lint.check_variables(source, lexer.missing - self.arguments.keys(), self.environment)

    def where(self, source: Instruction, text: str, *, on_build: bool = False) -> Where:
        """The next number of this stage, and the name that progress shows."""
        self.number += 1
        prefix = ""
        if self.total:
            platform = f"{self.platform} " if self.scope.many_platforms else ""
            stage = f"{self.shown_name} " if self.shown_name else ""
            width = len(str(self.total))
            prefix = f"[{platform}{stage}{self.number:>{width}}/{self.total}] "
        return Where(
            self.name,
            f"{prefix}{'ONBUILD ' if on_build else ''}{text}",
            first_line=source.first_line,
            last_line=source.last_line,
            number=self.number,
            total=self.total,
        )

    def shown(self, source: Instruction, *, keep_quotes: bool = False, more: str = "") -> str:
        """An instruction as progress shows it, variables put in."""
        lexer = Lexer(self.scope.escape, keep_quotes=keep_quotes, keep_unset=keep_quotes)
        text = source.text.strip() + more
        with contextlib.suppress(InvalidArgument):
            text = lexer.expand(text, self.environment)
        keyword, blank, rest = text.partition(" ")
        return keyword.upper() + blank + rest

    def add_layer(self, step: Step) -> None:
        """Go on from a step that adds a layer."""
        self.step = step
        self.layers.append(step)

    def absolute(self, path: str) -> tuple[str, bool]:
        """A destination made absolute by the working directory, and whether it was written as a directory's."""
        is_directory = path in ("", ".", "./") or path.endswith(("/", "/."))
        return clean_directory(self.directory, path), is_directory


def makes_layer(command: commands.Command) -> bool:
    """Whether progress counts it (WORKDIR / makes none, and is counted nevertheless, as BuildKit does)."""
    return isinstance(command, commands.Run | commands.Transfer) or command.keyword == "WORKDIR"


def apply_pairs(plan: StagePlan, command: commands.Pairs) -> None:
    """ENV, LABEL: every value is expanded with what was before the instruction."""
    source = command.source
    pairs = [(plan.expand(source, name), plan.expand(source, value)) for name, value in command.pairs]
    if command.keyword == "LABEL":
        plan.config.set_labels(pairs)
        return
    plan.config.set_environment(pairs)
    for name, value in pairs:
        plan.set_variable(name, value)


def apply_arg(plan: StagePlan, command: commands.Arg) -> None:
    """ARG: build argument, else default, else the global one of that name."""
    shown = []
    for name, default in command.arguments:
        value: str | None = plan.scope.request.build_args.get(name)
        if value is None and default is not None:
            value = plan.expand(command.source, default)
        elif value is None:
            value = plan.scope.arguments.get(name)
        if value is not None:
            plan.set_variable(name, value)
        plan.arguments[name] = value or ""
        shown.append(name if value is None else f"{name}={value}")
    plan.config.note("ARG " + " ".join(shown))


def apply_text(plan: StagePlan, command: commands.Text) -> None:
    """MAINTAINER, STOPSIGNAL, USER, WORKDIR."""
    if command.keyword == "MAINTAINER":
        plan.config.set_author(command.text)
        return
    text = plan.expand(command.source, command.text)
    if command.keyword == "WORKDIR":
        plan.lint.check_directory(command.source, text)
    if command.keyword == "USER":
        plan.config.set_user(text)
    elif command.keyword == "STOPSIGNAL":
        plan.config.set_stop_signal(text)
    else:
        _work_directory(plan, command, text)


def _work_directory(plan: StagePlan, command: commands.Text, text: str) -> None:
    if not text:
        raise command.source.error("WORKDIR requires exactly one argument", offset=command.source.rest_offset)
    path = clean_directory(plan.config.run.get("WorkingDir") or "/", text)
    plan.config.run["WorkingDir"] = path
    plan.directory = path
    if path != "/":
        where = plan.where(command.source, plan.shown(command.source), on_build=command.on_build)
        owner = plan.config.run.get("User", "")
        step = MakeDirectory(
            plan.step, path, owner=owner, where=where, platform=plan.platform, ignore_cache=plan.ignore_cache
        )
        plan.add_layer(step)
    plan.config.note(f"WORKDIR {path}", layer=path != "/")


def apply_words(plan: StagePlan, command: commands.Words) -> None:
    """EXPOSE, SHELL, VOLUME."""
    source = command.source
    if command.keyword == "SHELL":
        plan.config.set_shell(command.words)
    elif command.keyword == "VOLUME":
        plan.config.add_volumes([plan.expand(source, word) for word in command.words])
    else:
        try:
            words = []
            for word in command.words:
                words += plan.lexer.words(word, plan.environment)
                plan.note_missing(source, plan.lexer)
        except InvalidArgument as error:
            raise source.error(str(error), offset=source.rest_offset) from None
        plan.lint.check_ports(source, words)
        plan.config.add_ports(words)


def apply_config(plan: StagePlan, command: commands.Command) -> bool:
    """Instructions that make no layer, and WORKDIR; False if it is another one. Raises BuildError."""
    try:
        match command:
            case commands.Pairs():
                apply_pairs(plan, command)
            case commands.Arg():
                apply_arg(plan, command)
            case commands.Text():
                apply_text(plan, command)
            case commands.Words():
                apply_words(plan, command)
            case commands.Health():
                plan.config.set_health(dict(command.check))
            case commands.OnBuild():
                plan.config.run.setdefault("OnBuild", []).append(command.expression)
                plan.triggers.append(command.expression)
            case commands.CommandLine() if not isinstance(command, commands.Run):
                write = plan.config.set_command if command.keyword == "CMD" else plan.config.set_entry_point
                write(list(command.words), shell=command.shell)
            case _:
                return False
    except BuildError:
        raise
    except InvalidArgument as error:
        raise command.source.error(str(error), offset=command.source.rest_offset) from None
    return True
