"""An engine over a temporary root, with an image that is never mounted and a monitor that isolates nothing."""

import os
import sys

import pytest

from pyctr.engine import Engine
from pyctr.errors import NotFound
from tests.waiting import wait_equal

HERE = os.path.dirname(__file__)


class FakeImage:
    id = "sha256:" + "1" * 64
    layers = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["PATH=/usr/bin:/bin", "FROM_IMAGE=1"], "Cmd": ["sh"], "Labels": {"from": "image"}},
    }

    def __init__(self, root):
        self.root = root

    def pin(self):
        return os.open(os.devnull, os.O_RDONLY)

    def layer_paths(self):
        paths = [f"{self.root}/layers/{layer[7:]}" for layer in reversed(self.layers)]
        for path in paths:
            os.makedirs(path, exist_ok=True)
        return paths


class FakeImages:
    def __init__(self, root):
        self.root = root
        self.images = {"img": FakeImage(root)}

    def resolve(self, name):
        if name not in self.images:
            raise NotFound(f"No such image: {name}")
        return self.images[name]


@pytest.fixture
def runtime(tmp_path):
    path = tmp_path / "fake-runtime"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {HERE}/fake_monitor.py "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def engine(tmp_path, runtime):
    """Counts what is left behind: no file but the image's, no process, once every container is removed."""
    root = str(tmp_path / "root")
    engine = Engine(root, str(tmp_path / "run"), runtime=runtime)
    engine._image_store = FakeImages(root)
    engine.store_path = lambda ref: engine.containers.store.path(engine.containers.resolve(ref))
    yield engine
    for summary in engine.containers.list(all=True):
        engine.containers.remove(summary.id, force=True, volumes=True)
    wait_equal(lambda: leftovers(engine), [], "nothing is left")


def leftovers(engine):
    """Containers, names, volumes, run-time directories that nobody owns any more."""
    found = []
    for directory in (engine.root + "/containers", engine.root + "/names", engine.root + "/volumes", engine.run_root):
        if os.path.isdir(directory):
            found += [f"{directory}/{name}" for name in os.listdir(directory) if name != "networks"]
    # Directories of networks stay; leases are the real monitor's to give back (tests/integration/network).
    return found
