"""`build` of services: each as options of `docker build`, side by side, those another one takes files from first."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pyctr.build.report import Report as BuildReport
from pyctr.compose.apply.execute import Executor
from pyctr.compose.plan import names, resources
from pyctr.compose.plan.graph import Action, Operation, Plan, order_services
from pyctr.compose.plan.options import as_list, plan_ulimit, text
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

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


def build_needs(project: Project, name: str) -> list[str]:
    """The services whose image a service's build takes files from."""
    contexts = (project.services[name].get("build") or {}).get("additional_contexts") or {}
    return [source.removeprefix(_SERVICE) for source in contexts.values() if str(source).startswith(_SERVICE)]


def build_order(project: Project, services: Iterable[str]) -> list[str]:
    """Services with those whose image they take files from before them."""
    return order_services({name: build_needs(project, name) for name in sorted(set(services))})


def plan_builds(project: Project, services: Iterable[str]) -> Plan:
    """One operation a service; each needs those whose image it takes files from."""
    plan = Plan()
    chosen = build_order(project, services)
    for name in chosen:
        needs = tuple(f"build:{other}" for other in build_needs(project, name) if other in chosen)
        plan.add(Operation(f"build:{name}", Action.BUILD, name, needs, service=name))
    return plan


def build_services(
    engine: Engine,
    project: Project,
    services: Iterable[str],
    report: Report,
    *,
    extra: Mapping[str, Any] | None = None,
    quiet: bool = False,
    parallel: int = 0,
) -> None:
    """Build side by side. The first failure, or Ctrl-C, ends the others and is raised.

    `extra` are options of the command line, over the file's.
    """
    plan = plan_builds(project, services)
    with report.builds(quiet=quiet) as shown:
        builds = Builds(engine, project, extra or {}, shown)
        Executor(builds.perform, Silent(), parallel=parallel, cancel=builds.cancel).run(plan)
    for operation in plan.operations:
        report.event(operation.subject, operation.action.done, state="done")


class Builds:
    """Builds of one project that run side by side."""

    def __init__(self, engine: Engine, project: Project, extra: Mapping[str, Any], shown: BuildReport) -> None:
        self.engine = engine
        self.project = project
        self.extra = extra
        self.shown = shown
        self.lock = threading.Lock()
        self.cancelled = False
        self.cancels: list[Callable[[], None]] = []

    def perform(self, operation: Operation) -> str | None:
        """Build one service; a Dockerfile written in the compose file is a file for as long as it lasts."""
        service = resources.described(self.project, operation.service)
        context, options = build_options(self.project, service)
        for key, value in self.extra.items():
            options[key] = [*options.get(key, ()), *value] if isinstance(value, list) else value
        listener = Named(operation.service, self.shown, self.begun)
        inline = service["build"].get("dockerfile_inline")
        if inline is None:
            self.engine.images.build(context, options, report=listener)
            return None
        with tempfile.TemporaryDirectory(prefix="pyctr-dockerfile-") as directory:
            path = f"{directory}/Dockerfile"
            with open(path, "w", encoding="utf-8") as file:
                file.write(inline)
            self.engine.images.build(context, {**options, "file": path}, report=listener)
        return None

    def begun(self, cancel: Callable[[], None]) -> None:
        """A build has steps to cancel; one that comes too late is cancelled at once."""
        with self.lock:
            self.cancels.append(cancel)
            late = self.cancelled
        if late:
            cancel()

    def cancel(self) -> None:
        """End what runs; for a build that is over this does nothing."""
        with self.lock:
            self.cancelled = True
            cancels = list(self.cancels)
        for cancel in cancels:
            cancel()


class Named(BuildReport):
    """What one service's build tells, with the service's name in it: ``[web 2/3] RUN make``."""

    def __init__(self, service: str, shown: BuildReport, begun: Callable[[Callable[[], None]], None]) -> None:
        self.service = service
        self.shown = shown
        self.begun = begun

    def _key(self, vertex: str) -> str:
        return f"{self.service}:{vertex}"

    def _name(self, name: str) -> str:
        return f"[{self.service} {name[1:]}" if name.startswith("[") else f"[{self.service}] {name}"

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex begins."""
        self.shown.start(self._key(vertex), self._name(name), inputs=tuple(map(self._key, inputs)))

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex was at hand."""
        self.shown.cached(self._key(vertex), self._name(name), inputs=tuple(map(self._key, inputs)))

    def done(self, vertex: str, *, error: str = "") -> None:
        """A vertex has ended."""
        self.shown.done(self._key(vertex), error=error)

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Output of a vertex."""
        self.shown.log(self._key(vertex), stream, data)

    def status(self, vertex: str, item: str, *, current: int = 0, total: int = 0, done: bool = False) -> None:
        """What goes on within a vertex."""
        self.shown.status(self._key(vertex), item, current=current, total=total, done=done)

    def warn(self, text: str) -> None:
        """Advice."""
        self.shown.warn(f"{self.service}: {text}")

    def running(self, cancel: Callable[[], None]) -> None:
        """The steps can be cancelled from now on."""
        self.begun(cancel)


class Silent:
    """Tells nobody: while builds are shown, they are the progress."""

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, and say nothing."""
        del subject, word, state

    def moved(self, subject: str, come_bytes: int, whole_bytes: int) -> None:
        """Take bytes, and say nothing."""
        del subject, come_bytes, whole_bytes

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """Take a pull, and say nothing."""
        del subject, word, state

    def layer(self, subject: str, id: str, status: str) -> None:
        """Take a layer, and say nothing."""
        del subject, id, status

    def builds(self, *, quiet: bool) -> AbstractContextManager[BuildReport]:
        """Builds that nobody sees."""
        del quiet
        return nullcontext(BuildReport())
