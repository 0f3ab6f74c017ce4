"""What a build says of its Dockerfile: at the end of a build, alone with --check, and instead of one with error=true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


def test_advice_ends_a_build_and_is_all_of_a_check(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox AS One\nCMD echo\n")
    built = cli("build", "-t", "advised", str(tmp_path))
    assert built.stderr.endswith(
        "\n 2 warnings found (use build --check to expand):\n"
        " - StageNameCasing: Stage name 'One' should be lowercase (line 1)\n"
        " - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 2)\n"
    )
    cli("rmi", "advised")
    checked = cli("build", "--check", "-t", "advised", str(tmp_path), code=1)
    assert checked.stdout.startswith(
        "Check complete, 2 warnings have been found!\n\nWARNING: StageNameCasing - https://"
    )
    assert "Dockerfile:2\n--------------------\n   1 |     FROM busybox AS One\n   2 | >>> CMD echo\n" in checked.stdout
    assert cli("images", "-q", "advised").stdout == ""
    raw = cli("build", "--progress", "rawjson", str(tmp_path)).stderr
    warnings = [json.loads(line)["warnings"][0] for line in raw.splitlines() if '"warnings"' in line]
    assert [warning["range"][0]["start"]["line"] for warning in warnings] == [1, 2]


def test_error_refuses_the_build_after_what_was_found(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# check=error=true\nFROM busybox\nCMD echo\nRUN echo not reached\n")
    refused = cli("build", "-t", "refused", str(tmp_path), code=1)
    assert " 1 warning found" in refused.stderr
    assert refused.stderr.endswith("pyctr: lint violation found for rules: JSONArgsRecommended\n")
    assert "RUN echo" not in refused.stderr
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    assert cli("build", "--check", str(tmp_path)).stdout == "Check complete, no warnings found.\n"
