"""Builds through the engine, in a root of their own with a busybox image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.build.ignore import read_patterns
from pyctr.build.plan.graph import plan_build
from pyctr.build.report import Report
from pyctr.build.request import Request
from pyctr.engine import Engine
from pyctr.engine.build.execute import execute
from pyctr.engine.build.sources import resolve_image
from tests.conftest import need_tool
from tests.peers import running_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.engine.build.export import Built
    from tests.peers import Peer

#: Debian's, which has BuildKit built in; another found first may want a plugin for it.
_DOCKER = "/usr/bin/docker"


class Told(Report):
    """Remembers what a build tells."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.hits: list[str] = []
        self.output = b""
        self.warnings: list[str] = []

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        del vertex, inputs
        self.started.append(name.partition("] ")[2] or name)

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        del vertex, inputs
        self.hits.append(name.partition("] ")[2])

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        del vertex, stream
        self.output += data

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Builder:
    """Builds Dockerfiles given as text."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context
        self.told = Told()
        self.telling = Told

    def __call__(self, dockerfile: str, **values: Any) -> Built:
        """Build; what it told is in `told`."""
        self.told = self.telling()
        context = str(values.pop("context", self.context))
        values.setdefault("network", "none")
        request = Request(context=context, ignore=read_patterns(context), **values)
        plan = plan_build(dockerfile, request, self._resolve)
        return execute(self.engine, plan, request, self.told)

    def _resolve(self, reference: str, platform: str) -> tuple[str, dict[str, Any]]:
        return resolve_image(self.engine, reference, platform, pull=False, report=self.told)

    def files(self, dockerfile: str, target: Path, **values: Any) -> Path:
        """Build into a directory."""
        from pyctr.build.request import Typed

        self(dockerfile, outputs=(Typed("local", {"dest": str(target)}),), **values)
        return target

    def write(self, name: str, content: str = "") -> Path:
        """A file of the context."""
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A root with busybox."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    from pyctr.errors import PyctrError

    base = tmp_path_factory.mktemp("build")
    engine = Engine(str(base / "root"), str(base / "run"))
    try:
        engine.images.bootstrap("busybox", include=[])
    except PyctrError as error:
        pytest.skip(f"needs busybox-static: {error}")
    return engine


@pytest.fixture
def build(engine: Engine, tmp_path: Path) -> Iterator[Builder]:
    """A builder with an empty context; nothing of a step is left afterwards."""
    context = tmp_path / "context"
    context.mkdir()
    yield Builder(engine, context)
    for name in ("run", "scratch", "leases"):
        directory = Path(engine.root, "build", name)
        assert not directory.exists() or not list(directory.iterdir()), f"left in {name}"


@pytest.fixture(scope="package")
def docker() -> Iterator[Peer]:
    """A dockerd whose client builds by BuildKit."""
    need_tool("docker")
    if not os.path.exists(_DOCKER):
        pytest.skip("needs Debian's docker client")
    with running_dockerd() as peer:
        peer.command[0] = _DOCKER
        peer.environment = {**(peer.environment or {}), "DOCKER_BUILDKIT": "1"}
        yield peer
