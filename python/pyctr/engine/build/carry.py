"""What the steps do that make a layer: COPY, ADD, WORKDIR, RUN, here-documents (docs/build-execute.md)."""

from __future__ import annotations

import os

from pyctr._core import SourceTree, make_directory
from pyctr.engine.build.files import Selected, copy_selected, resolve_owner, select
from pyctr.engine.build.keys import key_of
from pyctr.engine.build.layers import Layer, Snapshot, pack_changes, take_changes
from pyctr.engine.build.scratch import Changes
from pyctr.engine.build.values import AnyValue, LocalValue, Value
from pyctr.errors import BuildError
from pyctr.image import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.build.plan.step import Copy, CopyItem, InlineFiles, MakeDirectory, Run, Step
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.files import Owner
    from pyctr.engine.build.sandbox import Command, Ended

_SIGNAL_BASE = 128
_LAST_LINES = 10


def clamp_of(executor: Executor, base: Value) -> int | None:
    """What later times in a layer on a base become; None: they stay."""
    return None if executor.keeps_times else base.epoch_s


def pack(
    executor: Executor, upper: str, lowers: list[str], base: Value, *, hidden: list[str] | None = None
) -> Layer | None:
    """A directory of changes as a layer. The caller holds `write.adding`."""
    return pack_changes(executor.store, upper, lowers, clamp_s=clamp_of(executor, base), hidden=hidden)


def change_files(executor: Executor, step: Step, key: str, base: Value, change: Callable[[Changes], str]) -> Value:
    """Change files of a base, and keep what came of it under the key that `change` says it really has."""

    def work() -> Value:
        lowers = base.snapshot.directories(executor.store)
        with Changes(executor.scratch, lowers) as changes:
            real_key = change(changes)
            changes.unmount()
            with write.adding(executor.store):
                layer = take_changes(
                    executor.store, changes.upper, lowers, clamp_s=clamp_of(executor, base), settled=changes.settled
                )
                for name in {key, real_key} if real_key == key else {real_key}:
                    executor.remember(name, layer, step)
        return Value(base.snapshot + layer, epoch_s=base.epoch_s, layer=layer)

    return executor.done(step, work)


def times_key(executor: Executor, base: Value) -> str:
    """Which times a layer has."""
    clamp = clamp_of(executor, base)
    return "kept" if clamp is None else str(clamp)


# -- WORKDIR and here-documents ------------------------------------------------------------------------------------


def make_work_directory(executor: Executor, step: MakeDirectory) -> Value:
    """WORKDIR."""
    base = executor.snapshot_value(step.base)
    key = key_of("directory", step.definition, base.identity, times_key(executor, base))
    record = executor.cached(step, key)
    if record is not None:
        return executor.hit(step, base, record)

    def change(changes: Changes) -> str:
        owner = resolve_owner(step.owner, changes.root) if step.owner else (0, 0)
        make_directory(changes.root, step.path, owner=owner)
        return key

    return change_files(executor, step, key, base, change)


def write_inline(executor: Executor, step: InlineFiles) -> Value:
    """Here-documents: a snapshot of their own, to be copied from."""
    epoch_s = executor.epoch_of({})
    base = Value(Snapshot(), epoch_s=epoch_s)
    key = key_of("inline", step.definition, times_key(executor, base))
    record = executor.cached(step, key)
    if record is not None:
        return Value(Snapshot() + record.layer, epoch_s=epoch_s, layer=record.layer)
    lowers = base.snapshot.directories(executor.store)
    with Changes(executor.scratch, lowers) as changes:
        for name, content in step.files:
            path = f"{changes.upper}/{name.lstrip('/')}"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(content.encode(errors="surrogateescape"))
                os.fchmod(file.fileno(), step.mode)
        with write.adding(executor.store):
            layer = pack(executor, changes.upper, lowers, base)
            executor.remember(key, layer, step, kind="internal")
    return Value(Snapshot() + layer, epoch_s=epoch_s, layer=layer)


# -- COPY and ADD --------------------------------------------------------------------------------------------------


