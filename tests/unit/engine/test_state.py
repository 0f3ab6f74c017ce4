"""What state.json is worth beside what the kernel says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pyctr.engine.containers.state import current_state
from pyctr.engine.containers.store import Store

if TYPE_CHECKING:
    from pathlib import Path

ID = "1" * 64


@pytest.mark.parametrize(("files", "expected"), [((), None), (("config.json",), ("exited", 255))])
def test_half_removed_container_has_no_state(tmp_path: Path, files: tuple[str, ...], expected: object) -> None:
    """A monitor removes a --rm container's lock before its state.json, or after it, as the directory lists them."""
    directory = tmp_path / "root/containers" / ID
    directory.mkdir(parents=True)
    (directory / "state.json").write_text(json.dumps({"status": "running", "pid": 1, "started_at": "t"}))
    for name in files:
        (directory / name).write_text("{}")
    found = current_state(Store(str(tmp_path / "root"), str(tmp_path / "run")), ID)
    assert (found and (found["status"], found["exit_code"])) == (expected or {})
