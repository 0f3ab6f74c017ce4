"""`up`, `create`, `scale`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.progress import make_report
from pyctr.compose.apply.converge import converge, plan_project
from pyctr.compose.apply.images import ImageChoices, missing_images
from pyctr.compose.plan.up import DIVERGED, FORCE, NEVER, Choices
from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project

#: Options that exclude each other, in docker compose's words.
_EXCLUSIVE = (
    ("abort_on_container_failure", "abort_on_container_exit",
     "--abort-on-container-failure cannot be combined with --abort-on-container-exit"),
    ("build", "no_build", "--build and --no-build are incompatible"),
    ("renew_anon_volumes", "no_recreate", "--no-recreate and --renew-anon-volumes are incompatible"),
    ("force_recreate", "no_recreate", "--force-recreate and --no-recreate are incompatible"),
    ("always_recreate_deps", "no_recreate", "--always-recreate-deps and --no-recreate are incompatible"),
    ("no_build", "watch", "--no-build and --watch are incompatible"),
)  # fmt: skip
_ATTACHED = ("attach_dependencies", "abort_on_container_exit", "abort_on_container_failure", "attach", "watch")


def check_flags(values: dict[str, Any]) -> None:
    """Refuse combinations that mean nothing."""
    for first, second, words in _EXCLUSIVE:
        if values.get(first) and values.get(second):
            raise InvalidArgument(words)
    if values.get("menu"):
        raise InvalidArgument("--menu is not supported: there are no interactive shortcuts")
    if values.get("exit_code_from") and not values.get("abort_on_container_failure"):
        values["abort_on_container_exit"] = True
    clash = any(values.get(name) for name in _ATTACHED)
    if values.get("wait"):
        if clash:
            raise InvalidArgument(
                "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies"
            )
        values["detach"] = True
    if values.get("detach") and clash:
        raise InvalidArgument(
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, "
            "--attach-dependencies or --watch"
        )
    if values.get("pull") not in (None, "always", "missing", "never", "build", "policy"):
        raise InvalidArgument(f'invalid pull policy "{values["pull"]}": must be always, missing, never or build')


def parse_scale(texts: list[str]) -> dict[str, int]:
    """``SERVICE=NUM``."""
    found = {}
    for text in texts:
        name, equals, count = text.partition("=")
        if not name or not equals or not count.isascii() or not count.isdigit():
            raise InvalidArgument(f"invalid scale specifier: {text}")
        found[name] = int(count)
    return found


def choices_of(values: dict[str, Any], services: list[str]) -> Choices:
    """The command line as the planner wants it."""
    recreate = FORCE if values.get("force_recreate") else NEVER if values.get("no_recreate") else DIVERGED
    others = FORCE if values.get("always_recreate_deps") else NEVER if values.get("no_recreate") else DIVERGED
    if values.get("force_recreate") and not services:
        others = FORCE
    return Choices(
        targets=frozenset(services),
        recreate=recreate,
        recreate_dependencies=others,
        scale=parse_scale(values.get("scale", [])),
        start=not values.get("no_start"),
        wait=bool(values.get("wait")),
        remove_orphans=bool(values.get("remove_orphans")),
        renew_anonymous_volumes=bool(values.get("renew_anon_volumes")),
        timeout_s=common.timeout_of(values),
    )


def image_choices(values: dict[str, Any]) -> ImageChoices:
    """The command line's part about images."""
    policy = values.get("pull", "")
    return ImageChoices(
        policy="" if policy in ("policy", "build") else policy,
        build=bool(values.get("build")) or policy == "build",
        no_build=bool(values.get("no_build")),
        quiet_build=bool(values.get("quiet_build")),
        quiet_pull=bool(values.get("quiet_pull")),
    )


def bring_up(
    context: ComposeContext, project: Project, values: dict[str, Any], services: list[str],
    start: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Converge, shown; or show what would be done. `start` starts a container in the engine's place."""
    choices, images = choices_of(values, services), image_choices(values)
    for name in choices.scale:
        if name not in project.services:
            raise NotFound(f"no such service: {name}")
    if common.is_dry(context, values):
        show_plan(context, project, choices, images)
        return
    with make_report(context.settings) as report:
        converge(
            context.engine,
            project,
            choices,
            report,
            warn=common.warn,
            image_choices=images,
            parallel=common.parallel(context),
            wait_timeout_s=float(common.integer(values["wait_timeout"], "--wait-timeout"))
            if "wait_timeout" in values
            else None,
            start=start,
        )


def show_plan(context: ComposeContext, project: Project, choices: Choices, images: ImageChoices) -> None:
    """``--dry-run``."""
    prefix = " DRY-RUN MODE - "
    lines = []
    for need in missing_images(context.engine, project, images):
        doing, done = ("Pulling", "Pulled") if need.how == "pull" else ("Building", "Built")
        lines.append(f"{prefix} {need.service}  {doing}\n{prefix} {need.service}  {done}\n")
    plan = plan_project(context.engine, project, choices)
    for warning in plan.warnings:
        common.warn(warning)
    sys.stderr.write("".join(lines) + plan.render(prefix=prefix))


def up(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Create and start containers; attached to them unless ``-d``."""
    check_flags(values)
    project = common.selected(context, arguments, dependencies=not values.get("no_deps"))
    if not project.services:
        raise InvalidArgument("no service selected")
    if values.get("detach") or values.get("no_start") or common.is_dry(context, values):
        bring_up(context, project, values, arguments)
        return 0
    if values.get("watch"):
        from pyctr.cli.commands.compose.watch import watch_project

        bring_up(context, project, values, arguments)
        return watch_project(context, project, values)
    from pyctr.cli.commands.compose.attached import run_attached

    return run_attached(
        context, project, values, arguments, lambda start: bring_up(context, project, values, arguments, start)
    )


def create(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Create containers, start none."""
    check_flags(values)
    values["no_start"] = True
    bring_up(context, common.selected(context, arguments), values, arguments)
    return 0


def scale(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Change how many containers services have."""
    wanted = parse_scale(arguments)
    project = common.selected(context, sorted(wanted), dependencies=not values.get("no_deps"))
    bring_up(context, project, {**values, "scale": arguments}, sorted(wanted))
    return 0
