"""What the build cache holds, and taking it away: `builder du`, `builder prune`, the limit after a build."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from pyctr._core import json_loads, remove_tree
from pyctr.engine import times
from pyctr.engine.build.cache import Cache
from pyctr.engine.build.contexts import CONTENTS
from pyctr.engine.build.sandbox import sweep_steps
from pyctr.engine.build.scratch import sweep_scratch
from pyctr.engine.containers.store import try_lock
from pyctr.errors import InvalidArgument
from pyctr.image import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.image.store import Store

#: BuildKit's: a tenth of the disk.
_LIMIT_SHARE = 10
#: Contexts of whose files something is known: at most 20 MiB each, most of them a hundredth of it.
_CONTEXTS_MAX = 32
_FILTERS = ("until", "unused-for", "id", "type", "description", "inuse", "shared", "private")


class Entry:
    """One thing in the cache: a record, or a cache mount. Sizes in bytes, times in seconds since 1970."""

    __slots__ = (
        "created_s",
        "description",
        "id",
        "in_use",
        "kind",
        "layer",
        "path",
        "shared",
        "size",
        "used_s",
        "uses",
    )

    def __init__(self, id: str, kind: str, description: str, *, size: int, created_s: int, used_s: float) -> None:
        self.id = id
        self.kind = kind
        self.description = description
        self.size = size
        self.created_s = created_s
        self.used_s = used_s
        self.uses = 1
        self.in_use = False
        #: Its layer is an image's too, so that removing it frees nothing.
        self.shared = False
        #: Diff id of its layer; several records may have one.
        self.layer = ""
        #: Of a cache mount.
        self.path = ""

    @property
    def is_kept(self) -> bool:
        """Removed only if everything is: BuildKit's shared and internal records."""
        return self.shared or self.kind == "internal"

    def to_api(self) -> dict[str, Any]:
        """As the Engine API's `BuildCache`."""
        return {
            "ID": self.id,
            "Parents": None,
            "Type": self.kind,
            "Description": self.description,
            "InUse": self.in_use,
            "Shared": self.shared,
            "Size": self.size,
            "CreatedAt": times.format_time(self.created_s * 1_000_000_000),
            "LastUsedAt": times.format_time(int(self.used_s) * 1_000_000_000),
            "UsageCount": self.uses,
        }


def cache_records(engine: Engine) -> list[dict[str, Any]]:
    """Everything in the cache in the API's shape, what was used last first."""
    return [entry.to_api() for entry in entries(engine)]


def entries(engine: Engine) -> list[Entry]:
    """Everything in the cache, what was used last first. A layer's size counts once, for the record used last."""
    store: Store = engine.image_store
    in_images = _layers_of_images(store)
    found = []
    for record in Cache(store).records():
        entry = Entry(
            record.key, record.kind, record.description,
            size=record.layer.size if record.layer else 0, created_s=record.created_s, used_s=record.used_s,
        )  # fmt: skip
        entry.uses = record.uses
        entry.layer = record.layer.diff_id if record.layer else ""
        entry.shared = entry.layer in in_images
        found.append(entry)
    found += _cache_mounts(store)
    found.sort(key=lambda entry: (-entry.used_s, entry.id))
    seen: set[str] = set()
    for entry in found:
        if entry.layer and entry.layer in seen:
            entry.size = 0
        seen.add(entry.layer)
    return found


def _layers_of_images(store: Store) -> set[str]:
    layers: set[str] = set()
    for image in store.images():
        with contextlib.suppress(Exception):  # a damaged image shares nothing that could be counted
            layers.update(image.layers)
    return layers


def _cache_mounts(store: Store) -> list[Entry]:
    found = []
    base = f"{store.root}/build/mounts"
    for name in _listed(base):
        for number in _listed(f"{base}/{name}"):
            path = f"{base}/{name}/{number}"
            if not os.path.isdir(path):
                continue
            lock = os.stat(f"{path}/lock")  # grows by a byte with every use (cache.note_use)
            entry = Entry(
                f"{name}.{number}", "exec.cachemount", f"mount {_read(f'{base}/{name}/id')}",
                size=_size_of(f"{path}/data"), created_s=int(os.stat(f"{base}/{name}/id").st_mtime), used_s=lock.st_mtime,
            )  # fmt: skip
            entry.path = path
            entry.uses = lock.st_size
            entry.in_use = _is_locked(f"{path}/lock")
            found.append(entry)
    return found


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _size_of(path: str) -> int:
    total = 0
    for parent, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{parent}/{name}").st_size
    return total


def _is_locked(path: str) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def filtered(found: list[Entry], filters: dict[str, list[str]]) -> list[Entry]:
    """Those that `--filter` means. Raises InvalidArgument."""
    wanted = _filter(filters)
    return [entry for entry in found if wanted(entry)]


# -- removing ------------------------------------------------------------------------------------------------------


