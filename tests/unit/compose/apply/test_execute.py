"""How many of a plan's operations run at once."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from pyctr.compose.apply.execute import DEFAULT_PARALLEL, Executor
from pyctr.compose.plan.graph import Action, Operation, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60


class Silent:
    """Nobody is told anything."""

    def event(self, subject: str, word: str, *, state: str) -> None: ...

    def moved(self, subject: str, come_bytes: int, whole_bytes: int) -> None: ...

    def builds(self, *, quiet: bool) -> contextlib.AbstractContextManager[object]:  # type: ignore[override]
        return contextlib.nullcontext()


def plan_of(*actions: Action) -> Plan:
    return Plan([Operation(f"{action.value[0]}:{number}", action, "x") for number, action in enumerate(actions)])


def executor(perform: Callable[[Operation], str | None], **choices: int) -> Executor:
    return Executor(perform, Silent(), **choices)  # type: ignore[arg-type]


def test_removals_that_wait_keep_no_stop_waiting() -> None:
    stopped = threading.Event()

    def perform(operation: Operation) -> None:
        if operation.action is Action.STOP:
            stopped.set()
        elif not stopped.wait(PATIENCE_S):
            raise AssertionError("the stop never came")

    plan = plan_of(*[Action.REMOVE] * (2 * DEFAULT_PARALLEL), Action.STOP)
    assert executor(perform).run(plan).done == plan.keys()


@pytest.mark.parametrize("action", [Action.CREATE, Action.REMOVE])
def test_parallel_bounds_what_makes_and_what_ends(action: Action) -> None:
    at_work = 0
    together = threading.Event()

    def perform(_: Operation) -> None:
        nonlocal at_work
        at_work += 1
        if at_work > 1:
            together.set()
        together.wait(0.1)  # long enough for a second one to come, if it may
        at_work -= 1

    executor(perform, parallel=1).run(plan_of(action, action, action))
    assert not together.is_set()
