"""A plan's operations run side by side, each when what it needs is done; the first failure starts nothing new."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Protocol

from pyctr.compose.plan.graph import Action, Operation, Plan
from pyctr.errors import PyctrError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pyctr.build.report import Report as BuildReport

#: How many operations that make something run at once, and how many that end something: those wait for processes and the disk
#: most of the time, and what ends sooner than others is not to wait for them. What only waits is not counted.
DEFAULT_PARALLEL = 8
ENDING_PARALLEL = 64
_ENDING = frozenset(
    (Action.STOP, Action.KILL, Action.REMOVE, Action.REMOVE_NETWORK, Action.REMOVE_VOLUME, Action.REMOVE_IMAGE)
)
_WAITS = frozenset((Action.WAIT, Action.OBSERVE, Action.PAUSE_BETWEEN))
#: What Ctrl-C does not wait for.
_HASTY = _WAITS | {Action.STOP, Action.RESTART}
_POLL_S = 0.2


class Report(Protocol):
    """Who is told what happens: `subject` ("Container web-1"), a word ("Creating"), and how it stands."""

    def event(self, subject: str, word: str, *, state: str) -> None:
        """`state` is working, done, error or warning. Called from any thread."""

    def moved(self, subject: str, come_bytes: int, whole_bytes: int) -> None:
        """How far what is at work has come."""

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """As `event`, of a service's image that is being pulled."""

    def layer(self, subject: str, id: str, status: str) -> None:
        """A layer of what is being pulled has come to another stage."""

    def builds(self, *, quiet: bool) -> AbstractContextManager[BuildReport]:
        """Show builds while the context is open."""


class Cancelled(PyctrError):
    """The user pressed Ctrl-C."""

    exit_code = 130


class Outcome:
    """What became of a plan: operations done, and the errors in the order they came."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.failed: dict[str, BaseException] = {}
        self.skipped: set[str] = set()


class Executor:
    """Runs plans with a function for one operation; `tolerate` decides which failures the rest goes on after.

    `cancel` is called when nothing new is begun any more, to end what was.
    """

    def __init__(
        self,
        perform: Callable[[Operation], str | None],
        report: Report,
        *,
        parallel: int = 0,
        tolerate: Callable[[Operation, BaseException], bool] = lambda _operation, _error: False,
        patient: bool = True,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self.perform = perform
        self.report = report
        self.tolerate = tolerate
        self.patient = patient
        self.cancel = cancel
        self.making = threading.Semaphore(parallel if parallel > 0 else DEFAULT_PARALLEL)
        self.ending = self.making if parallel > 0 else threading.Semaphore(ENDING_PARALLEL)
        self.stop = threading.Event()
        self.ended: queue.SimpleQueue[tuple[Operation, BaseException | None]] = queue.SimpleQueue()

    def run(self, plan: Plan) -> Outcome:
        """Run everything; raises the first error once what was begun has ended, Cancelled after Ctrl-C."""
        outcome = Outcome()
        waiting = list(plan.operations)
        present = plan.keys()
        running: set[str] = set()
        try:
            while waiting or running:
                running |= self._launch(waiting, outcome, present)
                if not running:
                    break
                operation, error = self._next()
                running.remove(operation.key)
                self._settle(operation, error, outcome)
        except KeyboardInterrupt:
            self._give_up()
            # What only waits for a container is not worth waiting for.
            hasty = {operation.key for operation in plan.operations if operation.action in _HASTY}
            while running - hasty and self.patient:
                running.discard(self._next()[0].key)
            raise Cancelled("canceled") from None
        errors = [error for key, error in outcome.failed.items() if key not in outcome.skipped]
        if errors:
            raise errors[0]
        return outcome

    def _next(self) -> tuple[Operation, BaseException | None]:
        while True:
            try:
                return self.ended.get(timeout=_POLL_S)  # a get without timeout would not hear Ctrl-C at once
            except queue.Empty:
                continue

    def _launch(self, waiting: list[Operation], outcome: Outcome, present: set[str]) -> set[str]:
        """Start what may start; drop what never will. The keys of what was started."""
        begun = set()
        over = outcome.done | outcome.failed.keys() | outcome.skipped
        for operation in waiting[:]:
            missing = [need for need in operation.needs if need in present and need not in outcome.done]
            if self.stop.is_set() or any(need in outcome.failed or need in outcome.skipped for need in missing):
                waiting.remove(operation)
                outcome.skipped.add(operation.key)
                over.add(operation.key)
            elif not missing and all(key in over for key in operation.after if key in present):
                waiting.remove(operation)
                threading.Thread(target=self._run, args=(operation,), daemon=True).start()
                begun.add(operation.key)
        return begun

    def _run(self, operation: Operation) -> None:
        error: BaseException | None = None
        try:
            if operation.action in _WAITS:
                self._perform(operation)
            else:
                with self.ending if operation.action in _ENDING else self.making:
                    self._perform(operation)
        except BaseException as caught:  # noqa: BLE001 (it is raised again in the main thread)
            error = caught
        self.ended.put((operation, error))

    def _perform(self, operation: Operation) -> None:
        if self.stop.is_set():
            raise StateError("canceled")
        silent = operation.details.get("silent")
        if operation.action.doing and not silent:
            self.report.event(operation.subject, operation.action.doing, state="working")
        word = self.perform(operation) or operation.details.get("done") or operation.action.done
        if not silent:
            self.report.event(operation.subject, word, state="done")

    def _settle(self, operation: Operation, error: BaseException | None, outcome: Outcome) -> None:
        if error is None:
            outcome.done.add(operation.key)
            return
        if operation.optional:
            self.report.event(operation.subject, f"Skipped: {error}", state="warning")
            outcome.done.add(operation.key)
            return
        outcome.failed[operation.key] = error
        self.report.event(operation.subject, "Error", state="error")
        if self.tolerate(operation, error):
            outcome.skipped.add(operation.key)
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.stop.set()
        self.cancel()
