"""The tutorial's chapter on data, command by command, beside a real docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenario.pair import Pair

pytestmark = needs_root
_NONE = ("--network", "none")
_SLEEP = ("busybox", "sleep", "1000")


def test_named_volume_is_shared_and_stays(pair: Pair) -> None:
    pair.same("volume", "create", "my-vol")
    pair.same("volume", "create", "my-vol")
    pair.same("volume", "ls")
    pair.same("run", "-d", "--name", "one", "-v", "my-vol:/opt/my-vol", *_NONE, *_SLEEP)
    pair.same("exec", "one", "touch", "/opt/my-vol/a.txt")
    pair.same("run", "--rm", "-v", "my-vol:/opt/hh", *_NONE, "busybox", "ls", "/opt/hh")
    pair.same("volume", "rm", "my-vol")
    pair.same("volume", "inspect", "-f", "{{.Driver}} {{.Name}} {{.Scope}}", "my-vol")
    pair.same("ps", "--filter", "volume=my-vol", "--format", "{{.Names}} {{.Mounts}} {{.LocalVolumes}}")
    pair.same("rm", "-f", "one")
    pair.same("volume", "rm", "my-vol")
    for words in (("inspect", "nope"), ("rm", "nope"), ("rm", "-f", "nope"), ("create", "bad name"), ("ls", "-q")):
        pair.same("volume", *words)


def test_directories_files_and_read_only(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page\n")
    pair.same("run", "--rm", "-v", f"{tmp_path}:/html", *_NONE, "busybox", "cat", "/html/index.html")
    pair.same("run", "--rm", "-v", f"{tmp_path}:/html:ro", *_NONE, "busybox", "touch", "/html/x")
    pair.same("run", "--rm", "-v", f"{tmp_path}/index.html:/page:ro", *_NONE, "busybox", "cat", "/page")
    for mount in ("data/web/:/x", "/tmp:/y:bad", "/a:b", ":/x", "/a:/"):
        pair.same("run", "--rm", "-v", mount, *_NONE, "busybox", "true")


def test_volumes_from_running_stopped_and_removed(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("data\n")
    pair.same("run", "-d", "--name", "source", "-v", f"{tmp_path}:/d:ro", *_NONE, *_SLEEP)
    for _ in ("running", "stopped"):
        assert pair.same("run", "--rm", "--volumes-from", "source", *_NONE, "busybox", "cat", "/d/f") == "data\n"
        pair.same("stop", "-t", "0", "source")
    pair.same("rm", "-fv", "source")
    pair.same("run", "--rm", "--volumes-from", "source", *_NONE, "busybox", "cat", "/d/f")


def test_anonymous_volumes_go_with_v(pair: Pair) -> None:
    for name in ("kept", "gone"):
        pair.same("run", "-d", "--name", name, "-v", "/data", *_NONE, *_SLEEP)
    pair.same("rm", "-f", "kept")
    pair.same("rm", "-fv", "gone")
    pair.same("volume", "ls", "--filter", "dangling=true")
