"""Blobs on their way: who sweeps up after killed pulls takes nothing from those that are at work."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pyctr.engine.transfer.partial import directory, layer_draft, locked, sweep_drafts
from pyctr.image.store import Store

DIGEST, DIFF_ID = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    store.prepare()
    return store


def _nobody() -> None:
    raise AssertionError("somebody has the lock")


def test_sweep_leaves_the_draft_of_a_blob_that_is_in_the_store_already(store: Store) -> None:
    draft = layer_draft(store, DIGEST, DIFF_ID)
    with locked(store, DIGEST, threading.Event(), _nobody) as partial:
        os.mkdir(draft)
        sweep_drafts(store)
        partial.write(b"content")
        partial.publish()
        sweep_drafts(store)
        assert os.path.isdir(draft)
    assert os.listdir(directory(store)) == []
    assert store.read_blob(DIGEST) == b"content"


def test_sweep_removes_what_a_killed_pull_left(store: Store) -> None:
    draft = layer_draft(store, DIGEST, DIFF_ID)
    os.mkdir(draft)
    sweep_drafts(store)
    assert not os.path.exists(draft)
    assert os.listdir(directory(store)) == []


def test_sweep_keeps_what_came_of_a_killed_pull(store: Store) -> None:
    with locked(store, DIGEST, threading.Event(), _nobody) as partial:
        partial.write(b"half")
    draft = layer_draft(store, DIGEST, DIFF_ID)
    os.mkdir(draft)
    sweep_drafts(store)
    assert not os.path.exists(draft)
    with locked(store, DIGEST, threading.Event(), _nobody) as partial:
        assert partial.offset == len(b"half")


def test_killed_between_store_and_name_is_tidied_up_by_the_next(store: Store) -> None:
    os.makedirs(directory(store))
    Path(store.blob_path(DIGEST)).write_bytes(b"content")
    os.link(store.blob_path(DIGEST), f"{directory(store)}/{DIGEST[7:]}")
    with locked(store, DIGEST, threading.Event(), _nobody) as partial:
        assert partial.is_stored
        partial.publish()
    assert os.listdir(directory(store)) == []
    assert store.read_blob(DIGEST) == b"content"
