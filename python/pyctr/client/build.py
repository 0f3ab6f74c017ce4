"""`images.build`."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import TYPE_CHECKING

from pyctr.build.report import Report
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import IO, Any

    from pyctr.engine import Engine


class Said(Report):
    """Keeps what the steps say, in the form of docker-py's log."""

    def __init__(self) -> None:
        self.lines: list[dict[str, str]] = []
        self._lock = threading.Lock()

    def _add(self, text: str) -> None:
        with self._lock:
            self.lines.append({"stream": text})

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A step begins."""
        del vertex, inputs
        self._add(f"{name}\n")

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A step has nothing to do."""
        del vertex, inputs
        self._add(f"CACHED {name}\n")

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Output of a step."""
        del vertex, stream
        self._add(data.decode(errors="replace"))

    def warn(self, text: str) -> None:
        """Advice."""
        self._add(f"[Warning] {text}\n")


def build(
    engine: Engine, path: str | None, fileobj: IO[bytes] | None, options: dict[str, Any]
) -> tuple[str, list[dict[str, str]]]:
    """Build a context, or the Dockerfile in a file alone; the image's id and what was said."""
    from pyctr.engine.build.use import build

    if (path is None) == (fileobj is None):
        raise InvalidArgument("either path or fileobj must be provided")
    said = Said()
    if path is not None:
        built = build(engine, path, options, said)
    else:
        with tempfile.TemporaryDirectory(prefix="pyctr-build.") as directory:
            with open(os.path.join(directory, "Dockerfile"), "wb") as file:
                file.write(fileobj.read() if fileobj is not None else b"")
            built = build(engine, directory, options, said)
    if not built.images:
        raise InvalidArgument("the build kept no image: without output= it does")
    return built.images[0].id, said.lines
