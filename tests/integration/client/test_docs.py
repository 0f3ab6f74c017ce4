"""The examples of docs/python-api.md, run as written, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyctr

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Cli

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/python-api.md"


def test_examples_of_the_documentation_hold(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) > 5
    monkeypatch.setenv("PYCTR_ROOT", str(cli.root))
    monkeypatch.setenv("PYCTR_RUN_ROOT", str(cli.run_root))
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), scope)
    said = capsys.readouterr().out
    assert said.startswith(repr(b"hi\n"))
    assert "is already in use by container" in said
    assert "Minimum memory limit allowed is 6MB" in said
    assert "No such container: none" in said
    assert pyctr.Engine().containers.list(all=True) == []
