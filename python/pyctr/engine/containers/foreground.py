"""A command in the foreground: raw terminal, window size, signals passed on, until it ends or is detached from."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself would import enum
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from pyctr.engine.containers.session import Attach, Session

#: What is passed on: all that a user sends; not CHLD, PIPE, URG, WINCH, nor what the CPU raises in our own code.
_PROXIED = [1, 2, 3, 10, 12, 14, 15, 16, 18, 20, 21, 22, 24, 25, 26, 27, 29, 30, *range(34, 65)]


class Foreground:
    """The terminal and the signals of this process, lent to a container and given back at the end."""

    __slots__ = ("_handlers", "_modes", "attach", "detached", "session", "terminal")

    def __init__(self, session: Session, attach: Attach, *, tty: bool) -> None:
        self.session = session
        self.attach = attach
        #: The user typed the detach keys.
        self.detached = False
        self.terminal = self._find_terminal() if tty else None
        self._modes: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def _find_terminal(self) -> int | None:
        for fd in (self.attach.stdin, self.attach.stdout, self.attach.stderr):
            if fd is not None and os.isatty(fd):
                return fd
        return None

    def size(self) -> tuple[int, int] | None:
        """Rows and columns."""
        if self.terminal is None:
            return None
        columns, rows = os.get_terminal_size(self.terminal)
        return rows, columns

    def __enter__(self) -> Self:
        if self.terminal is not None and self.terminal == self.attach.stdin:
            import termios

            self._modes = termios.tcgetattr(self.terminal)
            termios.tcsetattr(self.terminal, termios.TCSANOW, raw_modes(self._modes))
        if self.attach.sig_proxy:
            for number in _PROXIED:
                self._catch(number, self._proxy)
        if self.terminal is not None:
            self._catch(_signal.SIGWINCH, self._resize)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            _signal.signal(number, handler)
        if self._modes is not None and self.terminal is not None:
            import termios

            termios.tcsetattr(self.terminal, termios.TCSANOW, self._modes)

    def _catch(self, number: int, handler: Callable[[int, Any], None]) -> None:
        try:
            previous = _signal.signal(number, handler)
        except ValueError:  # not the main thread: signals are somebody else's there
            return
        self._handlers[number] = _signal.SIG_DFL if previous is None else previous

    def _proxy(self, number: int, _frame: Any) -> None:
        self.session.send({"op": "signal", "signal": number})

    def _resize(self, _number: int, _frame: Any) -> None:
        size = self.size()
        if size is not None:
            self.session.send({"op": "resize", "rows": size[0], "cols": size[1]})

    def wait(self) -> int:
        """The exit code; 0 when the user typed the detach keys. Raises StateError when the monitor is gone."""
        event = self.session.expect("exited", "detached")
        self.detached = event is not None and event["event"] == "detached"
        return event["code"] if event is not None and event["event"] == "exited" else 0


def raw_modes(modes: list[Any]) -> list[Any]:
    """cfmakeraw(3)."""
    import termios as t

    iflag, oflag, cflag, lflag, *speeds, characters = modes
    characters = list(characters)
    characters[t.VMIN], characters[t.VTIME] = 1, 0
    iflag &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
    lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
    return [iflag, oflag & ~t.OPOST, cflag & ~(t.CSIZE | t.PARENB) | t.CS8, lflag, *speeds, characters]
