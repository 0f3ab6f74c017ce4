"""What the server remembers between two requests: who attached before a start, and exec instances."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyctr.api.hijack import Pipes
    from pyctr.engine.containers.session import Session

#: Exec instances of which the oldest are forgotten.
_EXECS_MAX = 1024


class Waiting:
    """Streams of a client that attached to a container which does not run yet."""

    __slots__ = ("pipes", "session", "started")

    def __init__(self, pipes: Pipes) -> None:
        self.pipes = pipes
        self.started = threading.Event()
        #: The conversation with the monitor, once there is one; as long as it is open the streams are lent.
        self.session: Session | None = None


class Exec:
    """An exec instance: made, perhaps started, perhaps ended."""

    __slots__ = ("config", "container_id", "ended", "exit_code", "id", "pid", "session", "started")

    def __init__(self, id: str, container_id: str, config: dict[str, Any]) -> None:
        self.id = id
        self.container_id = container_id
        self.config = config
        self.session: Session | None = None
        self.started = False
        self.ended = False
        self.exit_code: int | None = None
        self.pid = 0


class Starts:
    """Both, for all requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Waiting]] = {}
        self._execs: dict[str, Exec] = {}

    def wait_for_start(self, container_id: str, pipes: Pipes) -> Waiting:
        """Keep streams until somebody starts the container."""
        waiting = Waiting(pipes)
        with self._lock:
            self._waiting.setdefault(container_id, []).append(waiting)
        return waiting

    def give_up(self, container_id: str, waiting: Waiting) -> bool:
        """Wait no more; False where a start has taken the streams already."""
        with self._lock:
            others = self._waiting.get(container_id, [])
            was_there = waiting in others
            if was_there:
                others.remove(waiting)
            if not others:
                self._waiting.pop(container_id, None)
            return was_there

    def take(self, container_id: str) -> list[Waiting]:
        """Who waits for this container's start; nobody does any more."""
        with self._lock:
            return self._waiting.pop(container_id, [])

    def add_exec(self, instance: Exec) -> None:
        """Remember an exec instance."""
        with self._lock:
            self._execs[instance.id] = instance
            while len(self._execs) > _EXECS_MAX:
                self._execs.pop(next(iter(self._execs)))

    def exec(self, exec_id: str) -> Exec | None:
        """An exec instance by id or prefix."""
        with self._lock:
            found = self._execs.get(exec_id)
            if found is None and len(exec_id) >= 12:
                found = next((other for key, other in self._execs.items() if key.startswith(exec_id)), None)
            return found

    def close(self) -> None:
        """The server stops: nobody waits any more."""
        with self._lock:
            waiting = [one for several in self._waiting.values() for one in several]
            self._waiting.clear()
        for one in waiting:
            one.started.set()
            one.pipes.lent()
