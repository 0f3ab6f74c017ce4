"""What a container is doing, asked of the kernel: a held lock means it lives, state.json says the rest."""

from __future__ import annotations

import os

from pyctr.engine.containers.store import read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

ACTIVE = ("running", "paused", "restarting")


def current_state(store: Store, container_id: str) -> dict[str, Any]:
    """state.json, repaired first where it claims a life that is over."""
    directory = store.path(container_id)
    state = read_state(directory)
    if state.get("status") in ACTIVE and not store.is_locked(container_id):
        from pyctr.engine.containers.burial import ended, is_of_earlier_boot, repair

        repair(store, container_id)
        state = read_state(directory)
        if state.get("status") in ACTIVE and not store.is_locked(container_id):
            if not os.path.exists(f"{directory}/config.json"):
                return {}  # its monitor is taking it away (--rm): this may go last, and says nothing any more
            state = ended(state, rebooted=is_of_earlier_boot(store, container_id))  # the disk is full
    return state


def is_running(store: Store, container_id: str) -> bool:
    """Whether its command runs (paused and restarting count)."""
    return current_state(store, container_id).get("status") in ACTIVE
