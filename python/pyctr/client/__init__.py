"""The public Python API: what docker-py's users know, over the same engine the command line uses.

Engine
├── containers   run, create, get, list, prune             → Container
├── images       pull, push, get, list, load, save, …      → Image
├── volumes      create, get, list, prune                  → Volume
├── networks     create, get, list, prune                  → Network
├── compose      compose files                             → Project
└── events, df, info, version, ping, login

Nothing here decides anything: names and forms are docker-py's, the work is `pyctr.engine`'s (ADR 0005). Errors are the
engine's own (`pyctr.errors`). Importing it costs nothing that is not used.
"""

from __future__ import annotations

from pyctr.engine import Engine as _Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Self

    from pyctr.client.compose import Project
    from pyctr.client.containers import Containers
    from pyctr.client.images import Images
    from pyctr.client.networks import Networks
    from pyctr.client.types import Filters
    from pyctr.client.volumes import Volumes


class Engine:
    """Everything pyctr can do, over one state directory; there is no daemon to connect to.

    `root` (else ``PYCTR_ROOT``, else /var/lib/pyctr) holds what must last, `run_root` (else ``PYCTR_RUN_ROOT``, else
    /run/pyctr) the sockets of running containers; `config_file` is in daemon.json's keys. `low` is the engine the command
    line uses: its interface is not promised.
    """

    __slots__ = ("low",)

    def __init__(self, root: str | None = None, run_root: str | None = None, *, config_file: str | None = None) -> None:
        self.low = _Engine(root, run_root, config_file=config_file)

    def __repr__(self) -> str:
        return f"<Engine: {self.low.root}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is kept open between calls; here for programs written for docker-py."""

    @property
    def containers(self) -> Containers:
        """The containers."""
        from pyctr.client.containers import Containers

        return Containers(self)

    @property
    def images(self) -> Images:
        """The images."""
        from pyctr.client.images import Images

        return Images(self)

    @property
    def volumes(self) -> Volumes:
        """The volumes."""
        from pyctr.client.volumes import Volumes

        return Volumes(self)

    @property
    def networks(self) -> Networks:
        """The networks."""
        from pyctr.client.networks import Networks

        return Networks(self)

    def compose(
        self,
        files: str | Sequence[str] | None = None,
        *,
        project_directory: str | None = None,
        project_name: str | None = None,
        env_files: Sequence[str] = (),
        profiles: Sequence[str] = (),
    ) -> Project:
        """A project of compose files (default: those ``pyctr compose`` finds). Raises ComposeError, NotFound."""
        from pyctr.client.compose import Project
        from pyctr.compose import load

        given = [files] if isinstance(files, str) else None if files is None else list(files)
        return Project(
            self,
            load(
                given,
                project_directory=project_directory,
                project_name=project_name,
                env_files=env_files,
                profiles=profiles,
            ),
        )

    def events(
        self,
        *,
        since: str | float | None = None,
        until: str | float | None = None,
        filters: Filters | None = None,
    ) -> Iterator[dict[str, Any]]:
        """What happens, as dicts in the API's form: from `since` (default: now) to `until` (default: for ever)."""
        from pyctr.client.options import filters as parse
        from pyctr.engine.events import read_events

        return read_events(
            self.low,
            since=None if since is None else str(since),
            until=None if until is None else str(until),
            filters=parse(filters),
        )

    def df(self) -> dict[str, Any]:
        """What takes how much of the disk, in the API's form."""
        from pyctr.engine.disk_usage import disk_usage

        return disk_usage(self.low)

    def info(self) -> dict[str, Any]:
        """What this host offers and what is stored, in the API's form."""
        from pyctr.engine.system import info

        return info(self.low)

    def version(self) -> dict[str, Any]:
        """Versions, in the API's form."""
        from pyctr.engine.system import version

        return version()

    def ping(self) -> bool:
        """True: there is no daemon that could be away."""
        return True

    def login(self, username: str, password: str, *, registry: str = "") -> dict[str, str]:
        """Try credentials at a registry and keep them where Docker does. Raises RegistryError; nothing is kept then."""
        from pyctr.engine.credentials import login

        login(self.low, registry, username, password)
        return {"Status": "Login Succeeded"}
