"""`build`, `pull`, `push`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.progress import make_report
from pyctr.compose.apply import build as building
from pyctr.compose.apply.images import Need, arrived, pull_all
from pyctr.compose.plan import names, resources
from pyctr.errors import InvalidArgument, PyctrError

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project

#: Options of `compose build` → of `docker build`.
_BUILD_LISTS = ("build_arg",)
_BUILD_VALUES = ("no_cache", "pull", "memory", "provenance", "sbom")
_REFUSED = {"builder": "there is one builder", "check": "there are no build checks", "print": "there is no bake"}


def build(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Build the images of services that have a build section."""
    for name, why in _REFUSED.items():
        if values.get(name):
            raise InvalidArgument(f"--{name} is not supported: {why}")
    project = common.selected(context, arguments, dependencies=bool(values.get("with_dependencies")))
    services = [name for name, service in project.services.items() if service.get("build")]
    if not services:
        sys.stderr.write("No services to build\n")
        return 0
    extra = {key: values[key] for key in (*_BUILD_LISTS, *_BUILD_VALUES) if values.get(key)}
    if values.get("ssh"):
        extra["ssh"] = [values["ssh"]]
    dry = common.is_dry(context, values)
    with make_report(context.settings, dry_run=dry, quiet=bool(values.get("quiet"))) as report:
        if dry:
            for name in building.build_order(project, services):
                report.event(name, "Building", state="working")
                report.event(name, "Built", state="done")
            return 0
        building.build_services(
            context.engine, project, services, report, extra=extra, quiet=bool(values.get("quiet")),
            parallel=common.parallel(context),
        )  # fmt: skip
    if values.get("push"):
        push_images(context, project, services, values)
    return 0


def pull(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Pull the images of services."""
    project = common.selected(context, arguments, dependencies=bool(values.get("include_deps")))
    policy = values.get("policy", "always")
    if policy not in ("always", "missing"):
        raise InvalidArgument(f'invalid --policy "{policy}": must be missing or always')
    ignored = bool(values.get("ignore_pull_failures"))
    dry = common.is_dry(context, values)
    with make_report(context.settings, dry_run=dry, quiet=bool(values.get("quiet"))) as report:
        needs: dict[str, Need] = {}
        for name in sorted(project.services):
            service = resources.described(project, name)
            image = names.image_name(project, service)
            if service.get("build") and (values.get("ignore_buildable") or not service.get("image")):
                report.pull(name, "Skipped - No image to be pulled", state="done")
            elif service.get("pull_policy") in ("never", "build"):
                report.pull(name, f"Skipped - Pull policy is {service['pull_policy']}", state="done")
            elif policy == "missing" and arrived(context.engine, image) is not None:
                report.pull(name, "Skipped - Image is already present locally", state="done")
            elif image in needs:
                report.pull(name, f"Skipped - Image is already being pulled by {needs[image].service}", state="done")
            else:
                needs[image] = Need(image, name, "pull")
        if dry:
            for need in needs.values():
                report.pull(need.service, "Pulling", state="working")
                report.pull(need.service, "Pulled", state="done")
            return 0
        pull_all(context.engine, project, needs.values(), report, ignore_failures=ignored)
    return 0


def push(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Push the images of services that are built here."""
    project = common.selected(context, arguments, dependencies=bool(values.get("include_deps")))
    push_images(context, project, list(project.services), values)
    return 0


def push_images(context: ComposeContext, project: Project, services: list[str], values: dict[str, Any]) -> None:
    """One after the other; what is not built here is nobody's to push."""
    dry = common.is_dry(context, values)
    with make_report(context.settings, dry_run=dry, quiet=bool(values.get("quiet"))) as report:
        for name in sorted(services):
            service = project.services[name]
            if not service.get("build") or not service.get("image"):
                report.event(name, "Skipped", state="done")
                continue
            for image in [service["image"], *((service.get("build") or {}).get("tags") or ())]:
                report.event(image, "Pushing", state="working")
                try:
                    if not dry:
                        context.engine.images.push(image)
                except PyctrError as error:
                    if not values.get("ignore_push_failures"):
                        raise
                    report.event(image, f"Warning {error}", state="warning")
                else:
                    report.event(image, "Pushed", state="done")
