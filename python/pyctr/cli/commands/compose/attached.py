"""`up` without ``-d``: what the containers write, until they end or Ctrl-C stops them; a second one kills them."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.logs import Printer, copy_log, short_name
from pyctr.cli.commands.compose.progress import make_report
from pyctr.cli.commands.compose.streams import Streams
from pyctr.compose.apply.converge import run
from pyctr.compose.apply.execute import Cancelled
from pyctr.compose.plan.down import plan_stop
from pyctr.compose.plan.lifecycle import plan_kill
from pyctr.engine import times
from pyctr.errors import NotFound, PyctrError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container

    #: Brings the project up, starting each container with the function it is given.
    BringUp = Callable[[Callable[[str], None]], None]

_INTERRUPTED = 130
_POLL_S = 0.1


def run_attached(
    context: ComposeContext, project: Project, values: dict[str, Any], services: list[str], bring_up: BringUp
) -> int:
    """Bring up, follow, stop. The exit code: that of `--exit-code-from`, of the container that ended everything, or 0."""
    wanted = attached_services(project, values, services)
    since = times.format_time(time.time_ns())
    streams = Streams(context.engine.containers, wanted)
    bring_up(streams.start)
    found = [
        item
        for item in common.observed(context, project).containers
        if item.service in project.services and not item.one_off
    ]
    shown = [item for item in found if item.service in wanted]
    watchers = Watchers(context, project, values, shown, since=since, streams=streams)
    watchers.begin(found)
    try:
        code = watchers.wait()
    except KeyboardInterrupt:
        sys.stdout.write("Gracefully Stopping... press Ctrl+C again to force\n")
        sys.stdout.flush()
        stop_all(context, project, values)
        watchers.drain()
        return _INTERRUPTED
    if watchers.aborting:
        sys.stderr.write("Aborting on container exit...\n")
        stop_all(context, project, values)
        watchers.drain()
        code = watchers.exit_code(values.get("exit_code_from"), code)
    return code


def attached_services(project: Project, values: dict[str, Any], services: list[str]) -> set[str]:
    """Whose output is shown: those asked for, without names all; `attach: false` and ``--no-attach`` say no."""
    for option in ("attach", "no_attach"):
        strange = [name for name in values.get(option, ()) if name not in project.services]
        if strange:
            raise NotFound(f"cannot attach to services not included in up: {', '.join(strange)}")
    if values.get("exit_code_from") and values["exit_code_from"] not in project.services:
        raise NotFound(f"no such service: {values['exit_code_from']}")
    wanted = set(values.get("attach") or ())
    if not wanted:
        wanted = set(services) if services and not values.get("attach_dependencies") else set(project.services)
        wanted = {name for name in wanted if project.services[name].get("attach", True)}
    return wanted - set(values.get("no_attach", ()))


class Watchers:
    """A thread a container: copies its log, waits for its end, tells of it."""

    def __init__(
        self, context: ComposeContext, project: Project, values: dict[str, Any], shown: list[Container], *, since: str,
        streams: Streams,
    ) -> None:  # fmt: skip
        self.context = context
        self.streams = streams
        self.project = project
        self.shown = shown
        self.how = {"follow": True, "since": since, "timestamps": bool(values.get("timestamps"))}
        self.names = {item.id: short_name(project.name, item.name) for item in shown}
        self.printer = Printer(
            self.names.values(),
            colour=common.use_colour(context, values),
            prefix=not values.get("no_log_prefix"),
        )
        self.on_exit = bool(values.get("abort_on_container_exit"))
        self.on_failure = bool(values.get("abort_on_container_failure"))
        self.aborting = False
        self.first_code = 0
        self.codes: dict[str, int] = {}
        self.threads: list[threading.Thread] = []
        #: Those whose end is the command's.
        self.awaited: list[threading.Thread] = []
        self.wake = threading.Event()

    def begin(self, every: list[Container]) -> None:
        """Start the threads."""
        sys.stdout.write(f"Attaching to {', '.join(sorted(self.names.values()))}\n")
        sys.stdout.flush()
        for item in every:
            thread = threading.Thread(target=self.watch, args=(item,), daemon=True)
            self.threads.append(thread)
            if item.id in self.names or not self.names or self.on_exit or self.on_failure:
                self.awaited.append(thread)
            thread.start()

    def watch(self, item: Container) -> None:
        """One container until its end; a restart by its policy is not one."""
        name = self.names.get(item.id)
        try:
            copier = None
            if name is not None:
                copier = threading.Thread(target=self.copy, args=(item, name), daemon=True)
                copier.start()
            code = self.end_of(item)
            if copier is not None:
                copier.join()
        except (NotFound, StateError):  # removed meanwhile, by another command
            code = 0
        if name is not None:
            self.printer.write(f"{name} exited with code {code}\n".encode())
        self.codes[item.service] = code or self.codes.get(item.service, 0)
        if not self.aborting and (self.on_exit or (self.on_failure and code)):
            self.aborting = True
            self.first_code = code
        self.wake.set()

    def copy(self, item: Container, name: str) -> None:
        """What it writes."""
        try:
            copy_log(self.context, item, name, self.printer, self.how)
        except StateError:  # its log cannot be read
            self.copy_stream(item, name)
        except PyctrError as error:
            self.printer.line(name, str(error).encode())

    def copy_stream(self, item: Container, name: str) -> None:
        """What it writes, without its log."""
        with contextlib.suppress(NotFound, StateError):  # it ended before we came
            self.streams.follow(item.id, lambda line: self.printer.line(name, line))

    def end_of(self, item: Container) -> int:
        """The exit code of its last run."""
        from pyctr.engine.containers.state import ACTIVE, current_state

        containers = self.context.engine.containers
        while True:
            code = containers.wait(item.id)
            if current_state(containers.store, item.id).get("status") not in ACTIVE:
                return code

    def wait(self) -> int:
        """Until every container that is shown has ended, or one ended everything."""
        while not self.aborting and any(thread.is_alive() for thread in self.awaited):
            self.wake.wait(_POLL_S)
            self.wake.clear()
        return self.first_code

    def drain(self) -> None:
        """The last words of those that were stopped."""
        deadline = time.monotonic() + 5
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))

    def exit_code(self, service: str | None, code: int) -> int:
        """``--exit-code-from``, else that of the container that ended everything."""
        return self.codes.get(service, code) if service else code


def stop_all(context: ComposeContext, project: Project, values: dict[str, Any]) -> None:
    """Stop the project in order; Ctrl-C meanwhile kills it."""
    found = common.observed(context, project)
    running = [item for item in found.containers if item.is_active and item.service in project.services]
    plan, _ = plan_stop(project, found, running, timeout_s=common.timeout_of(values))
    try:
        with make_report(context.settings) as report:
            run(context.engine, project, plan, report, warn=common.warn, patient=False)
    except (Cancelled, KeyboardInterrupt):
        with make_report(context.settings) as report:
            run(context.engine, project, plan_kill(running, "KILL"), report, warn=common.warn)
