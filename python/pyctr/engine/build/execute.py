"""Carrying out a plan: each step from the cache, or done; then images and what else was asked for.

The executor holds what the steps share. What a step of a kind does is in `carry`; sources are in `sources`, `fetch` and `contexts`.
"""

from __future__ import annotations

import contextlib
import os
import threading

from pyctr.build.plan.step import (
    Copy,
    GitSource,
    HttpSource,
    ImageSource,
    InlineFiles,
    LocalContext,
    MakeDirectory,
    Run,
)
from pyctr.build.plan.step import Scratch as ScratchStep
from pyctr.engine.build.cache import Cache, Record
from pyctr.engine.build.epoch import MINIMUM_S, created_epoch, request_epoch
from pyctr.engine.build.layers import Layer, Snapshot, image_snapshot
from pyctr.engine.build.schedule import Cancelled, Flag, run_steps
from pyctr.engine.build.scratch import Scratch, sweep_scratch
from pyctr.engine.build.values import Absent, AnyValue, LocalValue, Value
from pyctr.errors import BuildError, PyctrError
from pyctr.image import settle, write
from pyctr.image.manifest import host_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from pyctr.build.plan.step import Plan, Step
    from pyctr.build.report import Report
    from pyctr.build.request import Request
    from pyctr.engine import Engine
    from pyctr.engine.build.cache_from import Imported
    from pyctr.engine.build.contexts import Context
    from pyctr.engine.build.export import Built
    from pyctr.engine.build.sandbox import Sandbox
    from pyctr.image.store import Store

#: Steps that are done by naming them.
_AT_HAND = (LocalContext, ScratchStep)


def execute(engine: Engine, plan: Plan, request: Request, report: Report) -> Built:
    """Carry out a plan and make what was asked for of it. Raises BuildError with the step's line; leaves nothing running."""
    from pyctr.engine.build.export import export

    executor = Executor(engine, request, report)
    try:
        with executor:
            report.running(executor.cancel)
            executor.run(plan)
            return export(executor, plan)
    finally:
        if executor.cache.grew:
            from pyctr.engine.build.usage import enforce_limit

            enforce_limit(engine)


