"""Docker's JSON messages: what a pull, a push or a build tells while it goes on; its failure is the last of them."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from pyctr._core import json_dumps
from pyctr.errors import PyctrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyctr.build.report import Report


class Teller:
    """Takes messages from any thread."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def tell(self, message: dict[str, Any]) -> None:
        """One message."""
        self.messages.put(json_dumps(message) + b"\r\n")

    def fail(self, text: str) -> None:
        """What went wrong."""
        self.tell({"errorDetail": {"message": text}, "error": text})

    def progress(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """A step of a transfer (`pyctr.engine.transfer.Report`)."""
        message: dict[str, Any] = {"status": status, **({"id": id} if id else {})}
        if total:
            message |= {"progressDetail": {"current": current, "total": total}, "progress": f"{current}/{total}"}
        elif id:
            message["progressDetail"] = {}
        self.tell(message)

    def report(self, *, quiet: bool) -> Report:
        """A listener for a build."""
        from pyctr.build.report import Report

        if quiet:
            return Report()
        tell = self.tell

        class Steps(Report):
            """A line a step, and its output."""

            def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
                """Work begins."""
                del vertex, inputs
                tell({"stream": f"{name}\n"})

            def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
                """Nothing to do."""
                del vertex, inputs
                tell({"stream": f"{name}\n ---> Using cache\n"})

            def log(self, vertex: str, stream: int, data: bytes) -> None:
                """Output of a step."""
                del vertex, stream
                tell({"stream": data.decode(errors="replace")})

            def warn(self, text: str) -> None:
                """Advice."""
                tell({"stream": f"[Warning] {text}\n"})

        return Steps()


def told(work: Callable[[Teller], None]) -> Iterator[bytes]:
    """Run it in a thread; what it tells."""
    teller = Teller()

    def run() -> None:
        try:
            work(teller)
        except PyctrError as error:
            teller.fail(str(error))
        except Exception as error:  # noqa: BLE001 (the headers are out: all that can be done is to tell)
            teller.fail(f"{type(error).__name__}: {error}")
        finally:
            teller.messages.put(None)

    threading.Thread(target=run, name="api-work", daemon=True).start()
    while (message := teller.messages.get()) is not None:
        yield message
