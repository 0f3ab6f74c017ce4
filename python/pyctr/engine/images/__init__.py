"""Use cases of images: list, inspect, load, save, import, tag, remove, history, prune, check. Nothing here prints.

Modules of one use case are imported when it is asked for.
"""

from __future__ import annotations

from pyctr.errors import InvalidArgument, NotFound
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.images.check import Finding
    from pyctr.engine.images.listing import ImageSummary
    from pyctr.image.store import Image, Store

    Strings = list[str]
    Filters = dict[str, list[str]]
    Steps = list[dict[str, Any]]
    Findings = list[Finding]


class Images:
    """The images of an engine. A reference is a name, an id, a unique prefix of one, or a name with a digest."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store: Store = engine.image_store

    def list(self, *, reference: str | None = None, filters: Filters | None = None) -> list[ImageSummary]:
        """Names of images, newest first. `filters`: reference, dangling, label, before, since, until."""
        from pyctr.engine.images.listing import list_images

        filters = dict(filters or {})
        if reference:
            filters["reference"] = [*filters.get("reference", []), reference]
        return list_images(self.store, filters)

    def inspect(self, reference: str, *, platform: str | None = None) -> dict[str, Any]:
        """An image as `docker image inspect` shows it."""
        from pyctr.engine.images.inspect import inspect_image

        return inspect_image(self.store, reference, platform=platform)

    def history(self, reference: str, *, platform: str | None = None) -> Steps:
        """The steps an image was made by, newest first: created, created_by, size, comment, id, tags."""
        from pyctr.engine.images.inspect import image_history

        return image_history(self.store, reference, platform=platform)

    def tag(self, source: str, target: str) -> None:
        """Give an image a further name."""
        reference = parse_reference(target)
        if reference.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        image = self.store.resolve(source)
        self.store.tag(image.id, image.manifest_digest, str(reference))
        self._tell("tag", image, reference.familiar)

    def load(self, source: int, *, platform: str | None = None) -> Strings:
        """Load every image of an archive read from a descriptor; what Docker prints of each."""
        from pyctr.engine.images.transfer import load_archive

        lines = []
        for image in load_archive(self.store, source, platform=platform, sync=not self.engine.settles_afterwards):
            self._tell("load", image)
            lines += [f"Loaded image: {parse_reference(name).familiar}" for name in image.names]
            if not image.names:
                lines.append(f"Loaded image ID: {image.id}")
        return lines

    def save(self, references: Strings, sink: int, *, platform: str | None = None) -> None:
        """Write images to a descriptor as one archive; a repository without a tag means all its tags."""
        from pyctr.engine.images.transfer import save_images

        for image in save_images(self.store, references, sink, platform=platform):
            self._tell("save", image)

    def import_archive(
        self,
        source: int,
        name: str | None = None,
        *,
        origin: str = "-",
        changes: Strings | None = None,
        message: str = "",
        platform: str | None = None,
    ) -> str:
        """Make an image of one layer, a tar read from a descriptor; its id."""
        from pyctr.engine.images.transfer import import_archive

        image = import_archive(
            self.store, source, name, origin=origin, changes=changes, message=message, platform=platform,
            sync=not self.engine.settles_afterwards,
        )  # fmt: skip
        for given in image.names:
            self._tell("tag", image, parse_reference(given).familiar)
        self._tell("import", image)
        return image.id

    def load_builtin(self, name: str) -> None:
        """Put the image that the package carries into the store."""
        from pyctr.hello import load

        if str(parse_reference(name)) != "docker.io/library/hello:latest":
            raise NotFound(f"No such image: {name}")
        self._tell("load", load(self.store))

    def bootstrap(self, what: str, *, include: Strings, name: str | None = None) -> str:
        """Make a base image from the distribution's packages; its name."""
        from pyctr.image.bootstrap import bootstrap

        image = bootstrap(self.store, what, include=include, name=name)
        self._tell("import", image)
        return parse_reference(image.names[0]).familiar

    def remove(self, reference: str, *, force: bool = False, platforms: Strings | None = None) -> Strings:
        """Untag, or delete when no name is left; the lines Docker prints."""
        from pyctr.engine.images.inspect import check_platform
        from pyctr.engine.images.remove import remove_image

        for platform in platforms or []:
            check_platform(self.store.resolve(reference), reference, platform)
        return remove_image(self.engine, reference, force=force)

    def prune(self, *, all: bool = False, filters: Filters | None = None) -> tuple[Strings, int]:
        """Remove images without a name (`all`: without a container); Docker's lines, and the bytes that came free."""
        from pyctr.engine.images.remove import prune_images

        return prune_images(self.engine, all=all, filters=filters)

    def check(self, *, mend: bool = False) -> Findings:
        """Verify every digest and reference; with `mend` put right what can be (pyctr.engine.images.check)."""
        from pyctr.engine.images.check import check_images

        return check_images(self.engine, mend=mend)

    def pull(self, reference: str, *, platform: str = "", all_tags: bool = False, report: Any = None) -> Any:
        """Pull an image (`pyctr.engine.transfer.pull`); what was pulled, one entry a tag."""
        from pyctr.engine.transfer import silent
        from pyctr.engine.transfer.pull import pull

        return pull(
            self.engine, reference, platform=platform, all_tags=all_tags, report=silent if report is None else report
        )

    def push(self, reference: str, *, all_tags: bool = False, report: Any = None) -> Any:
        """Push an image (`pyctr.engine.transfer.push`); what was pushed, one entry a tag."""
        from pyctr.engine.transfer import silent
        from pyctr.engine.transfer.push import push

        return push(self.engine, reference, all_tags=all_tags, report=silent if report is None else report)

    def build(self, context: str, options: dict[str, Any], report: Any = None) -> str:
        """Build a context (directory, git, URL or "-") with `docker build`'s options; the image's id, "" if none is kept.

        Several platforms: the id of the first one. `report` is a `pyctr.build.report.Report`.
        """
        from pyctr.build.report import Report
        from pyctr.engine.build.use import build

        built = build(self.engine, context, options, Report() if report is None else report)
        return built.images[0].id if built.images else ""

    def _tell(self, action: str, image: Image, name: str = "") -> None:
        """The journal hears of what was done."""
        from pyctr.engine.images.events import write_image_event

        write_image_event(self.engine, action, image, name)

    def exists(self, reference: str) -> bool:
        """Whether an image of this name is in the store."""
        try:
            return self.store.find(reference) is not None
        except NotFound:
            return False
