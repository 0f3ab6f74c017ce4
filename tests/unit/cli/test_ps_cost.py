"""What a line of `ps` costs, in calls of functions: those cannot drift as times do."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.ps import ps
from pyctr.engine.containers.listing import Summary

if TYPE_CHECKING:
    import pytest

#: Counted 61, Python's and C's together; it was 157 when a command's letters were looked at one by one.
CALLS_A_LINE_MAX = 65


def summaries(count: int) -> list[Summary]:
    record: dict[str, Any] = {
        "Id": "0123456789abcdef" * 4, "Name": "/web", "Created": "2026-01-02T03:04:05.678Z", "Path": "sh",
        "Args": ["-c", 'echo "$PATH" and some more'], "Config": {"Image": "busybox", "Labels": {}}, "Mounts": [],
    }  # fmt: skip
    state = {"status": "exited", "exit_code": 0, "started_at": record["Created"], "finished_at": record["Created"]}
    return [Summary(record, state, 1_800_000_000_000_000_000) for _ in range(count)]


def calls_of_listing(count: int) -> int:
    """Calls made while so many containers are listed."""
    found = summaries(count)
    engine: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: found))
    calls = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        ps(engine, {"all": True}, [])
    finally:
        sys.setprofile(before)
    return calls


def test_line_of_ps_costs_few_calls(capsys: pytest.CaptureFixture[str]) -> None:
    calls_of_listing(1)  # what is imported and remembered once
    few, many = calls_of_listing(10), calls_of_listing(110)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1 + 1 + 10 + 1 + 110
    assert (many - few) / 100 <= CALLS_A_LINE_MAX
