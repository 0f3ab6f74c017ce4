"""`post_start` and `pre_stop`: commands run in a container after it has started, before it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.errors import NotFound, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project
    from pyctr.engine import Engine


def run_post_start(engine: Engine, project: Project, service: str, container_id: str) -> None:
    """Every hook must succeed."""
    for hook in (project.services.get(service) or {}).get("post_start") or ():
        code = run_hook(engine, container_id, hook)
        if code:
            raise StateError(f"service {service}: post_start hook {' '.join(hook['command'])}: exit code {code}")


def run_pre_stop(engine: Engine, project: Project, service: str, container_id: str) -> None:
    """A container that does not run any more cannot be asked; a hook that fails does not keep it alive."""
    for hook in (project.services.get(service) or {}).get("pre_stop") or ():
        try:
            run_hook(engine, container_id, hook)
        except (NotFound, StateError):
            return


def run_hook(engine: Engine, container_id: str, hook: Mapping[str, Any]) -> int:
    """One command; its exit code."""
    from pyctr.engine.containers.session import Attach

    options: dict[str, Any] = {}
    if hook.get("user"):
        options["user"] = str(hook["user"])
    if hook.get("privileged"):
        options["privileged"] = True
    if hook.get("working_dir"):
        options["workdir"] = hook["working_dir"]
    environment = hook.get("environment") or {}
    if environment:
        options["env"] = [f"{name}={value}" for name, value in environment.items() if value is not None]
    quiet = Attach(stdin=None, stdout=None, stderr=None, sig_proxy=False)
    code = engine.containers.exec(container_id, list(hook["command"]), options, quiet)
    return code if isinstance(code, int) else 0
