"""Images a build stands on: found in the store, or pulled."""

from __future__ import annotations

from pyctr.errors import NotFound
from pyctr.image.manifest import host_platform, parse_platform
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.report import Report
    from pyctr.engine import Engine
    from pyctr.image.store import Image

BUILTIN_IMAGES = frozenset(("hello", "hello:latest"))


def resolve_image(
    engine: Engine, reference: str, platform: str, *, pull: bool, report: Report
) -> tuple[str, dict[str, Any]]:
    """The id and the whole config of the image a name means on a platform; pulled if it is not here, or `pull`."""
    image = find_image(engine, reference, platform, pull=pull, report=report)
    return image.id, image.config


def find_image(engine: Engine, reference: str, platform: str, *, pull: bool, report: Report) -> Image:
    """As `resolve_image`. Raises NotFound, RegistryError."""
    store = engine.image_store
    found: Image | None = store.find(reference)
    if found is None and reference in BUILTIN_IMAGES:
        engine.images.load_builtin(reference)
        found = store.find(reference)
    if found is not None and not pull and fits(found.config, platform):
        return found
    name = parse_reference(reference)
    vertex = f"metadata:{name}:{platform}"
    report.start(vertex, f"[internal] load metadata for {name}")
    try:
        _pull(engine, reference, platform, report, vertex)
        found = store.resolve(reference)
        if not fits(found.config, platform):
            raise NotFound(f"{reference}: no image for platform {platform}")
    except BaseException as error:
        report.done(vertex, error=str(error) or "canceled")
        raise
    report.done(vertex)
    return found


def _pull(engine: Engine, reference: str, platform: str, report: Report, vertex: str) -> None:
    def tell(status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        if id:
            report.status(vertex, f"{status} {id}", current=current, total=total, done=status == "Pull complete")

    engine.images.pull(reference, platform=platform, report=tell)


def fits(config: dict[str, Any], platform: str) -> bool:
    """Whether an image is for a platform; a variant counts only where both say one."""
    wanted = parse_platform(platform) if platform else host_platform()
    mine = (config.get("os") or "linux", config.get("architecture") or "", config.get("variant") or "")
    return mine[:2] == wanted[:2] and (not mine[2] or not wanted[2] or mine[2] == wanted[2])
