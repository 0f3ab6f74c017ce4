"""`--progress rawjson`: one object a line, BuildKit's client.SolveStatus as buildx writes it."""

from __future__ import annotations

from datetime import UTC, datetime

from pyctr._core import json_dumps
from pyctr.cli.build.plain import Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from pyctr.build.lint.rules import Finding
    from pyctr.cli.build.vertex import Vertex


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class RawJson(Plain):
    """vertexes, statuses, logs, warnings."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._digests: dict[str, str] = {}
        self._begun: dict[str, dict[str, Any]] = {}

    def _write(self, entry: Vertex, *lines: str) -> None:
        del entry, lines

    def _digest(self, vertex: str) -> str:
        """A vertex's digest: a step's key is one, what is around the steps gets one of its id."""
        if vertex.startswith("sha256:"):
            return vertex
        if vertex not in self._digests:
            from hashlib import sha256

            self._digests[vertex] = "sha256:" + sha256(vertex.encode()).hexdigest()
        return self._digests[vertex]

    def _emit(self, kind: str, value: dict[str, Any]) -> None:
        with self.lock:
            self.out.write(json_dumps({kind: [value]}).decode() + "\n")
            self.out.flush()

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex begins."""
        super().start(vertex, name, inputs=inputs)
        value: dict[str, Any] = {"digest": self._digest(vertex), "name": name, "started": _now()}
        if inputs:
            value["inputs"] = [self._digest(below) for below in inputs]
        self._begun[vertex] = value
        self._emit("vertexes", value)

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex was at hand."""
        if vertex in self.vertexes:
            return
        super().cached(vertex, name, inputs=inputs)
        now = _now()
        value = {"digest": self._digest(vertex), "name": name, "started": now, "completed": now, "cached": True}
        if inputs:
            value["inputs"] = [self._digest(below) for below in inputs]
        self._emit("vertexes", value)

    def done(self, vertex: str, *, error: str = "") -> None:
        """A vertex has ended."""
        super().done(vertex, error=error)
        value = {**self._begun.get(vertex, {"digest": self._digest(vertex)}), "completed": _now()}
        if error:
            value["error"] = error
        self._emit("vertexes", value)

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Output of a vertex."""
        from base64 import b64encode

        super().log(vertex, stream, data)
        text = b64encode(data).decode()
        self._emit("logs", {"vertex": self._digest(vertex), "stream": stream, "data": text, "timestamp": _now()})

    def status(self, vertex: str, item: str, *, current: int = 0, total: int = 0, done: bool = False) -> None:
        """What goes on within a vertex."""
        super().status(vertex, item, current=current, total=total, done=done)
        now = _now()
        value: dict[str, Any] = {"id": item, "vertex": self._digest(vertex), "current": current, "timestamp": now}
        if total:
            value["total"] = total
        if done:
            value["completed"] = now
        self._emit("statuses", value)

    def warn(self, text: str) -> None:
        """Advice."""
        from base64 import b64encode

        self._emit("warnings", {"level": 1, "short": b64encode(text.encode()).decode()})

    def advise(self, finding: Finding) -> None:
        """Advice on lines of the Dockerfile."""
        from base64 import b64encode

        value: dict[str, Any] = {"level": 1, "short": b64encode(str(finding).encode()).decode()}
        if finding.rule:
            value["detail"] = [b64encode(finding.description.encode()).decode()]
            value["url"] = finding.url
        if finding.first_line:
            value["range"] = [{"start": {"line": finding.first_line}, "end": {"line": finding.last_line}}]
        self._emit("warnings", value)

    def failed_output(self) -> str:
        """Nothing: whoever reads JSON has the logs."""
        return ""
