"""After a boot: what should run runs again, each container after those it needs, and when they are well (docs/restarts.md)."""

from __future__ import annotations

import time

from pyctr.engine.containers.burial import is_due
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.engine.watch import LOOK_S, Watch
from pyctr.errors import CorruptData, NotFound, PyctrError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store

    Record = dict[str, Any]
    #: A container that is waited for, and until when: the condition of compose.
    Gate = tuple[str, str]

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_DEPENDS_ON = "com.docker.compose.depends_on"
_RUNNING = ("none", "starting", "healthy", "unhealthy")
_HEALTHY, _COMPLETED = "service_healthy", "service_completed_successfully"


#: How long nothing may come of waiting for health or ends before who waits is started without.
PATIENCE_S = 300.0


def boot_containers(
    engine: Engine,
    report: Callable[[str, PyctrError], None],
    *,
    patience_s: float = PATIENCE_S,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[str]:
    """Start what should run; the ids started. Failures go to `report`, with the container's name, and keep nobody.

    `tell` hears, once each, who waits for whose health or end. Where nothing could be started for `patience_s` seconds, the next
    container does not wait any longer.
    """
    store = engine.containers.store
    pending = plan_order(find_due(store))
    wanted = plan_needs(pending)
    gates = {record["Id"]: find_gates(store, record) for record in pending}
    started: list[str] = []
    told: set[str] = set()
    moved_s = time.monotonic()
    # The journal hears of health; a dead monitor says nothing.
    watch = Watch(engine.root, lambda: True, left_s=lambda: LOOK_S)
    try:
        while pending:
            waiting = {record["Id"] for record in pending}
            free = [record for record in pending if not wanted[record["Id"]] & waiting]
            shut = {record["Id"]: [gate for gate in gates[record["Id"]] if is_shut(store, *gate)] for record in free}
            ready = next((record for record in free if not shut[record["Id"]]), None)
            late = ready is None and time.monotonic() - moved_s >= patience_s
            if late:
                ready = free[0]
            if ready is None:
                for record in free:
                    if record["Id"] not in told:
                        told.add(record["Id"])
                        tell(f"{name_of(record)} waits for {' and '.join(wish(store, *g) for g in shut[record['Id']])}")
                watch.wait()
                continue
            pending.remove(ready)
            unmet = shut[ready["Id"]] if late else []
            if start(engine, ready, gates[ready["Id"]], report, unmet=unmet, patience_s=patience_s):
                started.append(ready["Id"])
            moved_s = time.monotonic()
    finally:
        watch.close()
    return started


def start(
    engine: Engine, record: Record, gates: list[Gate], report: Callable[[str, PyctrError], None], *,
    unmet: list[Gate], patience_s: float,
) -> bool:  # fmt: skip
    """Start a container, if it is still there. What it needed being unwell is told, and no reason to keep it down.

    `unmet` is what it waited for in vain.
    """
    store, name = engine.containers.store, name_of(record)
    for gate in gates:
        if gate in unmet:
            trouble = f"waited {patience_s:g} s for {wish(store, *gate)}"
        elif gate[1] == _HEALTHY and health_of(store, gate[0]) == "unhealthy":
            trouble = f"container {name_by_id(store, gate[0])}, which it depends on, is unhealthy"
        else:
            continue
        report(name, StateError(f"{trouble}; started all the same"))
    try:
        engine.containers.start(record["Id"])
    except NotFound:
        return False  # removed meanwhile
    except PyctrError as error:
        report(name, error)
        return False
    return True


def name_of(record: Record) -> str:
    """A container's name."""
    return str(record["Name"]).removeprefix("/")


def name_by_id(store: Store, container_id: str) -> str:
    """A container's name; of one that was removed meanwhile the id."""
    try:
        return name_of(store.record(container_id))
    except (NotFound, CorruptData):
        return container_id[:12]


def wish(store: Store, container_id: str, condition: str) -> str:
    """What is waited for, in words."""
    return f"container {name_by_id(store, container_id)} to {'get healthy' if condition == _HEALTHY else 'end'}"


def find_due(store: Store) -> list[Record]:
    """The containers that do not run and should: started before, and the restart policy says so."""
    due = []
    for container_id in store.ids():
        try:
            state = current_state(store, container_id)
            record = store.record(container_id)
        except (NotFound, CorruptData):
            continue
        policy = record["HostConfig"]["RestartPolicy"]
        if state and state.get("status") not in ACTIVE and is_due(policy, state):
            due.append(record)
    return due


def plan_order(records: list[Record]) -> list[Record]:
    """Each after those of the others that it needs, else the older first. A circle is cut at its oldest."""
    left = sorted(records, key=lambda record: record["Created"])
    wanted = {record["Id"]: needs(record, records) for record in left}
    ordered: list[Record] = []
    while left:
        waiting = {record["Id"] for record in left}
        ready = next((record for record in left if not wanted[record["Id"]] & waiting), left[0])
        left.remove(ready)
        ordered.append(ready)
    return ordered


def plan_needs(ordered: list[Record]) -> dict[str, set[str]]:
    """Of each container those it waits for: what it needs and what comes before it, which in a circle is not all it needs."""
    before: set[str] = set()
    planned = {}
    for record in ordered:
        planned[record["Id"]] = needs(record, ordered) & before
        before.add(record["Id"])
    return planned


def find_gates(store: Store, record: Record) -> list[Gate]:
    """The containers of a compose project whose health or end a container waits for, and which of the two."""
    labels = record["Config"].get("Labels") or {}
    wanted = dependencies(labels)
    if not any(condition in (_HEALTHY, _COMPLETED) for condition in wanted.values()):
        return []
    found = []
    for container_id in store.ids():
        try:
            other = store.record(container_id)
        except (NotFound, CorruptData):
            continue
        theirs = other["Config"].get("Labels") or {}
        condition = wanted.get(theirs.get(_SERVICE, ""), "")
        if theirs.get(_PROJECT) == labels.get(_PROJECT) and condition in (_HEALTHY, _COMPLETED):
            found.append((container_id, condition))
    return found


def is_shut(store: Store, container_id: str, condition: str) -> bool:
    """Whether a container must still be waited for. One that does not run will not change by waiting."""
    return health_of(store, container_id) in (("starting",) if condition == _HEALTHY else _RUNNING)


def health_of(store: Store, container_id: str) -> str:
    """What the health checks of a container that runs say, ``none`` without any; empty if it does not run."""
    try:
        state = current_state(store, container_id)
    except NotFound:
        return ""
    if state.get("status") not in ACTIVE:
        return ""
    return (state.get("health") or {}).get("Status") or "none"


def dependencies(labels: dict[str, str]) -> dict[str, str]:
    """The services a compose service depends on → the condition: ``SERVICE:CONDITION:RESTART,…`` in a label."""
    parts = (text.split(":") for text in labels.get(_DEPENDS_ON, "").split(",") if text)
    return {service: (rest[0] if rest else "") for service, *rest in parts}


def needs(record: Record, records: list[Record]) -> set[str]:
    """The ids of those containers that a container needs: namespaces, links, volumes, compose's depends_on."""
    host, labels = record["HostConfig"], record["Config"].get("Labels") or {}
    references = [
        mode.partition(":")[2]
        for mode in (host["NetworkMode"], host.get("PidMode") or "", host.get("IpcMode") or "")
        if mode.startswith("container:")
    ]
    references += [link.partition(":")[0].removeprefix("/") for link in host.get("Links") or ()]
    references += [source.partition(":")[0].removeprefix("/") for source in host.get("VolumesFrom") or ()]
    services = dependencies(labels)
    found = set()
    for other in records:
        theirs = other["Config"].get("Labels") or {}
        is_service = theirs.get(_PROJECT) == labels.get(_PROJECT) and theirs.get(_SERVICE) in services
        if other["Id"] in references or other["Name"].removeprefix("/") in references or is_service:
            found.add(other["Id"])
    return found - {record["Id"]}
