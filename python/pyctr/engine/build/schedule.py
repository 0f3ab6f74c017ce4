"""Steps in threads: each as soon as what it stands on is there, as many at once as the machine has processors."""

from __future__ import annotations

import os
import threading
from _queue import SimpleQueue  # `queue` has heaps too

from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyctr.build.plan.step import Step

#: A thread waits for a container most of the time.
_THREADS = max(4, os.cpu_count() or 1)


class Cancelled(PyctrError):
    """Something else went wrong: this step was told to stop."""


def run_steps(
    steps: Iterable[Step], work: Callable[[Step], None], cancel: Callable[[], None], *, threads: int = _THREADS
) -> None:
    """Call `work` for every step, inputs first; inputs that are none of them are there already.

    The first failure, or a signal, ends the others by `cancel`, and is raised.
    """
    schedule = _Schedule(steps, work, threads)
    try:
        schedule.start()
        while schedule.wait():
            if schedule.errors:
                raise schedule.errors[0]
    except BaseException:
        schedule.stop()
        cancel()
        # Who was told to stop is not who failed.
        real = [error for error in schedule.join() if not isinstance(error, Cancelled)]
        if real:
            raise real[0] from None
        raise
    if schedule.join():
        raise schedule.errors[0]


class _Schedule:
    """Which steps wait for what, and the threads that do them.

    A thread goes on with a step that waited for its last one: to hand each to another takes longer than to find it in the cache.
    """

    def __init__(self, steps: Iterable[Step], work: Callable[[Step], None], threads: int) -> None:
        self._steps = {step.key: step for step in steps}
        self._waiting = {
            step.key: {below.key for below in step.inputs if below.key in self._steps} for step in self._steps.values()
        }
        self._work = work
        self._free = threads
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        #: How many have not ended; each that ends says so after it has counted itself out.
        self._running = 0
        self._ended: SimpleQueue[None] = SimpleQueue()
        self.errors: list[BaseException] = []

    def start(self) -> None:
        """Begin with what waits for nothing."""
        with self._lock:
            self._start(self._take())

    def wait(self) -> bool:
        """Wait for a thread to end, as they do when there is nothing more to begin with, or something went wrong; False if all have."""
        with self._lock:
            if not self._running:
                return False
        self._ended.get()
        return True

    def stop(self) -> None:
        """Begin with nothing more."""
        with self._lock:
            self._waiting.clear()

    def join(self) -> list[BaseException]:
        """Wait for all threads, none of which begins another by now; what went wrong."""
        for thread in self._threads:
            thread.join()
        return self.errors

    def _take(self) -> list[str]:
        """Steps that nothing has to come before any more, as many as there may be threads. The caller holds the lock."""
        ready = [key for key, below in self._waiting.items() if not below][: self._free]
        for key in ready:
            del self._waiting[key]
        self._free -= len(ready)
        return ready

    def _start(self, ready: list[str]) -> None:
        for key in ready:
            thread = threading.Thread(target=self._run, args=(key,), name="build")
            thread.start()
            self._threads.append(thread)
            self._running += 1

    def _run(self, key: str | None) -> None:
        try:
            while key is not None:
                self._work(self._steps[key])
                key = self._next(key)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self.errors.append(error)
            self.stop()
        with self._lock:
            self._running -= 1
        self._ended.put(None)

    def _next(self, done: str) -> str | None:
        """What to go on with after a step that is done; what else may begin gets threads of its own."""
        with self._lock:
            self._free += 1
            for below in self._waiting.values():
                below.discard(done)
            ready = self._take()
            self._start(ready[1:])
        return ready[0] if ready else None


class Flag:
    """Set once, when the build is over before its end; who waits looks at it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """It is over."""
        self._event.set()

    def check(self) -> None:
        """Raises Cancelled once it is over."""
        if self._event.is_set():
            raise Cancelled("canceled")

    def pause(self, seconds: float) -> None:
        """Wait a moment. Raises Cancelled."""
        self._event.wait(seconds)
        self.check()
