"""`engine.images`."""

from __future__ import annotations

from pyctr.client.options import filters, pairs
from pyctr.client.resource import Resource
from pyctr.client.streams import consumed, produced

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO, Any

    from pyctr.client import Engine
    from pyctr.client.types import Filters

    #: Told of each step: status, id of the part, bytes done, bytes to do.
    Progress = Callable[[str, str, int, int], None]


class Image(Resource):
    """An image. `attrs` is what ``docker image inspect`` shows, as of the last `reload`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Image: {', '.join(repr(tag) for tag in self.tags) or self.short_id!r}>"

    @property
    def id(self) -> str:
        """``sha256:`` and 64 hexadecimal digits."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """``sha256:`` and the first 12 of them."""
        return self.id[:19]

    @property
    def tags(self) -> list[str]:
        """Its names."""
        return list(self.attrs["RepoTags"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        return self.attrs["Config"].get("Labels") or {}

    def reload(self) -> None:
        """Look again. Raises NotFound."""
        self.attrs = self._engine.low.images.inspect(self.id)

    def history(self) -> list[dict[str, Any]]:
        """The steps it was made by, newest first, in the form of Docker's API; `Created` in seconds since 1970."""
        from pyctr.engine.images.api import history

        return history(self._engine.low, self.id)

    def tag(self, repository: str, tag: str | None = None) -> bool:
        """Give it a further name."""
        self._engine.low.images.tag(self.id, f"{repository}:{tag}" if tag else repository)
        return True

    def save(self, *, named: bool | str = False, chunk_size: int = 1 << 21) -> Iterator[bytes]:
        """An archive of it, as ``docker save`` writes; `named` keeps a name (True: the first) in it."""
        name = named if isinstance(named, str) else self.tags[0] if named and self.tags else self.id
        return produced(lambda fd: self._engine.low.images.save([name], fd), chunk_size)

    def remove(self, *, force: bool = False) -> list[str]:
        """Delete it, with all its names if `force`; the lines Docker prints. Raises Conflict where it is in use."""
        return list(self._engine.low.images.remove(self.id, force=force))


