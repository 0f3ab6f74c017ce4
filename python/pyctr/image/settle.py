"""What has been written, and what has reached the disk: layers are trusted across a power cut only once they are synced.

A layer's .json says ``unsynced: <boot id>`` until then. A pull names its image at once and syncs afterwards: a file in
``ROOT/unsettled``, itself synced before the name, says that such an image exists. It goes when the sync is done. Whoever finds
one of an earlier boot brings the store back to what can be verified (engine/images/recover.py); a start pays one stat(2) for the question.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from pyctr._core import json_dumps, json_loads, remove_tree, sync_file_system, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.store import Store


def boot_id() -> str:
    """What changes with every boot."""
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read().strip().decode()


def facts_of(store: Store, diff_id: str) -> dict[str, object] | None:
    """What is known of a layer: digest, size, unsynced. None if nothing is, or nothing that can be read."""
    try:
        with open(store.layer_path(diff_id) + ".json", "rb") as file:
            value = json_loads(file.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def is_present(store: Store, diff_id: str) -> bool:
    """Whether a layer is there and whole: one that was never synced is only trusted until the next boot."""
    if not os.path.isdir(store.layer_path(diff_id)):
        return False
    facts = facts_of(store, diff_id)
    return facts is not None and facts.get("unsynced") in (None, boot_id())


def set_aside(store: Store, diff_id: str) -> None:
    """Take a layer away that `is_present` does not trust, if it is there; nothing that runs stands on it."""
    target = store.layer_path(diff_id)
    if not os.path.isdir(target):
        return
    gone = f"{store.layers}/.{diff_id[7:]}.{os.urandom(4).hex()}.gone"
    lock = os.open(f"{store.root}/settle.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Somebody else may have put a good one in its place meanwhile.
        if is_present(store, diff_id) or not os.path.isdir(target):
            return
        os.rename(target, gone)
    finally:
        os.close(lock)
    remove_tree(gone)


def announce(store: Store) -> None:
    """Say, durably, that an image is about to be named whose layers are not synced."""
    directory = f"{store.root}/unsettled"
    while True:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # removed this very moment by who settled
            write_atomic(f"{directory}/{os.urandom(8).hex()}", boot_id().encode())
            return


def settle(store: Store, diff_ids: list[str] | None = None) -> None:
    """Sync layers, or whatever was written by whomever since this boot; after this they are trusted for good.

    The caller holds `adding`.
    """
    marks, found = _unsettled(store, diff_ids)
    sync_file_system(store.layers)
    _trust(store, found)
    if marks:
        # The marks only after what they stand for is known to be settled, on disk too.
        sync_file_system(store.layers)
    remove_marks(store, marks)


def _unsettled(store: Store, diff_ids: list[str] | None = None) -> tuple[list[str], list[str]]:
    """Marks and layers of this boot; of given layers those that are not synced, and no marks."""
    now = boot_id()
    marks = []
    if diff_ids is None:
        marks = [name for name in _marks(store) if _read(f"{store.root}/unsettled/{name}") == now]
        files = (name for name in os.listdir(store.layers) if name.endswith(".json") and not name.startswith("."))
        diff_ids = ["sha256:" + name.removesuffix(".json") for name in files]
    return marks, [item for item in diff_ids if (facts_of(store, item) or {}).get("unsynced") == now]


def _trust(store: Store, diff_ids: list[str]) -> None:
    """Say of layers that they are synced; of those that are still there. The caller holds `adding`."""
    for diff_id in diff_ids:
        facts = facts_of(store, diff_id)
        if facts and os.path.isdir(store.layer_path(diff_id)):
            facts.pop("unsynced", None)
            write_atomic(store.layer_path(diff_id) + ".json", json_dumps(facts), sync=False)


def settle_afterwards(store: Store) -> None:
    """Settle, if an image is waiting for it, in a process that nobody waits for. Only for a process without threads."""
    from pyctr.image import write

    if not _marks(store):
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)  # it ends at once: its own child goes on, and is init's
        return
    # From here on nothing may return into the program that this is a copy of.
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.closerange(3, 1 << 16)
        if os.fork() == 0:
            marks, found = _unsettled(store)
            sync_file_system(store.layers)
            with write.adding(store):  # only now: the disk may take long, and who removes images does not wait for it
                _trust(store, found)
            sync_file_system(store.layers)
            remove_marks(store, marks)
    finally:
        os._exit(0)


def _marks(store: Store) -> list[str]:
    try:
        return [name for name in os.listdir(f"{store.root}/unsettled") if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def stale_marks(store: Store) -> list[str]:
    """Marks of an earlier boot: between it and this one power may have been cut."""
    now = boot_id()
    return [name for name in _marks(store) if _read(f"{store.root}/unsettled/{name}") not in ("", now)]


def remove_marks(store: Store, names: list[str]) -> None:
    """Say that what they stand for is settled."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{store.root}/unsettled/{name}")
    with contextlib.suppress(OSError):
        os.rmdir(f"{store.root}/unsettled")
