"""Stopping a container whose monitor is killed in the middle of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyctr.engine.containers import lifecycle
from pyctr.errors import StateError


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lives that were ended; at the first attempt nobody answers."""
    lives: list[str] = []

    def end_life(*_: Any) -> bool:
        lives.append("one" if not lives else "two")
        return len(lives) > 1

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


def test_monitor_that_is_dying_is_given_time_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = [False] * 4
    monkeypatch.setattr(lifecycle, "end_life", lambda *_: attempts.pop())
    monkeypatch.setattr(lifecycle, "write_event", lambda *_: None)
    stop(monkeypatch, *[{"status": "running", "started_at": "1"}] * 4, {"status": "exited", "started_at": "1"})
    assert attempts == []


def test_life_whose_monitor_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_DYING_PATIENCE_S", -1.0)
    monkeypatch.setattr(lifecycle, "end_life", lambda *_: False)
    with pytest.raises(StateError, match="is not running"):
        stop(monkeypatch, *[{"status": "running", "started_at": "1"}] * 2)
