"""What can be said of a Dockerfile as it is written: casing, names, comments. Every stage counts, built or not."""

from __future__ import annotations

from pyctr.build.dockerfile import commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.dockerfile.lexer import Instruction
    from pyctr.build.lint.rules import Linter

_RESERVED = frozenset(("context", "scratch"))


def check_source(linter: Linter, dockerfile: commands.Dockerfile) -> None:
    """Report what is found, in the order BuildKit does."""
    for line in dockerfile.source.empty_continuations:
        linter.report_line("NoEmptyContinuation", "Empty continuation line", line)
    for argument in dockerfile.arguments:
        _check_argument(linter, argument)
    for stage in dockerfile.stages:
        _check_from(linter, stage)
        for command in stage.commands:
            if isinstance(command, commands.Arg):
                _check_argument(linter, command)
            elif command.keyword == "MAINTAINER":
                text = "Maintainer instruction is deprecated in favor of using label"
                linter.report("MaintainerDeprecated", text, command.source)
    _check_names(linter, dockerfile.stages)
    _check_casing(linter, dockerfile.stages)


def _check_from(linter: Linter, stage: commands.Stage) -> None:
    source = stage.source
    words = source.rest.split()
    if len(words) != 3:
        return
    keyword, (_, word, name) = source.written_keyword, words
    if name != name.lower():
        linter.report("StageNameCasing", f"Stage name '{name}' should be lowercase", source)
    wanted = word.lower() if keyword.islower() else word.upper() if keyword.isupper() else word
    if word != wanted:
        linter.report("FromAsCasing", f"'{word}' and '{keyword}' keywords' casing do not match", source)
    _check_description(linter, source, "FROM", [stage.name])


def _check_argument(linter: Linter, command: commands.Arg) -> None:
    _check_description(linter, command.source, "ARG", [name for name, _ in command.arguments])


def _check_description(linter: Linter, source: Instruction, keyword: str, names: list[str]) -> None:
    """A comment right above says what it is about: `# name …`."""
    if source.comment and source.comment.partition(" ")[0] not in names:
        name = names[0] if len(names) == 1 else "<arg_key>"
        text = f"Comment for {keyword} should follow the format: `# {name} <description>`"
        linter.report("InvalidDefinitionDescription", text, source)


def _check_names(linter: Linter, stages: list[commands.Stage]) -> None:
    seen: set[str] = set()
    for stage in stages:
        if stage.name in _RESERVED:
            text = f'Stage name should not use the same name as reserved stage "{stage.name}"'
            linter.report("ReservedStageName", text, stage.source)
        if stage.name in seen:
            text = f'Duplicate stage name "{stage.name}", stage names should be unique'
            linter.report("DuplicateStageName", text, stage.source)
        seen |= {stage.name} - {""}


def _check_casing(linter: Linter, stages: list[commands.Stage]) -> None:
    """Keywords are all as the majority is; capitals win a draw."""
    sources = [source for stage in stages for source in (stage.source, *(command.source for command in stage.commands))]
    lower = sum(source.written_keyword.islower() for source in sources)
    upper = sum(source.written_keyword.isupper() for source in sources)
    for source in sources:
        keyword = source.written_keyword
        if not (keyword.islower() if lower > upper else keyword.isupper()):
            wanted = "lowercase" if lower > upper else "uppercase"
            text = f"Command '{keyword}' should match the case of the command majority ({wanted})"
            linter.report("ConsistentInstructionCasing", text, source)