class Executor:
    """A build under way."""

    def __init__(self, engine: Engine, request: Request, report: Report) -> None:
        self.engine = engine
        self.request = request
        self.report = report
        self.store: Store = engine.image_store
        self.cache = Cache(self.store)
        self.cancelled = Flag()
        self.values: dict[str, AnyValue] = {}
        #: Records that this build found or made.
        self.used: dict[str, Record] = {}
        self.imported: Imported | None = None
        self.contexts: dict[str, Context] = {}
        #: Seconds that override every step's own; `keeps_times`: none at all, the clock is written down.
        self.epoch_s, self.keeps_times = request_epoch(request)
        self._sandboxes: set[Sandbox] = set()
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        self._ending: list[threading.Thread] = []
        self._announced = False
        #: Keys of steps that are done whatever an imported cache knows of them without having it; one thread at a time adds to them.
        self._filled: set[str] = set()
        self._filling = threading.RLock()
        self._native = "/".join(part for part in host_platform() if part)

    def __enter__(self) -> Self:
        from pyctr.engine.build.lease import Lease

        self.store.prepare()
        sweep_scratch(self.store.root)
        if os.path.isdir(f"{self.store.root}/build/run") and os.listdir(f"{self.store.root}/build/run"):
            from pyctr.engine.build.sandbox import sweep_steps

            sweep_steps(self.engine.root, self.engine.run_root)
        self.lease = self._closing.enter_context(Lease(self.store))
        self.scratch = Scratch(self.store)
        self._closing.callback(self.scratch.close)
        if self.request.cache_from:
            from pyctr.engine.build.cache_from import Imported

            self.imported = Imported(self)
            self._closing.callback(self.imported.close)
            self.imported.load(self.request.cache_from)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._ending:
            thread.join()
        for value in self.values.values():
            value.close()
        for context in self.contexts.values():
            context.keep()
        try:
            self._settle()
        finally:
            self._closing.close()

    def _settle(self) -> None:
        """Sync what was made, so that it is trusted after a power cut; or leave that to who does it when the command is done."""
        made = [record.layer.diff_id for record in self.used.values() if record.layer is not None]
        if any((settle.facts_of(self.store, diff_id) or {}).get("unsynced") for diff_id in made):
            if self.engine.settles_afterwards:
                self.announce()
            else:
                settle.settle(self.store, made)

    def announce(self) -> None:
        """Say that something of this build is settled afterwards; once is enough."""
        if not self._announced:
            settle.announce(self.store)
            self._announced = True

    def run(self, plan: Plan) -> None:
        """Every step."""
        if any(isinstance(step, Run) and step.platform != self._native for step in plan.steps):
            from pyctr.engine.build.foreign import refuse_foreign

            refuse_foreign(plan)
        # What costs nothing needs no thread.
        for step in plan.steps:
            if isinstance(step, _AT_HAND):
                self._run_step(step)
        others = [step for step in plan.steps if not isinstance(step, _AT_HAND)]
        run_steps(others, self._run_step, self.cancel)
        with self._filling:
            for result in plan.results:
                self._fill(result.step)

    def cancel(self) -> None:
        """Stop whatever runs."""
        self.cancelled.set()
        with self._lock:
            sandboxes = list(self._sandboxes)
        for sandbox in sandboxes:
            sandbox.cancel()

    # -- one step ------------------------------------------------------------------------------------------------

    def _run_step(self, step: Step) -> None:
        self.cancelled.check()
        try:
            try:
                value = self._value_of(step)
            except Absent:
                with self._filling:
                    for below in step.inputs:
                        self._fill(below)
                value = self._value_of(step)
        except BuildError as error:
            if error.line is None:
                error.line = step.where.first_line or None
            error.step = step
            raise
        except (Cancelled, KeyboardInterrupt):
            raise
        except PyctrError as error:
            failure = BuildError(str(error), hint=error.hint)
            failure.line = step.where.first_line or None
            failure.step = step
            raise failure from error
        with self._lock:
            self.values[step.key] = value

    def _fill(self, step: Step) -> None:
        """Do a step of which an imported cache knows no more than what it comes to, and those it needs."""
        value = self.values[step.key]
        if isinstance(value, Value) and not value.snapshot.is_here:
            for below in step.inputs:
                self._fill(below)
            self._filled.add(step.key)
            self._run_step(step)

    def _value_of(self, step: Step) -> AnyValue:
        from pyctr.engine.build import carry

        if isinstance(step, ScratchStep):
            return Value(Snapshot(), epoch_s=self.epoch_s if self.epoch_s is not None else MINIMUM_S)
        if isinstance(step, ImageSource):
            return self._image(step)
        if isinstance(step, LocalContext):
            return LocalValue(self.context(step.name))
        if isinstance(step, HttpSource):
            from pyctr.engine.build.fetch import fetch_http

            return fetch_http(self, step)
        if isinstance(step, GitSource):
            from pyctr.engine.build.fetch import fetch_git

            return fetch_git(self, step)
        if isinstance(step, InlineFiles):
            return carry.write_inline(self, step)
        if isinstance(step, Copy):
            return carry.CopyStep(self, step).value()
        if isinstance(step, MakeDirectory):
            return carry.make_work_directory(self, step)
        if isinstance(step, Run):
            return carry.RunStep(self, step).value()
        raise BuildError(f"unknown kind of step {step.kind}")

    def _image(self, step: ImageSource) -> Value:
        from pyctr.engine.build.sources import find_image

        reference = step.config_digest or step.reference
        pull = self.request.pull and not step.config_digest
        image = find_image(self.engine, reference, step.platform, pull=pull, report=self.report)
        pin = image.pin()
        try:
            value = Value(image_snapshot(image), epoch_s=self.epoch_of(image.config))
            self.lease.keep(value.snapshot)
        finally:
            os.close(pin)
        self.report.cached(step.key, step.where.name)
        return value

    def epoch_of(self, config: dict[str, object]) -> int:
        """What later times become in layers on top of an image."""
        return self.epoch_s if self.epoch_s is not None else created_epoch(str(config.get("created") or ""))

    def context(self, name: str) -> Context:
        """A build context by name; looked at once."""
        from pyctr.engine.build.contexts import open_named

        with self._lock:
            if name not in self.contexts:
                self.contexts[name] = open_named(self.request, name, self.store.root)
            return self.contexts[name]

    def value(self, step: Step) -> AnyValue:
        """What an input came to."""
        return self.values[step.key]

    def snapshot_value(self, step: Step) -> Value:
        """What a base came to: never files of this machine."""
        value = self.values[step.key]
        if not isinstance(value, Value):
            raise BuildError(f"{step.where.name} cannot be built on")
        return value

    # -- cache ---------------------------------------------------------------------------------------------------

    def cached(self, step: Step, key: str) -> Record | None:
        """What a key came to before, its layer kept from now on; None if it is not known or not wanted."""
        if step.ignore_cache:
            return None
        with write.adding(self.store):  # nothing is collected between the look and the lease
            record = self.cache.find(key)
            if record is None and self.imported is not None:
                record = self.imported.find(key, step.where.name)
            if record is not None and record.layer is not None and record.layer.absent and step.key in self._filled:
                record = None
            if record is not None:
                self._use(record)
        return record

    def _use(self, record: Record) -> None:
        self.used[record.key] = record
        if record.layer is not None:
            self.lease.keep(Snapshot([record.layer]))

    def remember(self, key: str, layer: Layer | None, step: Step, *, kind: str = "regular") -> None:
        """Keep what a step came to. The caller holds `write.adding`."""
        record = Record(key, layer, description=step.where.name, kind=kind)
        self._use(record)
        self.cache.add(record)

    def done(self, step: Step, work: Callable[[], Value]) -> Value:
        """Do a step's work, telling of it."""
        inputs = tuple(below.key for below in step.inputs)
        for key in inputs:
            value = self.values[key]
            if isinstance(value, Value) and not value.snapshot.is_here:
                raise Absent
        self.report.start(step.key, step.where.name, inputs=inputs)
        try:
            value = work()
        except BaseException as error:
            self.report.done(step.key, error="canceled" if isinstance(error, Cancelled) else str(error) or "canceled")
            raise
        self.report.done(step.key)
        return value

    def hit(self, step: Step, base: Value, record: Record) -> Value:
        """A step's value from the cache, telling of it."""
        self.report.cached(step.key, step.where.name, inputs=tuple(below.key for below in step.inputs))
        return Value(base.snapshot + record.layer, epoch_s=base.epoch_s, layer=record.layer)

    # -- containers ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def sandbox(self, lower: list[str]):  # type: ignore[no-untyped-def]
        """A container that `cancel` reaches. Its end, which takes a network away, is not waited for."""
        from pyctr.engine.build.sandbox import Sandbox

        sandbox = Sandbox(self.engine, lower)
        sandbox.__enter__()
        with self._lock:
            self._sandboxes.add(sandbox)
        try:
            self.cancelled.check()
            yield sandbox
        finally:
            with self._lock:
                self._sandboxes.discard(sandbox)
            thread = threading.Thread(target=sandbox.__exit__, args=(None, None, None))
            thread.start()
            self._ending.append(thread)
