"""Layers that never reached the disk: trusted until the next boot, and after one brought back or forgotten."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pyctr.engine import Engine
from pyctr.errors import NotFound
from pyctr.image import write
from pyctr.image.settle import facts_of, is_present, settle
from tests.conftest import needs_root
from tests.fake_registry import FakeRegistry, Layer, tar_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyctr.image.manifest import Descriptor
    from pyctr.image.store import Store

pytestmark = needs_root

BASE, TOP = Layer(tar_of({"base": b"base"})), Layer(tar_of({"top": b"x" * 5000}))


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        fake.put_image("x", "latest", [BASE, TOP])
        yield fake


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return new_engine(tmp_path)


def new_engine(tmp_path: Path) -> Engine:
    (tmp_path / "daemon.json").write_text("{}")
    return Engine(str(tmp_path / "root"), str(tmp_path / "run"), config_file=str(tmp_path / "daemon.json"))


def after_power_cut(tmp_path: Path, engine: Engine, lost: str) -> Engine:
    """The next boot, at which the content of one layer has not reached the disk."""
    root = engine.root
    for layer in (BASE, TOP):
        path = engine.image_store.layer_path(layer.diff_id)
        facts = facts_of(engine.image_store, layer.diff_id) or {}
        with open(path + ".json", "w") as file:
            json.dump({**facts, "unsynced": "an earlier boot"}, file)
    os.truncate(lost, 0)
    os.makedirs(f"{root}/unsettled", exist_ok=True)
    with open(f"{root}/unsettled/0", "w") as file:
        file.write("an earlier boot")
    return new_engine(tmp_path)


def test_pull_that_settles_is_settled_when_it_ends(fake: FakeRegistry, engine: Engine) -> None:
    engine.images.pull(f"{fake.address}/x")
    assert "unsynced" not in (facts_of(engine.image_store, TOP.diff_id) or {})
    assert not os.path.exists(f"{engine.root}/unsettled")


def test_pull_that_settles_afterwards_is_settled_soon(fake: FakeRegistry, engine: Engine) -> None:
    engine.settles_afterwards = True
    engine.images.pull(f"{fake.address}/x")
    assert is_present(engine.image_store, TOP.diff_id)
    wait_until(lambda: not os.path.exists(f"{engine.root}/unsettled"), "it is settled")
    assert "unsynced" not in (facts_of(engine.image_store, TOP.diff_id) or {})
    assert engine.images.check() == []


def test_power_cut_that_lost_a_layer_costs_nothing_where_its_blob_is_whole(
    fake: FakeRegistry, engine: Engine, tmp_path: Path
) -> None:
    engine.images.pull(f"{fake.address}/x")
    path = f"{engine.image_store.layer_path(TOP.diff_id)}/top"
    engine = after_power_cut(tmp_path, engine, path)
    assert [row.repository for row in engine.images.list()] == [f"{fake.address}/x"]
    with open(path, "rb") as file:
        assert file.read() == b"x" * 5000
    assert not os.path.exists(f"{engine.root}/unsettled")
    assert engine.images.check() == []


def test_power_cut_that_lost_a_blob_too_is_as_if_there_had_been_no_pull(
    fake: FakeRegistry, engine: Engine, tmp_path: Path
) -> None:
    engine.images.pull(f"{fake.address}/x")
    engine = after_power_cut(tmp_path, engine, engine.image_store.blob_path(TOP.digest))
    with pytest.raises(NotFound):
        engine.image_store.resolve(f"{fake.address}/x")
    assert not os.path.exists(f"{engine.root}/unsettled")
    engine.images.pull(f"{fake.address}/x")
    assert engine.images.check() == []


@pytest.mark.parametrize("of", ["manifest", "config"])
def test_power_cut_that_lost_what_describes_an_image_loses_the_image(
    fake: FakeRegistry, engine: Engine, tmp_path: Path, of: str
) -> None:
    engine.images.pull(f"{fake.address}/x")
    image = engine.image_store.resolve(f"{fake.address}/x")
    digest = {"manifest": image.manifest_digest, "config": image.id}[of]
    engine = after_power_cut(tmp_path, engine, engine.image_store.blob_path(digest))
    assert engine.images.list() == []
    engine.images.pull(f"{fake.address}/x")
    assert engine.images.check() == []


def test_load_whose_layers_come_after_another_settled_is_announced_still(
    fake: FakeRegistry, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.images.pull(f"{fake.address}/x")
    with open(tmp_path / "x.tar", "wb") as file:
        engine.images.save([f"{fake.address}/x"], file.fileno())
    engine.images.remove(f"{fake.address}/x")
    extract = write._add_layers

    def extract_late(store: Store, missing: dict[str, Descriptor]) -> None:
        settle(store)
        extract(store, missing)

    monkeypatch.setattr(write, "_add_layers", extract_late)
    engine.settles_afterwards = True
    with open(tmp_path / "x.tar", "rb") as file:
        engine.images.load(file.fileno())
    assert "unsynced" in (facts_of(engine.image_store, TOP.diff_id) or {})
    assert os.listdir(f"{engine.root}/unsettled")


def test_layer_of_an_earlier_boot_is_made_again_by_load(fake: FakeRegistry, engine: Engine, tmp_path: Path) -> None:
    engine.images.pull(f"{fake.address}/x")
    with open(tmp_path / "x.tar", "wb") as file:
        engine.images.save([f"{fake.address}/x"], file.fileno())
    path = f"{engine.image_store.layer_path(TOP.diff_id)}/top"
    engine = after_power_cut(tmp_path, engine, path)
    os.unlink(f"{engine.root}/unsettled/0")  # as if the name had never been given
    with open(tmp_path / "x.tar", "rb") as file:
        engine.images.load(file.fileno())
    with open(path, "rb") as file:
        assert file.read() == b"x" * 5000
