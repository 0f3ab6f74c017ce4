"""What a compose command is given: the engine, the options before the command, and the project when it asks."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pyctr.compose import Options, Project
    from pyctr.engine import Engine


class ComposeContext:
    """One compose command. The project is read when it is first asked for, its warnings are shown once."""

    def __init__(self, engine: Engine, settings: dict[str, Any]) -> None:
        self.engine, self.settings = engine, settings
        self._project: Project | None = None
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def project(self, profiles: Sequence[str] = ()) -> Project:
        """The project of the files asked for or found; ``profiles`` come on top. Raises ComposeError, NotFound."""
        if profiles:
            return self.load(profiles=[*self.settings.get("profile", ()), *profiles])
        if self._project is None:
            self._project = self.load()
        return self._project

    def present(self) -> Project:
        """The project; where no file is found, the one that ``-p`` names, as what is there of it tells. Raises as `project`.

        For commands that make nothing: `down`, `stop`, `ps`…
        """
        from pyctr.errors import NotFound

        name = self.settings.get("project_name") or os.environ.get("COMPOSE_PROJECT_NAME")
        if not name or self._project is not None or self.settings.get("file") or os.environ.get("COMPOSE_FILE"):
            return self.project()
        try:
            return self.project()
        except NotFound:
            from pyctr.compose.apply.recall import recall
            from pyctr.compose.discover import valid_name

            self._project = recall(self.engine, valid_name(name))
            return self._project

    def project_name(self) -> str:
        """The project's name, from ``-p`` or COMPOSE_PROJECT_NAME without reading files. Raises as `project`."""
        from pyctr.compose.discover import valid_name

        name = self.settings.get("project_name") or os.environ.get("COMPOSE_PROJECT_NAME")
        return valid_name(name) if name else self.project().name

    def _is_compatible(self) -> bool:
        """``--compatibility``, or COMPOSE_COMPATIBILITY as Go reads truths."""
        return bool(
            self.settings.get("compatibility")
            or os.environ.get("COMPOSE_COMPATIBILITY", "").lower() in ("1", "t", "true")
        )

    def load(self, *, profiles: Sequence[str] | None = None, options: Options | None = None) -> Project:
        """Read the project with these profiles in place of ``--profile``."""
        from pyctr.compose import load

        settings = self.settings
        project = load(
            settings.get("file"),
            project_directory=settings.get("project_directory"),
            project_name=settings.get("project_name"),
            env_files=settings.get("env_file", ()),
            profiles=settings.get("profile", ()) if profiles is None else profiles,
            all_resources=bool(settings.get("all_resources")),
            options=options,
            known_dir=f"{self.engine.run_root}/compose/valid",
        )
        if self._is_compatible():
            project = project._replace(separator="_")
        for warning in project.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                sys.stderr.write(f"pyctr: warning: {warning}\n")
        return project