def prune_cache(
    engine: Engine, *, all: bool = False, filters: dict[str, list[str]] | None = None, keep: Keep | None = None
) -> tuple[list[str], int]:
    """Remove what is not in use, what was used longest ago first, until `keep` is content; ids, and the bytes that came free.

    Without `all`, what images share and what steps have of their own (here-documents) is kept too.
    """
    wanted = _filter(filters or {})
    engine.image_store.prepare()
    everything = entries(engine)
    total = sum(entry.size for entry in everything if not entry.shared)
    bound = keep.bytes_of(total, free_bytes=_free_bytes(engine)) if keep is not None else None
    removed: list[str] = []
    freed = 0
    cache = Cache(engine.image_store)
    for entry in reversed(everything):
        if bound is not None and total - freed <= bound:
            break
        if (entry.is_kept and not all) or entry.in_use or not wanted(entry) or not _remove(cache, entry):
            continue
        removed.append(entry.id)
        freed += 0 if entry.shared else entry.size
    if bound is None:
        _forget_contents(engine, keep=0)
    sweep_scratch(engine.root)
    sweep_steps(engine.root, engine.run_root)
    write.sweep(engine.image_store)
    return removed, freed


def _forget_contents(engine: Engine, *, keep: int) -> None:
    """Remove what is known of the files of contexts, but for those that were read last."""
    base = f"{engine.root}/build/{CONTENTS}"
    paths = [f"{base}/{name}" for name in _listed(base)]
    if len(paths) <= keep:
        return
    with contextlib.suppress(FileNotFoundError):  # another one forgets too
        for path in sorted(paths, key=os.path.getmtime)[: len(paths) - keep]:
            os.unlink(path)


def _free_bytes(engine: Engine) -> int:
    disk = os.statvfs(engine.root)
    return disk.f_bavail * disk.f_frsize


class Keep:
    """What `builder prune` leaves, in bytes; 0: not said (BuildKit cache/manager.go, calculateKeepBytes)."""

    __slots__ = ("max_used", "min_free", "reserved")

    def __init__(self, *, reserved: int = 0, max_used: int = 0, min_free: int = 0) -> None:
        #: That much stays in any case.
        self.reserved = reserved
        #: More than that does not stay.
        self.max_used = max_used
        #: What has to be free on the disk afterwards, as far as the cache can help.
        self.min_free = min_free

    def bytes_of(self, total: int, *, free_bytes: int) -> int | None:
        """How many bytes stay of so many; None: there is no bound, everything goes."""
        if not (self.reserved or self.max_used or self.min_free):
            return None
        bound = self.max_used
        if self.min_free:
            bound = min(bound or total, total - max(0, self.min_free - free_bytes))
        return max(bound, self.reserved)


def _remove(cache: Cache, entry: Entry) -> bool:
    if not entry.path:
        cache.remove(entry.id)
        return True
    lock = try_lock(f"{entry.path}/lock")
    if lock is None:
        return False
    try:
        remove_tree(entry.path)
    finally:
        os.close(lock)
    return True


def _filter(filters: dict[str, list[str]]) -> Callable[[Entry], bool]:
    """A predicate of `--filter`. Raises InvalidArgument."""
    for name in filters:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter '{name}'")
    now_ns = time.time_ns()
    ages = [*filters.get("until", ()), *filters.get("unused-for", ())]
    if len(ages) > 1:
        raise InvalidArgument("more than one until filter specified")
    before_s = times.parse_moment(ages[0], now_ns=now_ns) // 1_000_000_000 if ages else None

    def wanted(entry: Entry) -> bool:
        if before_s is not None and entry.used_s > before_s:
            return False
        for name, value in (("id", entry.id), ("type", entry.kind), ("description", entry.description)):
            if name in filters and not any(text in value for text in filters[name]):
                return False
        return all(
            (flag == (filters[name][-1].lower() not in ("0", "false")))
            for name, flag in (("inuse", entry.in_use), ("shared", entry.shared), ("private", not entry.shared))
            if name in filters
        )

    return wanted


def limit_of(engine: Engine) -> int:
    """How many bytes of cache may stay: the configuration file's `builder.gc.defaultKeepStorage`, else a tenth of the disk."""
    configured = engine.config.build_keep_bytes
    if configured is not None:
        return configured
    disk = os.statvfs(engine.root)
    return disk.f_blocks * disk.f_frsize // _LIMIT_SHARE


def enforce_limit(engine: Engine) -> None:
    """After a build: remove what was used longest ago where the cache has outgrown its limit."""
    _forget_contents(engine, keep=_CONTEXTS_MAX)
    limit = limit_of(engine)
    if limit and _quick_total(engine.image_store) > limit:
        prune_cache(engine, all=False, keep=Keep(reserved=limit))


def _quick_total(store: Store) -> int:
    """Bytes of all records' layers, images' too: more than what counts, and cheap."""
    total = 0
    base = f"{store.root}/build/cache"
    for name in _listed(base):
        try:
            with open(f"{base}/{name}", "rb") as file:
                layer = json_loads(file.read())["layer"]
            total += int(layer["size"]) if layer else 0
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return total
