"""What a running build tells of itself.

A vertex is a line of progress: a step (its key is its id) or something around it ("load build context", "exporting to image"). The executor
calls from several threads; who implements this locks.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.build.lint.rules import Finding


class Report:
    """Told to nobody; the base of those who listen."""

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """Work on a vertex begins."""

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex is done without any work. Neither `start` nor `done` is called for it."""

    def done(self, vertex: str, *, error: str = "") -> None:
        """A vertex that was started has ended; `error` is what went wrong, "canceled" if something else did."""

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Output of a vertex; stream is 1 or 2."""

    def status(self, vertex: str, item: str, *, current: int = 0, total: int = 0, done: bool = False) -> None:
        """Something within a vertex goes on ("transferring context: 2B"): bytes so far, bytes in all (0: not known)."""

    def warn(self, text: str) -> None:
        """One line of advice that is no error."""

    def advise(self, finding: Finding) -> None:
        """Something of the Dockerfile that could be better."""
        self.warn(str(finding))

    def running(self, cancel: Callable[[], None]) -> None:
        """Steps are about to run; `cancel`, from any thread, ends them. For who builds in a thread, which hears no Ctrl-C."""