class Images:
    """The images of an engine. A reference is a name, an id or a unique prefix of one."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Image:
        """An image by name or id. Raises NotFound."""
        return Image(self._engine, self._engine.low.images.inspect(name))

    def list(self, name: str | None = None, *, filters: Filters | None = None) -> builtins.list[Image]:
        """Those here, newest first, each once; `filters` are those of ``docker images``."""
        rows = self._engine.low.images.list(reference=name, filters=_filters(filters))
        return [self.get(image_id) for image_id in dict.fromkeys(row.id for row in rows)]

    def pull(
        self,
        repository: str,
        tag: str | None = None,
        *,
        all_tags: bool = False,
        platform: str | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Pull an image (or with `all_tags` a list of them) from its registry; `progress` is told from any thread.

        Raises NotFound, RegistryError, CorruptData.
        """
        name = _named(repository, tag)
        pulled = self._engine.low.images.pull(name, platform=platform or "", all_tags=all_tags, report=progress)
        found = [self.get(item.id) for item in pulled]
        return found if all_tags else found[0]

    def push(
        self, repository: str, tag: str | None = None, *, all_tags: bool = False, progress: Progress | None = None
    ) -> builtins.list[dict[str, Any]]:
        """Push an image to its registry: ``[{"Tag": …, "Digest": …, "Size": bytes}]``."""
        name = _named(repository, tag)
        pushed = self._engine.low.images.push(name, all_tags=all_tags, report=progress)
        return [{"Tag": item.tag, "Digest": item.digest, "Size": item.size} for item in pushed]

    def load(self, data: bytes | IO[bytes] | Iterable[bytes]) -> builtins.list[Image]:
        """Load every image of an archive that Docker, podman, skopeo or we wrote."""
        lines = consumed(data, self._engine.low.images.load)
        return [self.get(name) for name in dict.fromkeys(line.partition(": ")[2] for line in lines)]

    def save(self, names: str | builtins.list[str], *, chunk_size: int = 1 << 21) -> Iterator[bytes]:
        """An archive of several images."""
        wanted = [names] if isinstance(names, str) else list(names)
        return produced(lambda fd: self._engine.low.images.save(wanted, fd), chunk_size)

    def import_archive(
        self, data: bytes | IO[bytes] | Iterable[bytes], repository: str | None = None, tag: str | None = None
    ) -> Image:
        """Make an image of a tar of a root file system, as ``docker import`` does."""
        low = self._engine.low.images
        name = _named(repository, tag) if repository else None
        image_id: str = consumed(data, lambda fd: low.import_archive(fd, name))
        return self.get(image_id)

    def build(
        self,
        *,
        path: str | None = None,
        fileobj: IO[bytes] | None = None,
        tag: str | builtins.list[str] | None = None,
        dockerfile: str | None = None,
        buildargs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        target: str | None = None,
        platform: str | None = None,
        network_mode: str | None = None,
        nocache: bool = False,
        pull: bool = False,
        **options: Any,
    ) -> tuple[Image, builtins.list[dict[str, str]]]:
        """Build an image from a directory (or an address), or from a Dockerfile alone: it, and what the steps said.

        `options` are those of `pyctr build`: a flag's name with ``_`` (``secret=["id=x,src=f"]``). Raises BuildError with
        the Dockerfile's line, InvalidArgument.
        """
        from pyctr.client.build import build

        given = {
            "tag": [tag] if isinstance(tag, str) else tag,
            "file": dockerfile,
            "build_arg": pairs(buildargs or {}) or None,
            "label": pairs(labels or {}) or None,
            "target": target,
            "platform": [platform] if platform else None,
            "network": network_mode,
            "no_cache": nocache or None,
            "pull": pull or None,
            **options,
        }
        wanted = {name: value for name, value in given.items() if value is not None}
        image_id, said = build(self._engine.low, path, fileobj, wanted)
        return self.get(image_id), said

    def remove(self, image: str, *, force: bool = False) -> builtins.list[str]:
        """Untag an image, or delete it when no name is left; the lines Docker prints."""
        return list(self._engine.low.images.remove(image, force=force))

    def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """Remove nameless images (with ``{"dangling": False}`` all that no container uses)."""
        wanted = _filters(filters)
        every = wanted.pop("dangling", ["true"])[-1] in ("false", "0")
        lines, reclaimed = self._engine.low.images.prune(all=every, filters=wanted)
        deleted = [{line.partition(": ")[0]: line.partition(": ")[2]} for line in lines]
        return {"ImagesDeleted": deleted, "SpaceReclaimed": reclaimed}

    def prune_builds(self, *, all: bool = False, filters: Filters | None = None) -> dict[str, Any]:
        """Remove build cache, with `all` also what images share."""
        from pyctr.engine.build.usage import prune_cache

        removed, reclaimed = prune_cache(self._engine.low, all=all, filters=_filters(filters))
        return {"CachesDeleted": removed, "SpaceReclaimed": reclaimed}

    def search(self, term: str, *, limit: int = 25, filters: Filters | None = None) -> builtins.list[dict[str, Any]]:
        """Repositories of a registry that match."""
        from pyctr.engine.search import search

        return [
            {
                "name": item.name,
                "description": item.description,
                "star_count": item.stars,
                "is_official": item.is_official,
            }
            for item in search(self._engine.low, term, limit=limit, filters=_filters(filters))
        ]


def _named(repository: str, tag: str | None) -> str:
    """``repository:tag``, or with a digest ``repository@sha256:…``."""
    if not tag:
        return repository
    return f"{repository}{'@' if tag.startswith('sha256:') else ':'}{tag}"


_filters = filters
