"""`container prune`."""

from __future__ import annotations

import time

from pyctr.engine import times
from pyctr.engine.containers.events import write_entry
from pyctr.engine.containers.filters import has_label
from pyctr.engine.containers.listing import list_containers, measure
from pyctr.engine.containers.remove import remove_container
from pyctr.errors import InvalidArgument, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store


def prune_containers(store: Store, filters: dict[str, list[str]]) -> tuple[list[str], int]:
    """Remove what does not run; (ids, bytes). One that starts or goes meanwhile is left alone."""
    for name in filters:
        if name not in ("label", "label!", "until"):
            raise InvalidArgument(f"invalid filter '{name}'")
    now_ns = time.time_ns()
    until_ns = min((times.parse_moment(text, now_ns=now_ns) for text in filters.get("until", ())), default=now_ns)
    removed: list[str] = []
    reclaimed = 0
    for summary in list_containers(store, every=True, limit=None, filters={}, size=False):
        wanted = all(has_label(summary, value) for value in filters.get("label", ()))
        wanted = wanted and not any(has_label(summary, value) for value in filters.get("label!", ()))
        if summary.state not in ("created", "exited", "dead") or not wanted or summary.created_s * 10**9 > until_ns:
            continue
        size = measure(store, summary.record)[0]
        try:
            removed.append(remove_container(store, summary.id, force=False, volumes=False))
        except (NotFound, StateError):
            continue
        reclaimed += size
    write_entry(store.root, "container", "prune", "", {"reclaimed": str(reclaimed)})
    return removed, reclaimed