class CopyStep:
    """A COPY or ADD."""

    def __init__(self, executor: Executor, step: Copy) -> None:
        self.executor = executor
        self.step = step
        self.base = executor.snapshot_value(step.base)
        #: With --link the layer is made on nothing.
        self.under = Value(Snapshot(), epoch_s=self.base.epoch_s) if step.link else self.base

    def value(self) -> Value:
        """From the cache by the sources' identities, else by what they have selected, else done."""
        executor, step = self.executor, self.step
        common = (step.definition, self._owner_key(), self.under.identity, times_key(executor, self.base))
        quick = self._quick_key(common)
        record = executor.cached(step, quick) if quick else None
        if record is not None:
            return executor.hit(step, self.base, record)
        selected = [self._select(item) for item in step.items]
        key = key_of("copy", *common, *self._content_keys(selected))
        record = executor.cached(step, key)
        if record is not None:
            if quick:
                with write.adding(executor.store):
                    executor.remember(quick, record.layer, step)
            return executor.hit(step, self.base, record)
        return self._carry_out(common, key, quick, selected)

    def _owner_key(self) -> str:
        """Names of --chown are looked up in the base; with --link that is no part of the key otherwise."""
        owner = self._owner() if self.step.link and self.step.owner else None
        return f"{owner[0]}:{owner[1]}" if owner else ""

    def _owner(self) -> Owner | None:
        if not self.step.owner:
            return None
        root = self.base.root(self.executor.store, self.executor.scratch)
        if isinstance(root, int):
            return resolve_owner(self.step.owner, root)
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return resolve_owner(self.step.owner, fd)
        finally:
            os.close(fd)

    def _quick_key(self, common: tuple[str, ...]) -> str:
        """A key that nothing has to be read for, where no source is files of this machine."""
        identities = [self.executor.value(item.source_step).identity for item in self.step.items]
        return key_of("copy of", *common, *identities) if all(identities) else ""

    def _content_keys(self, selected: list[list[Selected]]) -> list[str]:
        return [item.key for items in selected for item in items]

    def _select(self, item: CopyItem) -> list[Selected]:
        executor = self.executor
        value = executor.value(item.source_step)
        tree = value.tree(executor.store, executor.scratch)
        where = "" if not isinstance(value, LocalValue) else " in the build context"
        pattern = f"{item.pattern.rstrip('/')}/./{item.pivot}" if item.pivot else item.pattern
        found = select(tree, pattern, parents=self.step.parents, wildcard=item.wildcard, where=where)
        if not self.step.exclude:
            return found
        return [kept for one in found for kept in self._excluded(value, one)]

    def _excluded(self, value: Value | LocalValue, one: Selected) -> list[Selected]:
        """What is left of a source once --exclude has been applied to it."""
        from pyctr.build.ignore import Matcher
        from pyctr.engine.build.contexts import excluded_of

        matcher = Matcher(self.step.exclude)
        names = one.tree.list(one.path)
        base = one.path.strip("/")
        if not names:
            return [] if matcher.excluded(os.path.basename(base)) else [one]
        skip = [f"{base}/{name}" if base else name for name in excluded_of(names, matcher)]
        tree = self._tree_without(value, skip)
        return [Selected(tree, one.path, tree.digest(one.path), one.parents_from)]

    def _tree_without(self, value: Value | LocalValue, skip: list[str]) -> SourceTree:
        if isinstance(value, LocalValue):
            context = value.context
            return SourceTree(context.path, skip=[*context.skip, *skip], anonymous=True, known=context.known)
        return SourceTree(value.root(self.executor.store, self.executor.scratch), skip=skip)

    def _carry_out(self, common: tuple[str, ...], key: str, quick: str, selected: list[list[Selected]]) -> Value:
        executor, step = self.executor, self.step
        real: list[list[Selected]] = []

        def change(changes: Changes) -> str:
            owner = self._owner()
            target = step.destination
            if step.destination_is_directory and not target.endswith("/"):
                target += "/"
            for item, found in zip(step.items, selected, strict=True):
                digests = copy_selected(
                    found, changes, target,
                    owner=owner, mode=step.mode or None, mtime_s=clamp_of(executor, self.base), unpack=item.unpack,
                )  # fmt: skip
                pairs = zip(found, digests, strict=True)
                real.append([Selected(one.tree, one.path, digest, one.parents_from) for one, digest in pairs])
                executor.cancelled.check()
            # A file may have changed since it was digested: what was copied is what counts.
            return key_of("copy", *common, *self._content_keys(real))

        value = change_files(executor, step, key, self.under, change)
        if quick:
            with write.adding(executor.store):
                executor.remember(quick, value.layer, step)
        return Value(self.base.snapshot + value.layer, epoch_s=self.base.epoch_s, layer=value.layer)


