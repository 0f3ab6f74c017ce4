"""`pyctr system prune`, and changes that commands make visible to others."""

from __future__ import annotations

from tests.conftest import Cli, needs_root

pytestmark = needs_root


def test_prune_asks_and_removes_what_is_not_used(cli: Cli) -> None:
    kept = cli(
        "run", "-d", "--name", "kept", "-v", "/data", "--network", "none", "busybox", "sleep", "100"
    ).stdout.strip()
    gone = cli("create", "--name", "gone", "-v", "/data", "busybox", "true").stdout.strip()
    cli("network", "create", "unused")
    asked = cli("system", "prune", "--volumes", "--filter", "label!=x", input="n\n").stdout
    assert asked.startswith("WARNING! This will remove:\n  - all stopped containers\n")
    assert "  - all anonymous volumes not used by at least one container\n  - all dangling images\n" in asked
    assert "\n  Items to be pruned will be filtered with:\n  - label!=x\n\nAre you sure" in asked
    assert len(cli("ps", "-aq").stdout.split()) == 2
    done = cli("system", "prune", "-f", "--volumes").stdout
    assert done.startswith(f"Deleted Containers:\n{gone}\n\nDeleted Networks:\nunused\n\nDeleted Volumes:\n")
    assert done.splitlines()[-1].startswith("Total reclaimed space: ")
    assert cli("ps", "-aq", "--no-trunc").stdout == kept + "\n"
    assert len(cli("volume", "ls", "-q").stdout.split()) == 1
    assert cli("system", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
    assert cli("images", "-q").stdout != ""
    cli("rm", "-fv", "kept")


def test_prune_bad_input_is_refused_and_removes_nothing(cli: Cli) -> None:
    cli("create", "--name", "stays", "busybox", "true")
    done = cli("system", "prune", "-f", "--volumes", "--filter", "until=1h", code=1)
    assert done.stderr == 'pyctr: The "until" filter is not supported with "--volumes"\n'
    assert "invalid filter 'x'" in cli("system", "prune", "-f", "--filter", "x=y", code=1).stderr
    assert cli("ps", "-aq").stdout != ""
    cli("rm", "stays")
