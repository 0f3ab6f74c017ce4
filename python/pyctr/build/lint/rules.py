"""The rules' names, what was found, and which of it is wanted: `# check=` and BUILDKIT_DOCKERFILE_CHECK."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.dockerfile.lexer import Instruction

#: Build argument that stands before the directive.
ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
_ADDRESS = "https://docs.docker.com/go/dockerfile/rule/"
#: Rule → what it is about, as Docker's documentation has it.
DESCRIPTIONS = {
    "StageNameCasing": "Stage names should be lowercase",
    "FromAsCasing": "The 'as' keyword should match the case of the 'from' keyword",
    "NoEmptyContinuation": "Empty continuation lines will become errors in a future release",
    "ConsistentInstructionCasing": "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "DuplicateStageName": "Stage names should be unique",
    "ReservedStageName": "Reserved words should not be used as stage names",
    "JSONArgsRecommended": "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    "MaintainerDeprecated": "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "UndefinedArgInFrom": "FROM command must use declared ARGs",
    "WorkdirRelativePath": "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base"
    " image changes",
    "UndefinedVar": "Variables should be defined before their use",
    "MultipleInstructionsDisallowed": "Multiple instructions of the same type should not be used in the same stage",
    "LegacyKeyValueFormat": "Legacy key/value format with whitespace separator should not be used",
    "RedundantTargetPlatform": "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    "SecretsUsedInArgOrEnv": "Sensitive data should not be used in the ARG or ENV commands",
    "InvalidDefaultArgInFrom": "Default value for global ARG results in an empty or invalid base image name",
    "FromPlatformFlagConstDisallowed": "FROM --platform flag should not use a constant value",
    "CopyIgnoredFile": "Attempting to Copy file that is excluded by .dockerignore",
    "InvalidDefinitionDescription": "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this"
    " is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    "ExposeProtoCasing": "Protocol in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future"
    " release",
}
#: Rules that must be asked for.
_EXPERIMENTAL = frozenset(("InvalidDefinitionDescription",))
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


class Finding:
    """One piece of advice. `rule` is "" for what is none of BuildKit's checks; `first_line` 0 where there is no line."""

    __slots__ = ("excerpt", "first_line", "last_line", "place", "rule", "text")

    def __init__(self, rule: str, text: str, *, first_line: int = 0, last_line: int = 0) -> None:
        self.rule = rule
        self.text = text
        self.first_line = first_line
        self.last_line = max(first_line, last_line)
        #: `Dockerfile:3`, and the lines around; filled in once the plan is made.
        self.place = ""
        self.excerpt = ""

    @property
    def url(self) -> str:
        """Where the rule is explained."""
        return f"{_ADDRESS}{_slug(self.rule)}/" if self.rule else ""

    @property
    def description(self) -> str:
        """What the rule is about."""
        return DESCRIPTIONS.get(self.rule, "")

    def __str__(self) -> str:
        line = f" (line {self.first_line})" if self.first_line else ""
        return f"{self.rule}: {self.text}{line}" if self.rule else f"{self.text}{line}"


def _slug(rule: str) -> str:
    """`JSONArgsRecommended` as addresses have it: json-args-recommended."""
    import re

    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", rule).lower()


class Linter:
    """Collects what is wanted. `options` is `skip=…;error=…;experimental=…`."""

    __slots__ = ("_experimental", "_skipped", "error", "findings")

    def __init__(self, options: str = "") -> None:
        """Raises InvalidArgument."""
        self.findings: list[Finding] = []
        self._skipped: frozenset[str] = frozenset()
        self._experimental: frozenset[str] = frozenset()
        #: What is found makes the build fail.
        self.error = False
        for part in options.split(";") if options.strip() else ():
            self._read(part)

    def _read(self, part: str) -> None:
        name, equals, value = (text.strip() for text in part.partition("="))
        rules = frozenset(rule.strip() for rule in value.split(","))
        if name == "skip" and equals:
            self._skipped = rules
        elif name == "experimental" and equals:
            self._experimental = rules
        elif name == "error" and equals and value in (*_TRUE, *_FALSE):
            self.error = value in _TRUE
        else:
            raise InvalidArgument(
                f'invalid check option "{part.strip()}"', hint="skip=RULE,…|all; error=true; experimental=RULE,…|all"
            )

    def report(self, rule: str, text: str, source: Instruction) -> None:
        """Something was found at an instruction."""
        self.report_line(rule, text, source.first_line, source.last_line)

    def report_line(self, rule: str, text: str, first_line: int, last_line: int = 0) -> None:
        """Something was found at a line."""
        if rule in self._skipped or "all" in self._skipped:
            return
        if rule in _EXPERIMENTAL and not self._experimental & {rule, "all"}:
            return
        self.findings.append(Finding(rule, text, first_line=first_line, last_line=last_line))

    def failure(self) -> str:
        """Why the build fails because of what was found; "" if it does not."""
        rules = sorted({finding.rule for finding in self.findings})
        return f"lint violation found for rules: {', '.join(rules)}" if self.error and rules else ""
