"""Steps in threads: each as soon as what it stands on is there, as many at once as the machine has processors."""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.build.plan.step import Plan, Step

#: A thread waits for a container most of the time.
_THREADS = max(4, os.cpu_count() or 1)


class Cancelled(PyctrError):
    """Something else went wrong: this step was told to stop."""


def run_steps(plan: Plan, work: Callable[[Step], None], cancel: Callable[[], None]) -> None:
    """Call `work` for every step, inputs first. The first failure, or a signal, ends the others by `cancel`, and is raised."""
    waiting = {step.key: {below.key for below in step.inputs} for step in plan.steps}
    steps = {step.key: step for step in plan.steps}
    ended: SimpleQueue[tuple[str, BaseException | None]] = SimpleQueue()
    running: dict[str, threading.Thread] = {}
    errors: list[BaseException] = []

    def run(key: str) -> None:
        error: BaseException | None = None
        try:
            work(steps[key])
        except BaseException as caught:  # noqa: BLE001 - carried to the thread that waits
            error = caught
        ended.put((key, error))

    def take() -> None:
        key, error = ended.get()
        running.pop(key).join()
        if error is not None:
            errors.append(error)
        for below in waiting.values():
            below.discard(key)

    try:
        while waiting or running:
            for key in [key for key, below in waiting.items() if not below][: _THREADS - len(running)]:
                del waiting[key]
                running[key] = threading.Thread(target=run, args=(key,), name="build")
                running[key].start()
            take()
            if errors:
                raise errors[0]
    except BaseException:
        cancel()
        while running:
            take()
        # Who was told to stop is not who failed.
        real = [error for error in errors if not isinstance(error, Cancelled)]
        if real:
            raise real[0] from None
        raise


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
