"""What Docker says beside its output, and which of two options wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import needs_root

if TYPE_CHECKING:
    from tests.conftest import Cli

pytestmark = needs_root


def test_number_wins_over_latest(cli: Cli) -> None:
    for name in ("one", "two", "three"):
        cli("create", "--name", name, "busybox", "true")
    assert cli("ps", "-l", "-n", "2", "--format", "{{.Names}}").stdout.split() == ["three", "two"]
    assert cli("ps", "-l", "--format", "{{.Names}}").stdout.split() == ["three"]


def test_size_of_what_has_none_is_told(cli: Cli) -> None:
    assert cli("inspect", "-s", "-f", "{{.Os}}", "busybox").stderr == "WARNING: --size ignored for image\n"
    assert cli("inspect", "-s", "-f", "{{.Driver}}", "bridge").stderr == "WARNING: --size ignored for network\n"
    cli("create", "--name", "sized", "busybox", "true")
    done = cli("inspect", "-s", "-f", "{{.SizeRw}}", "sized")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_forced_removal_of_a_missing_image_is_told_and_no_failure(cli: Cli) -> None:
    assert cli("rmi", "-f", "nothere").stderr == "pyctr: No such image: nothere:latest\n"
    assert cli("rmi", "nothere", code=1).stderr == "pyctr: No such image: nothere:latest\n"


def test_bound_of_logs_that_cannot_be_read_is_named(cli: Cli) -> None:
    cli("create", "--name", "silent", "busybox", "true")
    for option in ("since", "until"):
        assert cli("logs", f"--{option}", "x", "silent", code=1).stderr == (
            f'pyctr: invalid value for "{option}": failed to parse value as time or duration: "x"\n'
        )


def test_size_is_counted_where_a_template_asks_for_it(cli: Cli) -> None:
    cli("create", "--name", "counted", "busybox", "true")
    shown = cli("ps", "-a", "--filter", "name=counted", "--format", "{{.Size}}").stdout
    assert shown.startswith("0B (virtual ")
    assert cli("ps", "-as", "--filter", "name=counted", "--format", "{{.Size}}").stdout == shown


def test_exec_has_the_variables_of_links(cli: Cli) -> None:
    cli("run", "-d", "--init", "--name", "linked", "busybox", "sleep", "1000")
    cli("run", "-d", "--init", "--name", "linking", "--link", "linked:my-db", "busybox", "sleep", "1000")
    assert "MY_DB_NAME=/linking/my-db\n" in cli("exec", "linking", "env").stdout
    assert "MY_DB" not in cli("exec", "linked", "env").stdout
