"""What can be said of a stage while it is planned: variables, and what instructions do to each other."""

from __future__ import annotations

from pyctr.build.dockerfile import commands
from pyctr.build.dockerfile.suggest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyctr.build.dockerfile.lexer import Instruction
    from pyctr.build.lint.rules import Linter

#: Words of a name that say that its value is nobody's business, and one that says that it is everybody's.
_SECRET = frozenset(
    ("apikey", "auth", "credential", "credentials", "key", "passwd", "password", "pword", "secret", "token")
)
_PUBLIC = "public"
#: Only the last of these counts.
_ONCE = frozenset(("CMD", "ENTRYPOINT", "HEALTHCHECK"))


class StageLinter:
    """The advice for one stage."""

    __slots__ = ("_linter", "_once", "directory_is_set", "muted")

    def __init__(self, linter: Linter) -> None:
        self._linter = linter
        self._once: dict[str, Instruction] = {}
        #: WORKDIR was here already, or in the stage this one is FROM.
        self.directory_is_set = False
        #: Nothing is said of what is not in the file: triggers of the base.
        self.muted = False

    def _report(self, rule: str, text: str, source: Instruction) -> None:
        if not self.muted:
            self._linter.report(rule, text, source)

    def check_command(self, command: commands.Command, *, has_shell: bool) -> None:
        """An instruction by itself, before it is carried out; `has_shell`: SHELL is set."""
        source = command.source
        if command.keyword in _ONCE:
            self._check_once(source)
        if isinstance(command, commands.Pairs):
            self._check_pairs(command)
        elif isinstance(command, commands.Arg):
            self._check_secrets(source, (name for name, _ in command.arguments))
        elif _is_for_the_shell(command) and not has_shell:
            text = f"JSON arguments recommended for {source.written_keyword} to prevent unintended behavior related to OS signals"
            self._report("JSONArgsRecommended", text, source)

    def _check_once(self, source: Instruction) -> None:
        before = self._once.get(source.keyword)
        if before is not None:
            text = f"Multiple {source.written_keyword} instructions should not be used in the same stage because only the last one will be used"
            self._report("MultipleInstructionsDisallowed", text, before)
        self._once[source.keyword] = source

    def _check_pairs(self, command: commands.Pairs) -> None:
        source, word = command.source, command.source.written_keyword
        if command.legacy:
            text = f'"{word} key=value" should be used instead of legacy "{word} key value" format'
            self._report("LegacyKeyValueFormat", text, source)
        if command.keyword == "ENV":
            self._check_secrets(source, (name for name, _ in command.pairs))

    def _check_secrets(self, source: Instruction, names: Iterable[str]) -> None:
        for name in names:
            words = name.lower().split("_")
            if _PUBLIC not in words and not _SECRET.isdisjoint(words):
                text = f'Do not use ARG or ENV instructions for sensitive data ({source.keyword} "{name}")'
                self._report("SecretsUsedInArgOrEnv", text, source)

    def check_variables(self, source: Instruction, missing: Iterable[str], known: Iterable[str]) -> None:
        """Variables that an instruction names and nobody has set."""
        for name in sorted(missing):
            meant = nearest(name, known)
            advice = f" (did you mean ${meant}?)" if meant else ""
            self._report("UndefinedVar", f"Usage of undefined variable '${name}'{advice}", source)

    def check_directory(self, source: Instruction, path: str) -> None:
        """WORKDIR."""
        if not self.directory_is_set and not path.startswith("/"):
            text = f'Relative workdir "{path}" can have unexpected results if the base image changes'
            self._report("WorkdirRelativePath", text, source)
        self.directory_is_set = True

    def check_ports(self, source: Instruction, words: list[str]) -> None:
        """EXPOSE, variables put in."""
        for word in words:
            protocol = word.partition("/")[2]
            if protocol != protocol.lower():
                text = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                self._report("ExposeProtoCasing", text, source)
            if ":" in word:
                text = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                self._report("ExposeInvalidFormat", text, source)

    def report_ignored(self, source: Instruction, path: str) -> None:
        """COPY and ADD of what .dockerignore leaves out."""
        text = f'Attempting to {source.keyword.capitalize()} file "{path}" that is excluded by .dockerignore'
        self._report("CopyIgnoredFile", text, source)


def _is_for_the_shell(command: commands.Command) -> bool:
    """CMD or ENTRYPOINT in the shell form: the shell is process 1, and does not pass signals on."""
    return isinstance(command, commands.CommandLine) and command.shell and not isinstance(command, commands.Run)
