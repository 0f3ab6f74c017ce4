"""Waiting for a container that ends between two looks at it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.engine.containers import lifecycle, wait
from pyctr.engine.containers.wait import wait_for

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = {"status": "running", "started_at": "t1"}
ENDED = {"status": "exited", "started_at": "t1", "exit_code": 3}


class OnDisk:
    """As much of a store as waiting asks for: a container that is there."""

    def __init__(self, directory: Path) -> None:
        self.root = str(directory)

    def path(self, _container_id: str) -> str:
        return self.root


@pytest.mark.parametrize("condition", ["not-running", "next-exit"])
def test_wait_for_an_end_between_the_first_two_looks(
    condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Any = iter([RUNNING])
    monkeypatch.setattr(wait, "current_state", lambda *_: next(looks, ENDED))
    store: Any = OnDisk(tmp_path)
    assert wait_for(store, "1" * 64, condition=condition, timeout_s=5) == 3


def test_wait_for_the_next_end_passes_over_one_that_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "current_state", lambda *_: ENDED)
    store: Any = OnDisk(tmp_path)
    assert wait_for(store, "1" * 64, timeout_s=5) == 3
    with pytest.raises(TimeoutError):
        wait_for(store, "1" * 64, condition="next-exit", timeout_s=0)


def test_wait_for_one_that_is_being_taken_away_is_told_by_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = {"Action": "die", "Actor": {"ID": "1" * 64, "Attributes": {"exitCode": "3"}}}
    (tmp_path / "events.jsonl").write_text(json.dumps(died, separators=(",", ":")) + "\n")
    monkeypatch.setattr(lifecycle, "current_state", lambda *_: {})
    store: Any = OnDisk(tmp_path)
    assert lifecycle.wait_container(store, "1" * 64) == 3
