"""Containers on disk."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from pyctr.engine.containers import store as module
from pyctr.engine.containers.store import Store, check_name
from pyctr.errors import InvalidArgument


def test_directory_swept_before_its_lock_is_taken_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "root"), str(tmp_path / "run"))
    lock_file = fcntl.flock
    sweeps = []

    def flock(descriptor: int, operation: int) -> Any:
        if operation == fcntl.LOCK_EX and not sweeps:
            sweeps.append(store.containers_dir)
            store.ids()  # another command lists at this very moment
        return lock_file(descriptor, operation)

    monkeypatch.setattr(module.fcntl, "flock", flock)
    container_id, _ = store.new_directory()
    assert sweeps
    assert (Path(store.temporary_path(container_id)) / "id").read_text() == container_id
    assert len(list(Path(store.containers_dir).iterdir())) == 1


def test_who_finds_the_first_root_half_made_finds_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = os.makedirs

    def makedirs(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        if not made:
            made.append(path)
        make(path, mode, exist_ok)

    monkeypatch.setattr(os, "makedirs", makedirs)
    store = Store(str(tmp_path / "root"), str(tmp_path / "run"))
    store.new_directory()
    assert made == [store.names_dir]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".a", "-a", "_a", "a b", "a\0b", "a\n", "é1", "/../x", "a" * 201, "a", ""]
)
def test_name_that_means_something_in_a_path_or_a_command_is_none(name: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid container name"):
        check_name(name)
