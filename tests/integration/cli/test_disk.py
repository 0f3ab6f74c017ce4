"""`system df`: what Docker counts, the way it counts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Cli


def test_system_df_counts_images_containers_and_volumes(cli: Cli) -> None:
    size = cli("images", "--format", "{{.VirtualSize}}", "busybox").stdout.strip()
    rows = cli("system", "df").stdout.splitlines()
    assert rows[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert rows[1].split() == ["Images", "1", "0", size, size, "(100%)"]
    assert rows[2].split() == ["Containers", "0", "0", "0B", "0B"]
    assert rows[4].split() == ["Build", "Cache", "0", "0", "0B", "0B"]
    cli("run", "--name", "written", "-v", "kept:/kept", "busybox", "sh", "-c", "echo 1234 >/file; echo 12 >/kept/file")
    cli("tag", "busybox", "second:1")
    found = {row["Type"]: row for row in map(json.loads, cli("system", "df", "--format", "json").stdout.splitlines())}
    assert found["Images"] == {
        "Type": "Images", "TotalCount": "1", "Active": "1", "Size": size, "Reclaimable": "0B (0%)",
    }  # fmt: skip
    assert found["Containers"]["Reclaimable"] == "5B (100%)"
    assert found["Local Volumes"]["Size"] == "3B"
    assert found["Local Volumes"]["Reclaimable"] == "0B (0%)"
    assert cli("system", "df", "--format", "table {{.Type}}\t{{.TotalCount}}").stdout.startswith("TYPE")
    verbose = cli("system", "df", "-v").stdout
    for part in (
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: 0B",
    ):
        assert part in verbose
    kept = next(line for line in verbose.splitlines() if line.startswith("kept"))
    assert kept.split() == ["kept", "1", "3B"]
    cli("rm", "written")
    cli("volume", "rm", "kept")
    cli("rmi", "second:1")
