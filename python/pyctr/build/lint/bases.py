"""What can be said of FROM: the arguments in it, and its platform. Every stage counts, built or not."""

from __future__ import annotations

import contextlib

from pyctr.build.dockerfile.suggest import did_you_mean
from pyctr.errors import InvalidArgument
from pyctr.image.manifest import parse_platform
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.build.dockerfile import commands
    from pyctr.build.dockerfile.expand import Lexer
    from pyctr.build.lint.rules import Linter

_TARGET = "TARGETPLATFORM"


def check_bases(
    linter: Linter,
    dockerfile: commands.Dockerfile,
    lexer: Lexer,
    arguments: Mapping[str, str],
    defaults: Mapping[str, str],
) -> None:
    """Report what is found. `arguments` is what FROM sees, `defaults` what it would see without build arguments."""
    for stage in dockerfile.stages:
        with contextlib.suppress(InvalidArgument):
            if not _is_reference(lexer.expand(stage.base, defaults)):
                text = f"Default value for ARG {stage.base} results in empty or invalid base image name"
                linter.report("InvalidDefaultArgInFrom", text, stage.source)
    declared = {name for command in dockerfile.arguments for name, _ in command.arguments}
    for stage in dockerfile.stages:
        with contextlib.suppress(InvalidArgument):  # said where it matters
            lexer.expand(stage.base, arguments)
            _check_declared(linter, stage, lexer.missing - declared, declared | arguments.keys())
            if stage.platform:
                platform = lexer.expand(stage.platform, arguments)
                _check_declared(linter, stage, lexer.missing - declared, declared | arguments.keys())
                _check_platform(linter, stage, platform, lexer, arguments)


def _is_reference(name: str) -> bool:
    try:
        parse_reference(name)
    except InvalidArgument:
        return False
    return True


def _check_declared(linter: Linter, stage: commands.Stage, missing: set[str], known: set[str]) -> None:
    for name in sorted(missing):
        text = f"FROM argument '{name}' is not declared{did_you_mean(name, known)}"
        linter.report("UndefinedArgInFrom", text, stage.source)


def _check_platform(
    linter: Linter, stage: commands.Stage, platform: str, lexer: Lexer, arguments: Mapping[str, str]
) -> None:
    if lexer.found == {_TARGET} and not lexer.missing and platform == arguments.get(_TARGET):
        text = f"Setting platform to predefined {stage.platform} in FROM is redundant as this is the default behavior"
        linter.report("RedundantTargetPlatform", text, stage.source)
    if lexer.found or lexer.missing:
        return
    system, architecture, _ = parse_platform(platform)
    if system not in stage.name and architecture not in stage.name:  # a stage named after its platform means it
        text = f'FROM --platform flag should not use constant value "{platform}"'
        linter.report("FromPlatformFlagConstDisallowed", text, stage.source)
