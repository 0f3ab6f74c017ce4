"""Which mount of a RUN is made how."""

from __future__ import annotations

from pyctr.engine.build.keys import key_of
from pyctr.engine.build.layers import Snapshot, pack_changes
from pyctr.engine.build.mounts import refuse_kind
from pyctr.engine.build.scratch import Changes
from pyctr.engine.build.values import LocalValue, Value
from pyctr.image import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.plan.step import Mount, Run
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.mounts import Mounted
    from pyctr.engine.build.values import AnyValue

_WAIT_S = 0.05


def mount_all(executor: Executor, step: Run, mounted: Mounted) -> None:
    """Prepare every mount of a RUN."""
    for mount in step.mounts:
        value = executor.value(mount.source_step) if mount.source_step is not None else None
        if mount.kind == "bind" and value is not None:
            mounted.add_bind(mount, bind_value(executor, step, mount, value))
        elif mount.kind == "cache":
            initial = bind_value(executor, step, mount, value) if value is not None else None
            mounted.add_cache(mount, initial, lambda: executor.cancelled.pause(_WAIT_S), executor.imported)
        elif mount.kind == "tmpfs":
            mounted.add_tmpfs(mount)
        elif mount.kind == "secret":
            mounted.add_secret(mount, executor.request.secrets.get(mount.identity))
        elif mount.kind == "ssh":
            mounted.add_agent(mount, executor.request.ssh.get(mount.identity))
        else:
            refuse_kind(mount)


def bind_value(executor: Executor, step: Run, mount: Mount, value: AnyValue) -> Value:
    """A snapshot to mount from: files of this machine are copied first, as BuildKit does, so that nobody changes them meanwhile."""
    if isinstance(value, Value):
        return value
    return local_snapshot(executor, step, mount.source, value)


def local_snapshot(executor: Executor, step: Run, source: str, value: LocalValue) -> Value:
    """What a mount shows of a context, as a layer at the same path; kept in the cache by its content."""
    tree = value.context.tree
    epoch_s = executor.epoch_of({})
    path = source.strip("/")
    key = key_of("local", path, tree.digest(source), "kept" if executor.keeps_times else str(epoch_s))
    record = executor.cached(step, key)
    if record is not None and (record.layer is None or not record.layer.absent):
        return Value(Snapshot() + record.layer, epoch_s=epoch_s)
    clamp = None if executor.keeps_times else epoch_s
    empty = Snapshot().directories(executor.store)
    with Changes(executor.scratch, empty) as changes:
        digest = tree.copy(source, changes.root, f"/{path}", mtime=clamp).digest
        with write.adding(executor.store):
            layer = pack_changes(executor.store, changes.upper, empty, clamp_s=clamp)
            real = key_of("local", path, digest, "kept" if executor.keeps_times else str(epoch_s))
            executor.remember(real, layer, step, kind="source.local")
    return Value(Snapshot() + layer, epoch_s=epoch_s)
