"""`engine.containers`."""

from __future__ import annotations

from pyctr.client.container import Container
from pyctr.client.options import command_words, engine_options, filters
from pyctr.client.streams import Attached
from pyctr.errors import ContainerError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Sequence
    from typing import Any, Literal, Unpack, overload

    from pyctr.client import Engine
    from pyctr.client.types import CreateOptions, Filters

    Command = str | Sequence[str] | None


class Containers:
    """The containers of an engine. A reference is a name, an id or a unique prefix of one."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    if TYPE_CHECKING:

        @overload
        def run(
            self, image: str, command: Command = None, *, detach: Literal[True], **options: Unpack[CreateOptions]
        ) -> Container: ...
        @overload
        def run(
            self,
            image: str,
            command: Command = None,
            *,
            stream: Literal[True],
            stdout: bool = True,
            stderr: bool = False,
            remove: bool = False,
            **options: Unpack[CreateOptions],
        ) -> Iterator[bytes]: ...
        @overload
        def run(
            self,
            image: str,
            command: Command = None,
            *,
            stdout: bool = True,
            stderr: bool = False,
            remove: bool = False,
            **options: Unpack[CreateOptions],
        ) -> bytes: ...

    def run(
        self,
        image: str,
        command: Command = None,
        *,
        stdout: bool = True,
        stderr: bool = False,
        remove: bool = False,
        detach: bool = False,
        stream: bool = False,
        **options: Unpack[CreateOptions],
    ) -> Any:
        """Make a container and run a command in it.

        With `detach` the Container, at once. Else, when it has ended, what it wrote: `stdout`, `stderr` or both as they
        come; with `stream` an iterator over it. `remove` takes the container away at its end. An image that is
        not here is pulled. Raises ContainerError for another exit status than 0, and what `create` raises.
        """
        words = command_words(command)
        given = engine_options(options)
        if remove:
            given["rm"] = True
        low = self._engine.low.containers
        if detach:
            return self.get(str(low.run(image, words, {**given, "detach": True})))
        created = low.prepare_run(image, words, given)
        running = Attached(lambda lent: low.run_created(created, given, lent))
        chunks = self._output(running, (created.id, words, image), stdout=stdout, stderr=stderr)
        return chunks if stream else b"".join(chunks)

    @staticmethod
    def _output(
        running: Attached, what: tuple[str, builtins.list[str], str], *, stdout: bool, stderr: bool
    ) -> Iterator[bytes]:
        errors = []
        for name, data in running:
            if name == "stderr":
                errors.append(data)
            if stdout if name == "stdout" else stderr:
                yield data
        if running.result:
            container, words, image = what
            raise ContainerError(container, running.result, words, image, b"".join(errors))

    def create(self, image: str, command: Command = None, **options: Unpack[CreateOptions]) -> Container:
        """Make a container without starting it. Raises NotFound, Conflict, InvalidArgument; leaves nothing then."""
        created = self._engine.low.containers.create(image, command_words(command), engine_options(options))
        return self.get(created.id)

    def get(self, container_id: str) -> Container:
        """The container of a name or id. Raises NotFound."""
        return Container(self._engine, self._engine.low.containers.inspect(container_id))

    def list(
        self,
        all: bool = False,
        *,
        limit: int | None = None,
        before: str | None = None,
        since: str | None = None,
        filters: Filters | None = None,
        ignore_removed: bool = True,
    ) -> builtins.list[Container]:
        """Those that run, or `all`, newest first; `filters` are those of ``docker ps``."""
        wanted = _filters(filters)
        wanted |= {name: [value] for name, value in (("before", before), ("since", since)) if value}
        found = []
        for summary in self._engine.low.containers.list(all=all, limit=limit, filters=wanted):
            try:
                found.append(self.get(summary.id))
            except NotFound:
                if not ignore_removed:
                    raise
        return found

    def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """Remove all that do not run: ``{"ContainersDeleted": [ids], "SpaceReclaimed": bytes}``."""
        removed, reclaimed = self._engine.low.containers.prune(_filters(filters))
        return {"ContainersDeleted": removed, "SpaceReclaimed": reclaimed}


_filters = filters
