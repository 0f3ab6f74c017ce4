"""Instructions with their parts, as the parser leaves them: nothing is expanded yet."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.dockerfile.lexer import HereDocument, Instruction, Source


class Command:
    """One instruction. `source` knows where it stands."""

    __slots__ = ("on_build", "source")

    def __init__(self, source: Instruction) -> None:
        self.source = source
        #: It is a trigger of the base image's ONBUILD.
        self.on_build = False

    @property
    def keyword(self) -> str:
        """In capitals."""
        return self.source.keyword


class Pairs(Command):
    """ENV and LABEL: name and value each; `legacy` is the form `NAME value`."""

    __slots__ = ("legacy", "pairs")

    def __init__(self, source: Instruction, pairs: list[tuple[str, str]], *, legacy: bool) -> None:
        super().__init__(source)
        self.pairs = pairs
        self.legacy = legacy


class Arg(Command):
    """ARG: name, and default or None."""

    __slots__ = ("arguments",)

    def __init__(self, source: Instruction, arguments: list[tuple[str, str | None]]) -> None:
        super().__init__(source)
        self.arguments = arguments


class Text(Command):
    """MAINTAINER, STOPSIGNAL, USER, WORKDIR: one text."""

    __slots__ = ("text",)

    def __init__(self, source: Instruction, text: str) -> None:
        super().__init__(source)
        self.text = text


class Words(Command):
    """EXPOSE, SHELL, VOLUME: several texts."""

    __slots__ = ("words",)

    def __init__(self, source: Instruction, words: list[str]) -> None:
        super().__init__(source)
        self.words = words


class CommandLine(Command):
    """CMD and ENTRYPOINT: the exec form, or one text for the shell."""

    __slots__ = ("shell", "words")

    def __init__(self, source: Instruction, words: list[str], *, shell: bool) -> None:
        super().__init__(source)
        self.words = words
        self.shell = shell


class Run(CommandLine):
    """RUN. `mounts` are the texts of `--mount`."""

    __slots__ = ("documents", "mounts", "network", "security")

    def __init__(
        self, source: Instruction, words: list[str], *, shell: bool, mounts: list[str], network: str, security: str
    ) -> None:
        super().__init__(source, words, shell=shell)
        self.documents: list[HereDocument] = source.here_documents
        self.mounts = mounts
        self.network = network
        self.security = security


class Transfer(Command):
    """ADD and COPY. `documents` are sources too, after the paths."""

    __slots__ = (
        "checksum", "chmod", "chown", "destination", "documents", "exclude", "from_", "keep_git_dir", "link", "parents", "sources", "unpack",
    )  # fmt: skip

    def __init__(
        self, source: Instruction, sources: list[str], destination: str, documents: list[HereDocument]
    ) -> None:
        super().__init__(source)
        self.sources = sources
        self.destination = destination
        self.documents = documents
        self.from_ = ""
        self.chown = ""
        self.chmod = ""
        self.checksum = ""
        self.exclude: list[str] = []
        self.link = False
        self.parents = False
        self.keep_git_dir: bool | None = None
        self.unpack: bool | None = None

    @property
    def is_add(self) -> bool:
        """ADD knows URLs, git and archives."""
        return self.keyword == "ADD"


class Health(Command):
    """HEALTHCHECK; times in nanoseconds, as the image config has them."""

    __slots__ = ("check",)

    def __init__(self, source: Instruction, check: dict[str, object]) -> None:
        super().__init__(source)
        self.check = check


class OnBuild(Command):
    """ONBUILD: the instruction to be, as written (here-documents and all)."""

    __slots__ = ("expression",)

    def __init__(self, source: Instruction, expression: str) -> None:
        super().__init__(source)
        self.expression = expression


class Stage:
    """FROM and what follows. `name` is in small letters, "" if it has none."""

    __slots__ = ("base", "commands", "index", "name", "platform", "source")

    def __init__(self, source: Instruction, *, base: str, name: str, platform: str, index: int) -> None:
        self.source = source
        self.base = base
        self.name = name
        self.platform = platform
        self.index = index
        self.commands: list[Command] = []


class Dockerfile:
    """A Dockerfile, parsed: ARGs before the first FROM, and the stages."""

    __slots__ = ("arguments", "source", "stages")

    def __init__(self, source: Source, arguments: list[Arg], stages: list[Stage]) -> None:
        self.source = source
        self.arguments = arguments
        self.stages = stages
