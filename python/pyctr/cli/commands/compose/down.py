"""`down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.progress import make_report
from pyctr.compose.apply import files
from pyctr.compose.apply.converge import run
from pyctr.compose.apply.lock import project_lock
from pyctr.compose.plan.down import plan_down
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project


def down(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Stop and remove containers and networks."""
    project = context.present()
    common.check_services(project, arguments)
    if values.get("rmi") not in (None, "local", "all"):
        raise InvalidArgument(f"invalid value for --rmi: {values['rmi']!r}".replace("'", '"'))
    if not project.files and not project.services:
        common.warn(f'No resource found to remove for project "{project.name}".')
    take_down(context, project, values, arguments)
    return 0


def take_down(context: ComposeContext, project: Project, values: dict[str, Any], services: list[str]) -> None:
    """The project, or some services of it."""
    dry = common.is_dry(context, values)
    with (
        make_report(context.settings, dry_run=dry) as report,
        project_lock(context.engine, project.name, lambda: common.warn("another command is changing this project")),
    ):
        plan = plan_down(
            project,
            common.observed(context, project),
            services=services,
            remove_orphans=bool(values.get("remove_orphans")),
            volumes=bool(values.get("volumes")),
            images=values.get("rmi") or "",
            timeout_s=common.timeout_of(values),
        )
        for warning in plan.warnings:
            common.warn(warning)
        if dry:
            report.out.write(plan.render(prefix=report.prefix))
            return
        run(context.engine, project, plan, report, warn=common.warn, parallel=common.parallel(context))
        files.sweep(context.engine, project.name)
