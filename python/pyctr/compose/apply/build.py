"""`build` of services: each as options of `docker build`, those another one is made from first."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import names, resources
from pyctr.compose.plan.graph import order_services
from pyctr.compose.plan.options import as_list, plan_ulimit, text
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyctr.compose import Project
    from pyctr.compose.apply.execute import Report
    from pyctr.engine import Engine

_LISTS = {"cache_from": "cache_from", "cache_to": "cache_to", "entitlements": "allow", "platforms": "platform"}
_TEXTS = {"target": "target", "network": "network", "shm_size": "shm_size", "provenance": "provenance", "sbom": "sbom"}
_FLAGS = {"no_cache": "no_cache", "pull": "pull"}
_SERVICE = "service:"


def build_options(project: Project, service: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A service's build context and its options of `docker build`, but for ``dockerfile_inline``."""
    build = service["build"]
    where = f"services.{service['name']}.build"
    for key in ("privileged", "isolation"):
        if build.get(key) and build[key] != "default":
            raise InvalidArgument(f"{where}.{key}: not supported")
    context = build.get("context") or "."
    options: dict[str, Any] = {"tag": [names.image_name(project, service), *(build.get("tags") or ())]}
    if build.get("dockerfile"):
        file = build["dockerfile"]
        local = "://" not in context and not context.startswith("git@")
        options["file"] = os.path.join(context, file) if local and not os.path.isabs(file) else file
    for key, option in _LISTS.items():
        if build.get(key):
            options[option] = [str(value) for value in as_list(build[key])]
    if service.get("platform") and "platform" not in options:
        options["platform"] = [service["platform"]]
    for key, option in _TEXTS.items():
        if build.get(key) not in (None, ""):
            options[option] = text(build[key])
    for key, option in _FLAGS.items():
        if build.get(key):
            options[option] = True
    plan_pairs(options, build)
    plan_inputs(options, project, build, where)
    return context, options


def plan_pairs(options: dict[str, Any], build: Mapping[str, Any]) -> None:
    """Arguments, labels, hosts, limits."""
    arguments = build.get("args") or {}
    pairs = {"build_arg": arguments, "label": build.get("labels") or {}}
    for option, values in pairs.items():
        if values:
            options[option] = [f"{name}={text(value)}" for name, value in values.items() if value is not None]
    if build.get("extra_hosts"):
        hosts = build["extra_hosts"]
        options["add_host"] = [f"{k}:{v}" for k, v in hosts.items()] if isinstance(hosts, dict) else list(hosts)
    if build.get("ulimits"):
        options["ulimit"] = [plan_ulimit(name, limit) for name, limit in build["ulimits"].items()]


def plan_inputs(options: dict[str, Any], project: Project, build: Mapping[str, Any], where: str) -> None:
    """Named contexts, secrets and agents."""
    contexts = build.get("additional_contexts") or {}
    if contexts:
        options["build_context"] = []
        for name, source in contexts.items():
            if source.startswith(_SERVICE):
                other = resources.described(project, source.removeprefix(_SERVICE))
                source = f"docker-image://{names.image_name(project, other)}"  # noqa: PLW2901 (what it stands for)
            options["build_context"].append(f"{name}={source}")
    for reference in build.get("secrets") or ():
        entry = (project.model.get("secrets") or {}).get(reference["source"])
        if entry is None:
            raise InvalidArgument(f"{where}.secrets: undefined secret {reference['source']}")
        identity = os.path.basename(reference.get("target") or reference["source"])
        source = f"env={entry['environment']}" if entry.get("environment") else f"src={entry.get('file', '')}"
        options.setdefault("secret", []).append(f"id={identity},{source}")
    agents = build.get("ssh") or ()
    if agents:
        given = agents.items() if isinstance(agents, dict) else [str(each).partition("=")[::2] for each in agents]
        options["ssh"] = [f"{name}={path}" if path else name for name, path in given]


def build_order(project: Project, services: Iterable[str]) -> list[str]:
    """Services with those whose image they take files from before them."""
    chosen = set(services)
    needs = {}
    for name in sorted(chosen):
        contexts = (project.services[name].get("build") or {}).get("additional_contexts") or {}
        needs[name] = [
            source.removeprefix(_SERVICE) for source in contexts.values() if str(source).startswith(_SERVICE)
        ]
    return order_services(needs)


def build_services(
    engine: Engine,
    project: Project,
    services: Iterable[str],
    report: Report,
    *,
    extra: Mapping[str, Any] | None = None,
    make_report: Any = None,
    quiet: bool = False,
) -> list[str]:
    """Build one after the other; the images' ids. `extra` are options of the command line, over the file's."""
    found = []
    for name in build_order(project, services):
        service = resources.described(project, name)
        context, options = build_options(project, service)
        for key, value in (extra or {}).items():
            options[key] = [*options.get(key, ()), *value] if isinstance(value, list) else value
        if quiet:
            options["quiet"] = True
        report.event(name, "Building", state="working")
        found.append(build_one(engine, context, options, service["build"].get("dockerfile_inline"), make_report))
        report.event(name, "Built", state="done")
    return found


def build_one(engine: Engine, context: str, options: dict[str, Any], inline: str | None, make_report: Any) -> str:
    """One build; a Dockerfile written in the compose file is a file for as long as it lasts."""
    shown = make_report() if make_report is not None else None
    if inline is None:
        return str(engine.images.build(context, options, report=shown))
    with tempfile.NamedTemporaryFile("w", prefix="pyctr-dockerfile-", encoding="utf-8") as file:
        file.write(inline)
        file.flush()
        return str(engine.images.build(context, {**options, "file": file.name}, report=shown))
