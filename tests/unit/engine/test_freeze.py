"""A container stands still while it is looked at: the mark that tells a killed command's from the user's pause."""

from __future__ import annotations

import fcntl
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.engine.containers.freeze import MARK, frozen, thaw_abandoned
from pyctr.errors import NotFound, StateError

if TYPE_CHECKING:
    from pathlib import Path


class Containers:
    """One container, and what was done to it."""

    def __init__(self, path: Path) -> None:
        self.store = SimpleNamespace(path=lambda _id: str(path))
        self.done: list[str] = []
        self.status = "running"

    def pause(self, _id: str) -> None:
        if self.status != "running":
            raise StateError("it does not run, or is paused")
        self.status = "paused"
        self.done.append("pause")

    def unpause(self, _id: str) -> None:
        if self.status != "paused":
            raise StateError("it is not paused")
        self.status = "running"
        self.done.append("unpause")


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(tmp_path)


def engine_of(containers: Containers) -> Any:
    return SimpleNamespace(containers=containers)


def is_held(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_frozen_pauses_and_lets_go_on_whatever_happens(containers: Containers) -> None:
    with pytest.raises(ZeroDivisionError), frozen(engine_of(containers), "a"):
        _ = 1 / 0
    assert containers.done == ["pause", "unpause"]


@pytest.mark.parametrize("status", ["paused", "exited"])
def test_frozen_leaves_what_stands_still_already(containers: Containers, status: str) -> None:
    containers.status = status
    with frozen(engine_of(containers), "a"):
        pass
    assert (containers.status, containers.done) == (status, [])
    assert not thaw_abandoned(engine_of(containers), "a")


def test_who_comes_later_waits_for_the_file_the_first_one_holds(containers: Containers, tmp_path: Path) -> None:
    """A file that went with its holder would be another one for who comes third."""
    with frozen(engine_of(containers), "a"):
        waiting = os.open(tmp_path / MARK, os.O_RDWR)
        assert is_held(tmp_path / MARK)
    fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert is_held(tmp_path / MARK)
    assert not thaw_abandoned(engine_of(containers), "a")
    os.close(waiting)


def test_pause_of_a_killed_command_is_ended_by_the_next(containers: Containers, tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"1")
    containers.status = "paused"
    assert thaw_abandoned(engine_of(containers), "a")
    assert containers.done == ["unpause"]
    assert not thaw_abandoned(engine_of(containers), "a")
    (tmp_path / MARK).write_bytes(b"1")
    containers.status = "paused"
    with frozen(engine_of(containers), "a"):
        assert containers.done == ["unpause", "unpause", "pause"]
    assert containers.status == "running"


def test_frozen_of_a_container_that_is_gone(containers: Containers, tmp_path: Path) -> None:
    containers.store.path = lambda _id: str(tmp_path / "gone")
    with pytest.raises(NotFound, match="No such container: a"), frozen(engine_of(containers), "a"):
        pass
    assert not thaw_abandoned(engine_of(containers), "a")
