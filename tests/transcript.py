"""The commands a test ran, with all they said: shown where it fails, whichever assertion it was."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

#: Of each stream so much is shown, its end.
_SHOWN_CHARACTERS = 2000
_commands: deque[str] = deque(maxlen=12)


def forget() -> None:
    """A test begins."""
    _commands.clear()


def note(words: Sequence[object], code: object, out: str | bytes | None, err: str | bytes | None) -> str:
    """Remember a command and how it ended; what is shown of it."""
    text = f"$ {' '.join(map(str, words))}\n  exit code {code}\n{_shown('stdout', out)}{_shown('stderr', err)}"
    _commands.append(text)
    return text


def note_done(
    words: Sequence[object], done: subprocess.CompletedProcess[str] | subprocess.CompletedProcess[bytes]
) -> str:
    """`note` of a command that has ended."""
    return note(words, done.returncode, done.stdout, done.stderr)


def note_timeout(words: Sequence[object], error: subprocess.TimeoutExpired) -> str:
    """`note` of a command that did not end in time; it was killed."""
    return note(words, f"none: killed after {error.timeout:.0f} s", error.stdout, error.stderr)


def told() -> str:
    """All of them, oldest first."""
    return "".join(_commands)


def _shown(name: str, data: str | bytes | None) -> str:
    text = data.decode(errors="replace") if isinstance(data, bytes) else data or ""
    if not text:
        return ""
    cut = "…" if len(text) > _SHOWN_CHARACTERS else ""
    return "".join(f"  {name}: {cut}{line}\n" for line in text[-_SHOWN_CHARACTERS:].splitlines())
