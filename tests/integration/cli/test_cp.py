"""`cp` by Docker's rules, both ways, running and stopped, and links that want out."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
MAKE = """mkdir -p /d/sub; echo one >/d/file; echo two >/d/sub/two; chown 33:33 /d/file; chmod 4751 /d/file
ln -s /etc/passwd /out; ln -s /d/file /link; ln -s ../../../../../../etc /escape; echo vol >/vol/in; mkfifo /d/fifo"""


@pytest.fixture(params=["running", "stopped"])
def container(request: pytest.FixtureRequest, cli: Cli) -> Iterator[str]:
    script = MAKE + "; touch /ready; exec sleep 1000"
    name = cli("run", "-d", "--network", "none", "-v", "/vol", "busybox", "sh", "-c", script).stdout.strip()
    wait_until(lambda: cli("exec", name, "test", "-e", "/ready", code=None).returncode == 0, "its files")
    if request.param == "stopped":
        cli("kill", name)
        cli("wait", name)
    yield name
    cli("rm", "-f", "-v", name)


def test_cp_out_follows_dockers_rules_of_names(cli: Cli, container: str, tmp_path: Path) -> None:
    def out(source: str, target: str, code: int = 0) -> str:
        return cli("cp", f"{container}:{source}", target, code=code, cwd=tmp_path).stderr

    out("/d/file", "new")
    assert (tmp_path / "new").read_text() == "one\n"
    assert (tmp_path / "new").stat().st_uid == os.geteuid()
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o4751
    (tmp_path / "existing").mkdir()
    out("/d/file", "existing")
    out("/d", "existing")
    out("/d/.", "existing")
    names = sorted(str(path.relative_to(tmp_path / "existing")) for path in (tmp_path / "existing").rglob("*"))
    assert names == ["d", "d/fifo", "d/file", "d/sub", "d/sub/two", "fifo", "file", "sub", "sub/two"]
    out("/d/sub", "fresh")
    assert (tmp_path / "fresh/two").read_text() == "two\n"
    out("d/sub/.", "again")
    assert (tmp_path / "again/two").read_text() == "two\n"
    assert "cannot copy directory" in out("/d", "new", code=1)
    assert "the destination directory must exist" in out("/d/file", "missing/", code=1)
    assert "no such file or directory" in out("/d/file", "no/such/place", code=1)
    assert f"Could not find the file /none in container {container}" in out("/none", "x", code=1)
    out("/vol/in", "volume")
    assert (tmp_path / "volume").read_text() == "vol\n"


def test_cp_links_are_copied_or_followed_inside_only(cli: Cli, container: str, tmp_path: Path) -> None:
    cli("cp", f"{container}:/link", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "/d/file"
    cli("cp", "-L", f"{container}:/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "one\n"
    (tmp_path / "mine").write_text("mine\n")
    done = cli("cp", str(tmp_path / "mine"), f"{container}:/escape/", code=None)
    assert not Path("/etc/mine").exists(), done.stderr
    done = cli("cp", "-L", f"{container}:/escape/hostname", str(tmp_path / "host"), code=None)
    assert done.returncode == 1 or (tmp_path / "host").read_text() != Path("/etc/hostname").read_text()
    cli("cp", "-L", f"{container}:/out", str(tmp_path / "passwd"))
    assert (tmp_path / "passwd").read_text() != Path("/etc/passwd").read_text(), "the container's own"


def test_cp_in_is_seen_inside_and_owned_by_root_or_as_it_was(cli: Cli, container: str, tmp_path: Path) -> None:
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_text("content\n")
    os.chown(tmp_path / "tree/deep/file", 7, 8)
    cli("cp", str(tmp_path / "tree"), f"{container}:/new")
    cli("cp", str(tmp_path / "tree"), f"{container}:/d")
    cli("cp", "-a", f"{tmp_path}/tree/.", f"{container}:/vol")
    shown = {}
    for path in ("/new/deep/file", "/d/tree/deep/file", "/vol/deep/file"):
        data = subprocess.run(
            cli.command("cp", f"{container}:{path}", "-"), env=cli.env, capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(data.stdout)) as tar:
            (member,) = tar.getmembers()
            shown[path] = (member.name, member.uid, member.gid)
    assert shown == {
        "/new/deep/file": ("file", 0, 0), "/d/tree/deep/file": ("file", 0, 0), "/vol/deep/file": ("file", 7, 8),
    }  # fmt: skip
    assert "Could not find the file /no" in cli("cp", str(tmp_path / "tree"), f"{container}:/no/x", code=1).stderr


def test_cp_streams_are_tars(cli: Cli, container: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("../../escaped")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"x\n"))
    command = cli.command("cp", "-", f"{container}:/d/sub")
    done = subprocess.run(command, env=cli.env, input=archive.getvalue(), capture_output=True, check=False)
    assert not Path("/escaped").exists()
    assert done.returncode == 1 or cli("cp", f"{container}:/d/sub/escaped", "-", code=0)
    done = subprocess.run(
        cli.command("cp", "-", f"{container}:/d/file"), env=cli.env, input=b"", capture_output=True, check=False
    )
    assert b"must be a directory" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a:/x", "b:/y"], "copying between containers is not supported"),
        (["/x", "/y"], "must specify at least one container source"),
        (["no-such:/x", "/tmp"], "No such container: no-such"),
    ],
)
def test_cp_bad_input_is_one_line(cli: Cli, args: list[str], words: str) -> None:
    done = cli("cp", *args, code=1)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
