"""A program at a terminal, as a person would use it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import Self

from tests.waiting import PATIENCE_S


class Terminal:
    """A command whose three streams are one pseudo-terminal, read and written from the other side."""

    def __init__(self, command: list[str], env: dict[str, str], *, rows: int = 40, columns: int = 100) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.output = b""
        self.process = subprocess.Popen(
            command, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, text: str | None, timeout_s: float = PATIENCE_S) -> str:
        """All output so far, once ``text`` is in it (None: once it has ended)."""
        deadline = time.monotonic() + timeout_s
        while text is None or text.encode() not in self.output:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {text!r} in {self.output!r}"
            try:
                data = os.read(self.master, 4096)
            except OSError:  # EIO: every other end is closed
                data = b""
            if not data:
                assert text is None, f"no {text!r} in {self.output!r}"
                break
            self.output += data
        return self.output.decode().replace("\r", "")

    def end(self) -> tuple[str, int]:
        """All output and the exit code, once the command has ended."""
        text = self.read_until(None)
        return text, self.process.wait(PATIENCE_S)
