"""`develop.watch`: which changed file asks for what. Pure; `apply.watch` looks at the files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyctr.build.ignore import Matcher, parse_ignore_file
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyctr.compose import Project

ACTIONS = ("rebuild", "restart", "sync", "sync+restart", "sync+exec")
#: What editors and version control leave lying about (docker/compose pkg/watch).
_NEVER = ("**/.git", "**/*.swp", "**/*.swx", "**/*~", "**/4913", "**/.#*", "**/.DS_Store", "**/.idea", "**/*___jb_*___")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of a service's `develop.watch`."""

    service: str
    path: str
    action: str
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    initial_sync: bool = False
    command: tuple[str, ...] = ()
    hook: Any = None

    def relative(self, path: str) -> str:
        """A file below the trigger's path, as patterns see it."""
        return os.path.relpath(path, self.path)

    def wants(self, path: str) -> bool:
        """Whether a change of a file concerns the trigger."""
        if path != self.path and not path.startswith(self.path.rstrip("/") + "/"):
            return False
        relative = self.relative(path)
        if relative == ".":
            return True
        if Matcher(list(_NEVER + self.ignore)).excluded(relative):
            return False
        return not self.include or Matcher(list(self.include)).excluded(relative)

    def place(self, path: str) -> str:
        """Where a file goes in the container."""
        relative = self.relative(path)
        return self.target if relative == "." else f"{self.target.rstrip('/')}/{relative}"


def triggers(project: Project, *, ignore_files: Mapping[str, str] | None = None) -> list[Trigger]:
    """Every trigger of the project; `ignore_files` maps a build context to its .dockerignore. Raises InvalidArgument."""
    found = []
    for name, service in project.services.items():
        for entry in (service.get("develop") or {}).get("watch") or ():
            action = entry["action"]
            where = f"services.{name}.develop.watch"
            if action not in ACTIONS:
                raise InvalidArgument(f"{where}: unknown action {action}")
            if action.startswith("sync") and not entry.get("target"):
                raise InvalidArgument(f"{where}: {action} needs a target")
            if action == "rebuild" and not service.get("build"):
                raise InvalidArgument(
                    f"{where}: can't watch service {name!r} with action rebuild without a build context"
                )
            hook = entry.get("exec") or {}
            command = tuple(hook.get("command") or ())
            if action == "sync+exec" and not command:
                raise InvalidArgument(f"{where}: sync+exec needs exec.command")
            context = (service.get("build") or {}).get("context") or ""
            ignored = parse_ignore_file((ignore_files or {}).get(context, "")) if context == entry["path"] else ()
            found.append(
                Trigger(
                    name,
                    entry["path"],
                    action,
                    entry.get("target") or "",
                    (*ignored, *(entry.get("ignore") or ())),
                    tuple(entry.get("include") or ()),
                    bool(entry.get("initial_sync")),
                    command,
                    hook,
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch of changes comes to for one service: an image anew, or files and what follows."""

    service: str
    rebuild: bool = False
    restart: bool = False
    #: (file on the host, its place in the container).
    files: tuple[tuple[str, str], ...] = ()
    hooks: tuple[Any, ...] = ()


def plan_work(found: Iterable[Trigger], changed: Iterable[str]) -> list[Work]:
    """The work for changed files; who rebuilds needs nothing else."""
    changed = sorted(changed)
    by_service: dict[str, dict[str, Any]] = {}
    for trigger in found:
        paths = [path for path in changed if trigger.wants(path)]
        if not paths:
            continue
        work = by_service.setdefault(trigger.service, {"rebuild": False, "restart": False, "files": {}, "hooks": []})
        work["rebuild"] |= trigger.action == "rebuild"
        work["restart"] |= trigger.action.endswith("restart")
        if trigger.action.startswith("sync"):
            work["files"] |= {path: trigger.place(path) for path in paths}
        if trigger.action == "sync+exec":
            work["hooks"].append(trigger.hook)
    return [
        Work(service, rebuild=True)
        if work["rebuild"]
        else Work(service, restart=work["restart"], files=tuple(work["files"].items()), hooks=tuple(work["hooks"]))
        for service, work in by_service.items()
    ]
