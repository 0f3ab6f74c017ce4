"""The engine: use cases of containers and images, no printing, no argument parsing.

Engine
├── containers   create, start, run, list, inspect, remove, kill, stop, wait, logs, rename, prune
├── volumes      create, list, inspect, remove, prune
├── networks     create, list, inspect, remove, connect, disconnect, prune
└── images       names to layers (pyctr.engine.images)

Options are one plain dict keyed by Docker's long flag name with ``_`` for ``-`` (docs/design.md).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine.config import Config
    from pyctr.engine.containers import Containers
    from pyctr.engine.networks import NetworkService
    from pyctr.engine.volumes import Volumes
    from pyctr.registry.credentials import Credentials

DEFAULT_ROOT = "/var/lib/pyctr"
DEFAULT_RUN_ROOT = "/run/pyctr"


class Engine:
    """Everything pyctr can do, over one state directory.

    `root` (else ``PYCTR_ROOT``) holds what must last, `run_root` (else ``PYCTR_RUN_ROOT``) the sockets of running
    containers; `runtime` is the pyctr-runtime to spawn, the packaged one by default; `config_file` (else ``PYCTR_CONFIG``,
    else /etc/pyctr/daemon.json) is read when something first needs it.
    """

    def __init__(
        self,
        root: str | None = None,
        run_root: str | None = None,
        *,
        runtime: str | None = None,
        config_file: str | None = None,
    ) -> None:
        self.root = os.path.abspath(root or os.environ.get("PYCTR_ROOT") or DEFAULT_ROOT)
        self.run_root = os.path.abspath(run_root or os.environ.get("PYCTR_RUN_ROOT") or DEFAULT_RUN_ROOT)
        self.runtime = runtime or os.path.join(os.path.dirname(os.path.dirname(__file__)), "_bin", "pyctr-runtime")
        self._containers: Containers | None = None
        self._images: Any = None
        self._networks: NetworkService | None = None
        self._image_store: Any = None
        self._config_file = config_file
        self._config: Config | None = None
        #: Makes what a pull tells of its progress is given to, when `create` has to pull; None: nobody wants to know.
        self.pull_report: Callable[[str], Any] | None = None
        #: For registries, in place of those that are kept; the API's clients bring their own.
        self.credentials: Credentials | None = None
        #: Whether a pull's sync may go on in another process when the command is done: for commands, which have no threads.
        self.settles_afterwards = False

    @property
    def config(self) -> Config:
        """The configuration file. Raises InvalidArgument."""
        if self._config is None:
            from pyctr.engine.config import load_config

            self._config = load_config(self._config_file)
        return self._config

    @property
    def containers(self) -> Containers:
        """The containers of this root."""
        if self._containers is None:
            from pyctr.engine.containers import Containers

            self._containers = Containers(self)
        return self._containers

    @property
    def volumes(self) -> Volumes:
        """The volumes of this root."""
        from pyctr.engine.volumes import Volumes

        return Volumes(self)

    @property
    def images(self) -> Any:
        """The images of this root."""
        if self._images is None:
            from pyctr.engine.images import Images

            self._images = Images(self)
        return self._images

    @property
    def networks(self) -> NetworkService:
        """The networks of this root."""
        if self._networks is None:
            from pyctr.engine.networks import NetworkService

            self._networks = NetworkService(self)
        return self._networks

    @property
    def image_store(self) -> Any:
        """Names and layers, all that a start needs of the images (`images` brings their management along)."""
        if self._image_store is None:
            from pyctr.image.store import Store

            self._image_store = Store(self.root)
            if os.path.exists(f"{self.root}/unsettled"):
                from pyctr.engine.images.recover import recover

                recover(self)
        return self._image_store
