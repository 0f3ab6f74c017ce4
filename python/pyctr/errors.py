"""Every exception pyctr raises.

PyctrError
├── NotFound            a thing that was named does not exist
├── Conflict            the thing exists already, or is in use
├── InvalidArgument     what was asked for is malformed or out of range
│   └── InvalidFlag     the value of a flag cannot be read (the command line shows how the command is called)
├── StateError          the thing is in a state that does not allow it
├── CorruptData         data does not have the digest, size or form it must have
├── KernelError         a system call failed (errno is set)
├── CommandNotFound     the command to run was not found (exit code 127)
├── CommandNotExecutable  the command to run cannot be executed (exit code 126)
├── ContainerError      a container that the Python API waited for failed (exit_status, stderr)
├── RegistryError       a registry refused or misbehaved
└── BuildError          a Dockerfile line failed (line is set)

A message is one line, lower case, without a full stop; advice for the user is in ``hint``.
"""


class PyctrError(Exception):
    """Base of all; ``hint`` says what the user can do, ``errno`` is the kernel's number where it had one."""

    hint: "str | None" = None
    errno: "int | None" = None
    exit_code: int = 125

    def __init__(self, message: str, *, hint: "str | None" = None) -> None:
        super().__init__(message)
        self.hint = hint


class NotFound(PyctrError):
    """A thing that was named does not exist."""


class Conflict(PyctrError):
    """The thing exists already, or is in use."""


class InvalidArgument(PyctrError):
    """What was asked for is malformed or out of range."""


class InvalidFlag(InvalidArgument):
    """The value of a flag cannot be read; `flag` is shown as it is: ``-m, --memory``."""

    def __init__(self, value: str, flag: str, reason: str) -> None:
        shown = value.replace("\\", "\\\\").replace('"', '\\"')
        super().__init__(f'invalid argument "{shown}" for "{flag}" flag: {reason}')


class StateError(PyctrError):
    """The thing is in a state that does not allow it."""


class CorruptData(PyctrError):
    """Data does not have the digest, size or form it must have."""


class KernelError(PyctrError):
    """A system call failed."""


class CommandNotFound(PyctrError):
    """The command to run was not found."""

    exit_code = 127


class CommandNotExecutable(PyctrError):
    """The command to run cannot be executed."""

    exit_code = 126


class ContainerError(PyctrError):
    """A container that was waited for ended with another exit status than 0."""

    def __init__(self, container: str, exit_status: int, command: "list[str]", image: str, stderr: bytes) -> None:
        shown = " ".join(command)
        detail = stderr.decode(errors="replace").strip().splitlines()
        last = f": {detail[-1]}" if detail else ""
        super().__init__(f"command '{shown}' in image '{image}' returned non-zero exit status {exit_status}{last}")
        self.container = container
        self.exit_status = exit_status
        self.command = command
        self.image = image
        self.stderr = stderr


class RegistryError(PyctrError):
    """A registry refused or misbehaved."""


class BuildError(PyctrError):
    """A Dockerfile line failed; `line`, `last_line` and `column` count from 1, `excerpt` shows the lines."""

    exit_code = 1
    line: "int | None" = None
    last_line: "int | None" = None
    column: "int | None" = None
    excerpt: str = ""
    #: The step of a plan that failed (pyctr.build.plan.step), and the last lines it wrote.
    step: "object" = None
    output: "tuple[str, ...]" = ()
