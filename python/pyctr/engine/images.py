"""Use cases of images: list, inspect, load, tag, remove, history, prune, bootstrap. Nothing here prints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyctr._core import json_loads
from pyctr.errors import Conflict, InvalidArgument, NotFound
from pyctr.image import write
from pyctr.image.reference import parse_reference

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.image.store import Image, Store

    Strings = list[str]
    Steps = list[dict[str, Any]]

_SHORT = 12


class ImageSummary:
    """One row of `pyctr images`: one name, or a nameless image."""

    __slots__ = ("created", "digest", "id", "labels", "repository", "size", "tag")

    def __init__(self, image: Image, name: str) -> None:
        reference = parse_reference(name) if name else None
        self.id = image.id
        self.repository = reference.familiar_name if reference else "<none>"
        self.tag = (reference.tag if reference else None) or "<none>"
        self.digest = image.digests.get(name, image.manifest_digest) if reference else "<none>"
        self.created = str(image.config.get("created") or "")
        self.size = image.size
        self.labels: dict[str, str] = (image.config.get("config") or {}).get("Labels") or {}


class Images:
    """The images of an engine. A reference is a name, an id, a unique prefix of one, or a name with a digest."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store: Store = engine.image_store

    def list(self, *, reference: str | None = None, filters: dict[str, Strings] | None = None) -> list[ImageSummary]:
        """Names of images, newest first."""
        filters = dict(filters or {})
        if reference:
            filters.setdefault("reference", []).append(reference)
        unknown = filters.keys() - {"reference", "dangling", "label", "before", "since"}
        if unknown:
            raise InvalidArgument(f"invalid filter '{min(unknown)}'")
        rows = [ImageSummary(image, name) for image in self.store.images() for name in image.names or [""]]
        rows = [row for row in rows if self._matches(row, filters)]
        rows.sort(key=lambda row: (row.repository, row.tag))
        rows.sort(key=lambda row: row.created, reverse=True)
        return rows

    def _matches(self, row: ImageSummary, filters: dict[str, Strings]) -> bool:
        patterns = filters.get("reference")
        if patterns and not any(_name_matches(row, pattern) for pattern in patterns):
            return False
        for value in filters.get("dangling", []):
            if value.lower() not in ("true", "false", "1", "0"):
                raise InvalidArgument(f"invalid filter 'dangling={value}'")
            if (row.repository == "<none>") != (value.lower() in ("true", "1")):
                return False
        for label in filters.get("label", []):
            key, equals, value = label.partition("=")
            if key not in row.labels or (equals and row.labels[key] != value):
                return False
        for value in filters.get("before", []):
            if not row.created < str(self.store.resolve(value).config.get("created") or ""):
                return False
        return all(
            row.created > str(self.store.resolve(value).config.get("created") or "")
            for value in filters.get("since", [])
        )

    def inspect(self, reference: str) -> dict[str, Any]:
        """An image as `docker image inspect` shows it."""
        image = self._whole(reference)
        config = image.config
        paths = image.layer_paths()
        data = {"LowerDir": ":".join(paths[1:]), "UpperDir": paths[0]} if paths else {}
        return {
            "Id": image.id,
            "RepoTags": [parse_reference(name).familiar for name in image.names if parse_reference(name).tag],
            "RepoDigests": sorted(
                {
                    f"{parse_reference(name).familiar_name}@{image.digests.get(name, image.manifest_digest)}"
                    for name in image.names
                }
            ),
            "Parent": "",
            "Comment": config.get("comment", ""),
            "Created": config.get("created"),
            "DockerVersion": "",
            "Author": config.get("author", ""),
            "Config": config.get("config") or {},
            "Architecture": config.get("architecture"),
            **({"Variant": config["variant"]} if config.get("variant") else {}),
            "Os": config.get("os"),
            "Size": image.size,
            "GraphDriver": {"Data": {key: value for key, value in data.items() if value}, "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": image.layers},
            "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        }

    def _whole(self, reference: str) -> Image:
        """An image with all its names, however it was named."""
        found = self.store.resolve(reference)
        return next((image for image in self.store.images() if image.id == found.id), found)

    def history(self, reference: str) -> Steps:
        """The steps an image was made by, newest first: created, created_by, size, comment, id."""
        image = self.store.resolve(reference)
        layers = iter(image.layers)
        steps: list[dict[str, Any]] = []
        for step in image.config.get("history") or [{} for _ in image.layers]:
            size = 0 if step.get("empty_layer") else self.store.layer_size(next(layers, "sha256:"))
            steps.append(
                {
                    "id": "<missing>",
                    "created": step.get("created", ""),
                    "created_by": step.get("created_by", ""),
                    "size": size,
                    "comment": step.get("comment", ""),
                }
            )
        steps.reverse()
        if steps:
            steps[0]["id"] = image.id
        return steps

    def tag(self, source: str, target: str) -> None:
        """Give an image a further name."""
        reference = parse_reference(target)
        if reference.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        image = self.store.resolve(source)
        self.store.tag(image.id, image.manifest_digest, str(reference))

    def load(self, source: int) -> Strings:
        """Load every image of an archive read from a descriptor; what Docker prints of each."""
        from pyctr.image.archive import load
        from pyctr.image.compression import opened

        self.store.prepare()
        with opened(source) as fd:
            images = load(self.store, fd)
        lines = []
        for image in images:
            lines += [f"Loaded image: {parse_reference(name).familiar}" for name in image.names]
            if not image.names:
                lines.append(f"Loaded image ID: {image.id}")
        return lines

    def load_builtin(self, name: str) -> None:
        """Put the image that the package carries into the store."""
        from pyctr.hello import load

        if str(parse_reference(name)) != "docker.io/library/hello:latest":
            raise NotFound(f"No such image: {name}")
        load(self.store)

    def bootstrap(self, what: str, *, include: Strings, name: str | None = None) -> str:
        """Make a base image from the distribution's packages; its name."""
        from pyctr.image.bootstrap import bootstrap

        image = bootstrap(self.store, what, include=include, name=name)
        return parse_reference(image.names[0]).familiar

    def remove(self, reference: str, *, force: bool = False) -> Strings:
        """Untag, or delete when no name is left; the lines Docker prints."""
        with write.alone(self.store):
            image = self._whole(reference)
            by_id = not self._is_name(reference, image)
            if by_id and len(image.names) > 1 and not force:
                raise Conflict(
                    f"conflict: unable to delete {image.id[7:19]} (must be forced) - "
                    "image is referenced in multiple repositories"
                )
            names = image.names if by_id else [str(parse_reference(reference))]
            last = set(names) >= set(image.names)
            if last:
                self._refuse_used(image, reference, force=force)
            lines = [f"Untagged: {parse_reference(name).familiar}" for name in names]
            layers = image.layers  # read while the config is still there
            for name in names:
                write.untag(self.store, name)
            if not last:
                return lines
            write.forget(self.store, image.id)
            removed = write.collect(self.store, also_layers_of=self._layers_in_use())
            lines.append(f"Deleted: {image.id}")
            return lines + [f"Deleted: {layer}" for layer in reversed(layers) if layer in removed]

    @staticmethod
    def _is_name(reference: str, image: Image) -> bool:
        try:
            parsed = parse_reference(reference)
        except InvalidArgument:
            return False
        return str(parsed) in image.names

    def _refuse_used(self, image: Image, reference: str, *, force: bool) -> None:
        for record in self._records():
            if record.get("Image") != image.id:
                continue
            short = record["Id"][:_SHORT]
            running = self.engine.containers.inspect(record["Id"])["State"]["Running"]
            if running:
                raise Conflict(
                    f"conflict: unable to delete {image.id[7:19]} (cannot be forced) - "
                    f"image is being used by running container {short}"
                )
            if not force:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{reference}" (must force) - '
                    f"container {short} is using its referenced image {image.id[7:19]}"
                )

    def _records(self) -> Steps:
        records = []
        base = f"{self.engine.root}/containers"
        try:
            names = os.listdir(base)
        except FileNotFoundError:
            return []
        for name in names:
            try:
                with open(f"{base}/{name}/config.json", "rb") as file:
                    records.append(json_loads(file.read()))
            except (FileNotFoundError, NotADirectoryError):
                continue
        return records

    def _layers_in_use(self) -> set[str]:
        return {layer for record in self._records() for layer in record["Pyctr"]["layers"]}

    def prune(self, *, all: bool = False) -> tuple[Strings, int]:
        """Remove images without a name (`all`: without a container); their ids, and the bytes that came free."""
        from pyctr.engine.transfer.partial import remove_partials

        with write.alone(self.store):
            used = {record.get("Image") for record in self._records()}
            images = [image for image in self.store.images() if image.id not in used and (all or not image.names)]
            sizes = {layer: self.store.layer_size(layer) for image in images for layer in image.layers}
            for image in images:
                for name in image.names:
                    write.untag(self.store, name)
                write.forget(self.store, image.id)
            removed = write.collect(self.store, also_layers_of=self._layers_in_use())
            freed = remove_partials(self.store) + sum(sizes.get(layer, 0) for layer in removed)
            return [image.id for image in images], freed

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

    def exists(self, reference: str) -> bool:
        """Whether an image of this name is in the store."""
        try:
            return self.store.find(reference) is not None
        except NotFound:
            return False


def _name_matches(row: ImageSummary, pattern: str) -> bool:
    import fnmatch

    name, _, tag = pattern.rpartition(":") if ":" in pattern.rsplit("/", 1)[-1] else (pattern, "", "*")
    return fnmatch.fnmatchcase(row.repository, name) and fnmatch.fnmatchcase(row.tag, tag)
