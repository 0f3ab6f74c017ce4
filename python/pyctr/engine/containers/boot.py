"""After a boot: what should run runs again, each container after those it needs (docs/restarts.md)."""

from __future__ import annotations

from pyctr.engine.containers.burial import is_due
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import CorruptData, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store

    Record = dict[str, Any]

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_DEPENDS_ON = "com.docker.compose.depends_on"


def boot_containers(engine: Engine, report: Callable[[str, PyctrError], None]) -> list[str]:
    """Start what should run; the ids started. Failures go to `report`, with the container's name, and keep nobody."""
    store = engine.containers.store
    started = []
    for record in plan_order(find_due(store)):
        try:
            engine.containers.start(record["Id"])
            started.append(record["Id"])
        except NotFound:
            continue  # removed meanwhile
        except PyctrError as error:
            report(record["Name"].removeprefix("/"), error)
    return started


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
    services = {text.partition(":")[0] for text in labels.get(_DEPENDS_ON, "").split(",") if text}
    found = set()
    for other in records:
        theirs = other["Config"].get("Labels") or {}
        is_service = theirs.get(_PROJECT) == labels.get(_PROJECT) and theirs.get(_SERVICE) in services
        if other["Id"] in references or other["Name"].removeprefix("/") in references or is_service:
            found.add(other["Id"])
    return found - {record["Id"]}
