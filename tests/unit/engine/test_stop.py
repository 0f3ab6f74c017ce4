"""Stopping a container whose monitor is killed in the middle of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyctr.engine.containers import lifecycle
from pyctr.errors import StateError


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lives that were ended; the monitor of the first one is gone without a word."""
    lives: list[str] = []

    def end_life(*_: Any) -> None:
        lives.append("one" if not lives else "two")
        if len(lives) == 1:
            raise StateError("container x is not running")

    monkeypatch.setattr(lifecycle, "end_life", end_life)
    monkeypatch.setattr(lifecycle, "write_event", lambda *_: None)
    return lives


def stop(monkeypatch: pytest.MonkeyPatch, *states: dict[str, str]) -> None:
    left = list(states)
    monkeypatch.setattr(lifecycle, "current_state", lambda *_: left.pop(0))
    store: Any = SimpleNamespace(record=lambda _: {"Config": {}}, root="")
    lifecycle.stop_container(store, "x", None, None)


def test_life_that_began_meanwhile_is_ended_too(monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> None:
    stop(monkeypatch, {"status": "running", "started_at": "1"}, {"status": "running", "started_at": "2"})
    assert ended == ["one", "two"]


def test_container_that_is_over_is_stopped(monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> None:
    stop(monkeypatch, {"status": "running", "started_at": "1"}, {"status": "exited", "started_at": "1"})
    assert ended == ["one"]


def test_life_that_goes_on_is_an_error(monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> None:
    with pytest.raises(StateError):
        stop(monkeypatch, {"status": "running", "started_at": "1"}, {"status": "running", "started_at": "1"})
    assert ended == ["one"]
