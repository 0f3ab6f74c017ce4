"""The images of a project: built or pulled as `pull_policy` and the command line say, each once, side by side."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr.compose.plan import names, resources
from pyctr.errors import InvalidArgument, NotFound, PyctrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyctr.compose import Project
    from pyctr.compose.apply.execute import Report
    from pyctr.engine import Engine

POLICIES = ("always", "missing", "if_not_present", "never", "build", "daily", "weekly", "refresh")
_HOUR_S = 3600
_AGES_S = {"daily": 24 * _HOUR_S, "weekly": 7 * 24 * _HOUR_S}
_UNITS_S = {"w": 7 * 24 * _HOUR_S, "d": 24 * _HOUR_S, "h": _HOUR_S, "m": 60, "s": 1}


class Need(NamedTuple):
    """What one image needs: `how` is build, pull, or try (pull, and build where that fails)."""

    image: str
    service: str
    how: str


class ImageChoices(NamedTuple):
    """What the command line says of images."""

    policy: str = ""
    build: bool = False
    no_build: bool = False
    quiet_build: bool = False
    quiet_pull: bool = False


def plan_images(
    project: Project, present: Callable[[str], float | None], choices: ImageChoices, *, now_s: float = 0.0
) -> list[Need]:
    """Which images to build or pull; `present` gives the moment an image came here (0 if not known), None without it.

    Raises NotFound for one that is missing and may be neither pulled nor built.
    """
    needs: dict[str, Need] = {}
    for name in sorted(project.services):
        service = resources.described(project, name)
        image = names.image_name(project, service)
        how = decide(service, present(image), choices, now_s=now_s)
        if how == "missing":
            raise NotFound(f"No such image: {image}")
        if how and (image not in needs or how == "build"):
            needs[image] = Need(image, name, how)
    return list(needs.values())


def decide(service: Mapping[str, Any], since_s: float | None, choices: ImageChoices, *, now_s: float) -> str:
    """``build``, ``pull``, ``try``, ``missing``, or nothing where the image will do."""
    policy = choices.policy if choices.policy not in ("", "policy") else str(service.get("pull_policy") or "")
    buildable = bool(service.get("build")) and not choices.no_build
    if buildable and (choices.build or policy == "build"):
        return "build"
    if policy == "always" and not (service.get("build") and not service.get("image")):
        return "pull"
    if since_s is not None:
        return "pull" if is_old(policy, since_s, now_s) else ""
    if policy == "never":
        return "build" if buildable else "missing"
    if buildable:
        return "build"
    return "missing" if service.get("build") and not service.get("image") else "pull"


def is_old(policy: str, since_s: float, now_s: float) -> bool:
    """Whether ``daily``, ``weekly`` or ``every_12h`` asks for a new pull."""
    age_s = _AGES_S.get(policy)
    if policy.startswith("every_"):
        age_s = 0
        rest = ""
        for character in policy.removeprefix("every_"):
            if character.isdigit():
                rest += character
            elif rest and character in _UNITS_S:
                age_s += int(rest) * _UNITS_S[character]
                rest = ""
            else:
                raise InvalidArgument(f"invalid pull_policy {policy}")
        if rest or not age_s:
            raise InvalidArgument(f"invalid pull_policy {policy}")
    elif policy not in ("", *POLICIES):
        raise InvalidArgument(f"invalid pull_policy {policy}")
    return age_s is not None and now_s - since_s > age_s


def missing_images(engine: Engine, project: Project, choices: ImageChoices) -> list[Need]:
    """What is to be built or pulled now."""
    return plan_images(project, lambda image: arrived(engine, image), choices, now_s=time.time())


def ensure_images(
    engine: Engine, project: Project, report: Report, choices: ImageChoices, *, parallel: int = 0
) -> None:
    """Build and pull what is needed."""
    needs = missing_images(engine, project, choices)
    pull_all(engine, project, [need for need in needs if need.how == "pull"], report, quiet=choices.quiet_pull)
    builds = [need.service for need in needs if need.how == "build"]
    if builds:
        from pyctr.compose.apply.build import build_services

        build_services(engine, project, builds, report, quiet=choices.quiet_build, parallel=parallel)


def arrived(engine: Engine, image: str) -> float | None:
    """When an image came into the store, in seconds since 1970; None where it is not there."""
    import os

    from pyctr.engine.containers.create import BUILTIN_IMAGES
    from pyctr.image.reference import parse_reference

    try:
        found = engine.image_store.resolve(image)
    except NotFound:
        if image in BUILTIN_IMAGES:
            engine.images.load_builtin(image)
            return 0.0
        return None
    del found
    from urllib.parse import quote

    try:
        return os.stat(f"{engine.root}/refs/{quote(str(parse_reference(image)), safe='')}").st_mtime
    except (OSError, PyctrError):
        return 0.0


def pull_all(
    engine: Engine, project: Project, needs: Iterable[Need], report: Report, *, ignore_failures: bool = False,
    quiet: bool = False,
) -> None:  # fmt: skip
    """Pull side by side; raises the first failure when all have ended. `quiet`: not how far each is."""
    errors: list[BaseException] = []
    needs = list(needs)
    over: set[str] = set()

    def pull(need: Need) -> None:
        subject = need.service
        report.pull(subject, "Pulling", state="working")
        try:
            platform = str(project.services[need.service].get("platform") or "")
            engine.images.pull(need.image, platform=platform, report=None if quiet else Transfer(subject, report))
        except PyctrError as error:
            report.pull(subject, f"{'Warning' if ignore_failures else 'Error'} {error}", state="error")
            errors.append(error)
        except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            errors.append(error)
        else:
            report.pull(subject, "Pulled", state="done")
        over.add(subject)

    threads = [threading.Thread(target=pull, args=(need,), daemon=True) for need in needs]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a join without timeout would not hear Ctrl-C
    except KeyboardInterrupt:
        for need in needs:
            if need.service not in over:
                report.event(need.service, "Interrupted", state="error")
        raise
    if errors and not ignore_failures:
        raise errors[0]


class Transfer:
    """A pull of several layers as one number, bytes that came of bytes in all; and each layer's stages."""

    def __init__(self, subject: str, report: Report) -> None:
        self.subject = subject
        self.report = report
        self.lock = threading.Lock()
        self.layers: dict[str, tuple[int, int]] = {}
        self.stages: dict[str, str] = {}

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """Take an event of one layer, from any thread."""
        if not id or status.startswith("Pulling from"):
            return
        with self.lock:
            if self.stages.get(id) != status:
                self.stages[id] = status
                self.report.layer(self.subject, id, status)
            if status != "Downloading" or not total:
                return
            self.layers[id] = (current, total)
            come, whole = (sum(each) for each in zip(*self.layers.values(), strict=True))
        self.report.moved(self.subject, come, whole)
