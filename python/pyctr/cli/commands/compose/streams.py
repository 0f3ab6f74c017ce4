"""What containers write whose log cannot be read (drivers none and syslog): from the first byte, through their monitors."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from pyctr.cli.commands.compose.logs import Lines
from pyctr.compose.plan import labels
from pyctr.engine.containers.lend import join, start_lent
from pyctr.engine.containers.request import FILE_DRIVERS
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import NotFound, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.engine.containers import Containers
    from pyctr.engine.containers.session import Session

#: What is held in memory of one container until somebody takes it; the rest waits in a file.
_HELD_BYTES = 1 << 20
_POLL_S = 0.05


class Streams:
    """Starts the containers of an attached `up`; of those of `services` whose log nobody could read it keeps the output."""

    def __init__(self, containers: Containers, services: set[str]) -> None:
        self.containers = containers
        self.services = services
        self.taken: dict[str, Stream] = {}

    def start(self, container_id: str) -> None:
        """Start a container; called from many threads."""
        record = self.containers.store.record(container_id)
        service = (record["Config"].get("Labels") or {}).get(labels.SERVICE)
        if service not in self.services or record["HostConfig"]["LogConfig"]["Type"] in FILE_DRIVERS:
            self.containers.start(container_id)
            return
        stream = Stream(self.containers, container_id)
        if stream.begin(start_lent):
            self.taken[container_id] = stream

    def follow(self, container_id: str, emit: Callable[[bytes], None]) -> None:
        """Give the lines of a container to `emit` until it has ended; of one that ran before, what it writes from now on."""
        stream = self.taken.get(container_id)
        if stream is None:
            stream = Stream(self.containers, container_id)
            stream.begin(join)
        stream.follow(emit)


class Stream:
    """One container's output. Lines that come before anybody wants them wait."""

    def __init__(self, containers: Containers, container_id: str) -> None:
        self.containers = containers
        self.container_id = container_id
        self.lock = threading.Lock()
        self.held = tempfile.SpooledTemporaryFile(max_size=_HELD_BYTES)  # noqa: SIM115 (closed once it was emptied)
        self.emit: Callable[[bytes], None] | None = None
        self.session: Session | None = None
        self.pumps: list[threading.Thread] = []

    def begin(self, lend: Callable[[Containers, str, int, int], Session | None]) -> bool:
        """Have the container write to us; whether it does. Raises what `lend` raises."""
        pairs = [os.pipe(), os.pipe()]
        try:
            self.session = lend(self.containers, self.container_id, pairs[0][1], pairs[1][1])
        finally:
            for reader, writer in pairs:
                os.close(writer)  # the monitor's is the last: its end is the output's
                if self.session is None:
                    os.close(reader)
        if self.session is None:
            return False
        self.pumps = [threading.Thread(target=self.pump, args=(reader,), daemon=True) for reader, _ in pairs]
        for pump in self.pumps:
            pump.start()
        return True

    def pump(self, reader: int) -> None:
        """Take all of one pipe."""
        Lines(self.line).drain(reader)
        os.close(reader)

    def line(self, data: bytes) -> None:
        """One line, now or later."""
        with self.lock:
            if self.emit is not None:
                self.emit(data)
            else:
                self.held.write(data + b"\n")

    def follow(self, emit: Callable[[bytes], None]) -> None:
        """Emit what has come and what comes, a life after the other."""
        with self.lock:
            self.held.seek(0)
            for line in self.held:
                emit(line)
            self.held.close()
            self.emit = emit
        while self.session is not None:
            for pump in self.pumps:
                pump.join()
            self.session.channel.close()
            self.session = None
            self.begin_again()

    def begin_again(self) -> None:
        """If its policy has it run again, listen before it does."""
        store = self.containers.store
        try:
            while current_state(store, self.container_id).get("status") in ACTIVE:
                try:
                    self.begin(join)
                except StateError:  # its monitor is at its end; the state will say so
                    time.sleep(_POLL_S)
                else:
                    return
        except NotFound:  # removed meanwhile
            return
