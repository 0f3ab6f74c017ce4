"""Operations and the order between them: what `up`, `down` and their kin do, before anything is done."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Action(Enum):
    """What is done; the words are docker compose's: while it is done, and after."""

    BUILD = ("build", "Building", "Built")
    CREATE_NETWORK = ("create network", "Creating", "Created")
    CREATE_VOLUME = ("create volume", "Creating", "Created")
    CREATE = ("create", "Creating", "Created")
    RECREATE = ("recreate", "Recreate", "Recreated")
    START = ("start", "Starting", "Started")
    RESTART = ("restart", "Restarting", "Started")
    WAIT = ("wait", "Waiting", "Healthy")
    OBSERVE = ("observe", "Waiting", "Started")
    PAUSE_BETWEEN = ("pause between", "Waiting", "Continuing")
    STOP = ("stop", "Stopping", "Stopped")
    KILL = ("kill", "Killing", "Killed")
    REMOVE = ("remove", "Removing", "Removed")
    RELEASE = ("release", "Removing", "Removed")
    REMOVE_NETWORK = ("remove network", "Removing", "Removed")
    REMOVE_VOLUME = ("remove volume", "Removing", "Removed")
    REMOVE_IMAGE = ("remove image", "Removing", "Removed")
    RUNNING = ("running", "", "Running")

    @property
    def doing(self) -> str:
        """The word while it is done."""
        return self.value[1]

    @property
    def done(self) -> str:
        """The word after."""
        return self.value[2]


class Operation(NamedTuple):
    """One step. `key` names it in the graph, `subject` says what it is done to, `needs` what must have succeeded."""

    key: str
    action: Action
    subject: str
    needs: tuple[str, ...] = ()
    #: What must be over, whether it succeeded or not.
    after: tuple[str, ...] = ()
    #: Service the step belongs to, and which of its containers.
    service: str = ""
    number: int = 0
    #: Whatever the action needs to know: names, ids, the model's entry.
    details: Mapping[str, Any] = {}
    #: A failure is told and then forgotten.
    optional: bool = False


class Plan:
    """A graph of operations, in an order in which they could be done one by one."""

    __slots__ = ("operations", "rollouts", "warnings")

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations = list(operations)
        self.warnings: list[str] = []
        #: Services updated container by container, with what happens when that fails.
        self.rollouts: dict[str, dict[str, Any]] = {}

    def add(self, operation: Operation) -> str:
        """Append; the key, for those who need it."""
        self.operations.append(operation)
        return operation.key

    def __contains__(self, key: object) -> bool:
        return any(operation.key == key for operation in self.operations)

    def keys(self) -> set[str]:
        """All keys."""
        return {operation.key for operation in self.operations}

    def render(self, *, prefix: str = "") -> str:
        """A line when a step begins and one when it is done, as `up --dry-run` prints them."""
        lines = [
            f"{prefix} {operation.subject}  {word}\n"
            for operation in self.operations
            if not operation.details.get("silent")
            for word in (operation.action.doing, operation.details.get("done") or operation.action.done)
            if word
        ]
        return "".join(lines)


def order_services(dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """Services with those they depend on before them; raises InvalidArgument naming a cycle."""
    ordered: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in done:
            return
        if name in path:
            cycle = " -> ".join([*path[path.index(name) :], name])
            raise InvalidArgument(f"dependency cycle detected: {cycle}")
        for other in sorted(dependencies[name]):
            if other in dependencies:
                visit(other, [*path, name])
        done.add(name)
        ordered.append(name)

    for name in sorted(dependencies):
        visit(name, [])
    return ordered