# -- RUN -----------------------------------------------------------------------------------------------------------


class RunStep:
    """A RUN."""

    def __init__(self, executor: Executor, step: Run) -> None:
        self.executor = executor
        self.step = step
        self.base = executor.snapshot_value(step.base)

    def value(self) -> Value:
        """From the cache, or run."""
        from pyctr.engine.build.command import check_consent

        executor, step = self.executor, self.step
        check_consent(executor.request, step)
        key = key_of("run", step.definition, self.base.identity, times_key(executor, self.base), *self._mount_keys())
        record = executor.cached(step, key)
        if record is not None:
            return executor.hit(step, self.base, record)
        return executor.done(step, lambda: self._run(key))

    def _mount_keys(self) -> list[str]:
        """What is in the file systems of the mounts: the whole snapshot's identity, or of a context what the mount shows."""
        keys = []
        for mount in self.step.mounts:
            if mount.source_step is not None:
                value = self.executor.value(mount.source_step)
                keys.append(value.identity or self._digest(value, mount.source))
        return keys

    def _digest(self, value: AnyValue, source: str) -> str:
        return value.tree(self.executor.store, self.executor.scratch).digest(source)

    def _run(self, key: str) -> Value:
        from pyctr.engine.build.mounts import Mounted
        from pyctr.engine.containers.changes import STUBS

        executor, step = self.executor, self.step
        lowers = self.base.snapshot.directories(executor.store)
        with executor.sandbox(lowers) as sandbox:
            mounted = Mounted(executor.store, executor.scratch, sandbox.store.run_path(sandbox.id))
            try:
                self._mount(mounted)
                output = Output(executor, step)
                ended = sandbox.run(self._command(mounted), output.take)
            finally:
                mounted.close()
            executor.cancelled.check()
            if ended.code:
                raise self._failure(ended, output)
            hidden = [*STUBS, *mounted.targets]
            with write.adding(executor.store):
                layer = pack(executor, sandbox.upper, lowers, self.base, hidden=hidden)
                executor.remember(key, layer, step)
        return Value(self.base.snapshot + layer, epoch_s=self.base.epoch_s, layer=layer)

    def _mount(self, mounted: object) -> None:
        from pyctr.engine.build.mounting import mount_all

        mount_all(self.executor, self.step, mounted)  # type: ignore[arg-type]

    def _command(self, mounted: object) -> Command:
        from pyctr.engine.build.command import plan_command

        return plan_command(self.executor, self.step, self.base, mounted)  # type: ignore[arg-type]

    def _failure(self, ended: Ended, output: Output) -> BuildError:
        words = " ".join(self.step.arguments)
        reason = f"exit code: {ended.code}"
        if ended.oom_killed:
            reason += " (killed: out of memory)"
        elif ended.code > _SIGNAL_BASE:
            from pyctr.engine.signals import signal_name

            name = signal_name(ended.code - _SIGNAL_BASE)
            reason += f" (killed by {name})" if name else ""
        failure = BuildError(f'process "{words}" did not complete successfully: {reason}')
        failure.output = output.last_lines()
        return failure


class Output:
    """Passes output on, and remembers the end of it."""

    def __init__(self, executor: Executor, step: Step) -> None:
        self._report = executor.report
        self._key = step.key
        self._tail = b""

    def take(self, stream: int, data: bytes) -> None:
        """What a command wrote."""
        self._report.log(self._key, stream, data)
        self._tail = (self._tail + data)[-16384:]

    def last_lines(self) -> tuple[str, ...]:
        """The last lines, undecodable bytes replaced."""
        return tuple(self._tail.decode(errors="replace").splitlines()[-_LAST_LINES:])
