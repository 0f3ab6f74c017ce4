"""Applications of several containers, from compose files: what `pyctr compose` does, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose import select
from pyctr.compose.apply import files
from pyctr.compose.apply.build import Silent
from pyctr.compose.apply.converge import converge, run
from pyctr.compose.apply.images import ImageChoices
from pyctr.compose.apply.lock import project_lock
from pyctr.compose.apply.observe import observe
from pyctr.compose.plan.down import plan_down, plan_stop
from pyctr.compose.plan.lifecycle import plan_restart, plan_start
from pyctr.compose.plan.up import DIVERGED, FORCE, Choices
from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyctr import compose
    from pyctr.client import Engine
    from pyctr.client.container import Container
    from pyctr.compose.plan.graph import Plan
    from pyctr.compose.plan.observed import Container as Seen
    from pyctr.compose.plan.observed import Observed

    #: Told what happens, from any thread: ("Container web-1", "Started", "working", "done", "error" or "warning").
    Progress = Callable[[str, str, str], None]


class Telling(Silent):
    """Passes events on to a program's function, if it gave one."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def event(self, subject: str, word: str, *, state: str) -> None:
        """What happens to one thing of the project."""
        if self._progress is not None:
            self._progress(subject, word, state)


class Project:
    """A project: what its files say (`config`), and what of it is there.

    Every change waits for another command's on the same project. `progress` is told what happens; warnings gather in
    `warnings`. Raises the first error; what was done by then stays.
    """

    __slots__ = ("_engine", "_project", "warnings")

    def __init__(self, engine: Engine, project: compose.Project) -> None:
        self._engine = engine
        self._project = project
        #: What the files and the changes gave reason to warn of.
        self.warnings: list[str] = list(project.warnings)

    def __repr__(self) -> str:
        return f"<Project: {self.name}>"

    @property
    def name(self) -> str:
        """The project's name."""
        return self._project.name

    @property
    def services(self) -> list[str]:
        """Names of the services that the profiles enable."""
        return list(self._project.services)

    @property
    def config(self) -> dict[str, Any]:
        """The files merged, in the form of ``compose config --format json``."""
        return self._project.model

    def containers(self, service: str | None = None, *, all: bool = False) -> list[Container]:
        """The containers of a service, or of the project: those that run, or `all`. Raises NotFound for the service."""
        self._check([service] if service else [])
        found = [item for item in self._seen(self._look(), [service] if service else []) if all or item.is_active]
        return [
            self._engine.containers.get(item.id) for item in sorted(found, key=lambda item: (item.service, item.number))
        ]

    def up(
        self,
        services: Sequence[str] = (),
        *,
        start: bool = True,
        wait: bool = False,
        build: bool = False,
        pull: str = "",
        force_recreate: bool = False,
        remove_orphans: bool = False,
        scale: Mapping[str, int] | None = None,
        timeout: float | None = None,
        wait_timeout: float | None = None,
        progress: Progress | None = None,
    ) -> list[Container]:
        """Make what the files say; the containers of it that run.

        `wait` until they are healthy, `wait_timeout` seconds at most; `pull` is always, missing or never; `timeout` is that
        of stops, in seconds; `scale` is how many containers of a service.
        """
        if pull not in ("", "always", "missing", "never"):
            raise InvalidArgument(f'invalid pull policy "{pull}": must be always, missing or never')
        self._check([*services, *(scale or ())])
        recreate = FORCE if force_recreate else DIVERGED
        choices = Choices(
            targets=frozenset(services),
            recreate=recreate,
            recreate_dependencies=DIVERGED if services else recreate,
            scale=dict(scale or {}),
            start=start,
            wait=wait,
            remove_orphans=remove_orphans,
            timeout_s=timeout,
        )
        converge(
            self._engine.low,
            select(self._project, services),
            choices,
            Telling(progress),
            warn=self.warnings.append,
            image_choices=ImageChoices(policy=pull, build=build, quiet_build=True, quiet_pull=True),
            wait_timeout_s=wait_timeout,
        )
        return self.containers()

    def start(self, services: Sequence[str] = (), *, progress: Progress | None = None) -> None:
        """Start what is there and does not run, after what it depends on."""
        self._check(services)
        self._change(lambda seen: plan_start(select(self._project, services), seen), progress)

    def stop(
        self, services: Sequence[str] = (), *, timeout: float | None = None, progress: Progress | None = None
    ) -> None:
        """Stop what runs, dependents first; `timeout` in seconds."""
        self._check(services)

        def plan(seen: Observed) -> Plan:
            return plan_stop(self._project, seen, self._seen(seen, services), timeout_s=timeout)[0]

        self._change(plan, progress)

    def restart(
        self, services: Sequence[str] = (), *, timeout: float | None = None, progress: Progress | None = None
    ) -> None:
        """Stop and start, with those that depend on it and ask for that."""
        self._check(services)
        self._change(
            lambda seen: plan_restart(self._project, seen, services, dependents=True, timeout_s=timeout), progress
        )

    def down(
        self,
        services: Sequence[str] = (),
        *,
        volumes: bool = False,
        images: str = "",
        remove_orphans: bool = False,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Stop and remove containers and networks, on request `volumes` and `images` (local or all)."""
        if images not in ("", "local", "all"):
            raise InvalidArgument(f'invalid images "{images}": must be local or all')
        self._check(services)

        def plan(seen: Observed) -> Plan:
            return plan_down(
                self._project, seen, services=services, remove_orphans=remove_orphans, volumes=volumes, images=images,
                timeout_s=timeout,
            )  # fmt: skip

        self._change(plan, progress)

    def _check(self, services: Sequence[str]) -> None:
        for name in services:
            if name not in self._project.services and name not in self._project.disabled:
                raise NotFound(f"no such service: {name}")

    def _look(self) -> Observed:
        return observe(self._engine.low, self.name)

    def _seen(self, seen: Observed, services: Sequence[str]) -> list[Seen]:
        known = {*self._project.services, *self._project.disabled}
        return [
            item
            for item in seen.containers
            if not item.one_off and item.service in known and (not services or item.service in services)
        ]

    def _change(self, make: Callable[[Observed], Plan], progress: Progress | None) -> None:
        low = self._engine.low
        with project_lock(low, self.name, lambda: None):
            plan = make(self._look())
            self.warnings += plan.warnings
            run(low, self._project, plan, Telling(progress), warn=self.warnings.append)
            files.sweep(low, self.name)
