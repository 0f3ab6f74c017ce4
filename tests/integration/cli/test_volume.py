"""Volumes: `volume` commands, first use, drivers, --volumes-from."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, needs_root
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
RUN = ["run", "--rm", "--network", "none"]


@pytest.fixture(autouse=True)
def _clean(cli: Cli) -> Iterator[None]:
    yield
    for container in cli("ps", "-aq").stdout.split():
        cli("rm", "-f", "-v", container)
    wait_until(lambda: cli("volume", "prune", "-af") and cli("volume", "ls", "-q").stdout == "", "no volume is left")


@pytest.fixture(scope="module")
def image(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Busybox with content at /data, a link to it, and a declared volume."""
    import hashlib

    base = tmp_path_factory.mktemp("image")
    cli("run", "--name", "made", "--network", "none", "busybox", "true")
    root = Path(json.loads(cli("inspect", "-f", "{{json .GraphDriver.Data.LowerDir}}", "made").stdout))
    cli("rm", "made")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
        for name, mode, uid in (("data", 0o1771, 33), ("data/sub", 0o750, 7)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid = tarfile.DIRTYPE, mode, uid
            tar.addfile(entry)
        entry = tarfile.TarInfo("data/sub/file")
        entry.size, entry.mode = 8, 0o4755
        tar.addfile(entry, io.BytesIO(b"content\n"))
        for name, target in (("link", "/data"), ("data/out", "/etc/passwd")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    diff_id = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "config": {"Volumes": {"/data": {}}, "Cmd": ["sh"], "Env": ["PATH=/bin"]},
    }).encode()  # fmt: skip
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["filled:1"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(base / "image.tar", "w") as tar:
        for name, data in (("layer.tar", layer.getvalue()), ("config.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    cli("load", "-i", str(base / "image.tar"))
    return "filled:1"


def test_volume_first_use_copies_the_images_content(cli: Cli, image: str) -> None:
    show = "stat -c '%a %u %F' /v /v/sub /v/sub/file /v/out; cat /v/sub/file; readlink /v/out"
    done = cli(*RUN, "-v", "named:/v", "-v", "other:/data", image, "sh", "-c", "ls -A /v; ls -A /data")
    assert done.stdout.splitlines() == ["out", "sub"], "nothing at /v, everything at /data"
    shown = cli(*RUN, "-v", "other:/v", image, "sh", "-c", show).stdout.splitlines()
    assert shown == [
        "1771 33 directory", "750 7 directory", "4755 0 regular file", "777 0 symbolic link", "content", "/etc/passwd",
    ]  # fmt: skip


def test_volume_first_use_follows_the_images_link_and_is_once(cli: Cli, image: str) -> None:
    assert cli(*RUN, "-v", "linked:/link", image, "ls", "/link").stdout == "out\nsub\n"
    cli(*RUN, "-v", "linked:/v", image, "sh", "-c", "rm -r /v/*")
    assert cli(*RUN, "-v", "linked:/v", image, "ls", "/v").stdout == "", "emptied, and /v holds nothing"
    assert cli(*RUN, "-v", "bare:/data:nocopy", image, "ls", "/data").stdout == ""
    cli(*RUN, "-v", "kept:/v", "busybox", "touch", "/v/mine")
    assert cli(*RUN, "-v", "kept:/data", image, "ls", "/data").stdout == "mine\n"


def test_volume_anonymous_goes_with_its_container_only_if_told(cli: Cli, image: str) -> None:
    cli(*RUN, image, "true")
    wait_equal(lambda: cli("volume", "ls", "-q").stdout, "", "--rm takes it along, when the command has come back")
    cli("run", "--name", "one", "--network", "none", image, "touch", "/data/mine")
    (name,) = cli("volume", "ls", "-q").stdout.split()
    assert len(name) == 64
    cli("rm", "one")
    assert cli("volume", "ls", "-qf", "dangling=true").stdout.split() == [name]
    cli("run", "--name", "two", "--network", "none", image, "true")
    cli("rm", "-v", "two")
    assert cli("volume", "ls", "-q").stdout.split() == [name]
    done = cli("volume", "prune", "-f")
    assert done.stdout.startswith(f"Deleted Volumes:\n{name}\n\nTotal reclaimed space: ")


def test_volume_commands_say_what_docker_says(cli: Cli) -> None:
    assert cli("volume", "create", "--label", "a=b", "data").stdout == "data\n"
    assert cli("volume", "create", "data").stdout == "data\n"
    assert cli("volume", "ls").stdout == "DRIVER    VOLUME NAME\nlocal     data\n"
    assert cli("volume", "ls", "--format", "{{.Name}}: {{.Labels}} {{.Scope}}").stdout == "data: a=b local\n"
    (shown,) = json.loads(cli("volume", "inspect", "data").stdout)
    assert sorted(shown) == ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]
    assert os.path.isdir(shown["Mountpoint"])
    assert (shown["Labels"], shown["Options"]) == ({"a": "b"}, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["CreatedAt"])
    cli("volume", "create", "plain")
    assert cli("volume", "inspect", "-f", "{{json .Labels}} {{json .Options}}", "plain").stdout == "null null\n"
    cli("volume", "rm", "plain")
    assert cli("volume", "inspect", "-f", "{{.Name}}", "data").stdout == "data\n"
    done = cli("volume", "inspect", "none", code=1)
    assert (done.stdout, done.stderr) == ("[]\n", "pyctr: get none: no such volume\n")
    container = cli("create", "-v", "data:/d", "busybox", "true").stdout.strip()
    done = cli("volume", "rm", "data", code=1)
    assert done.stderr == f"pyctr: remove data: volume is in use - [{container}]\n"
    cli("rm", container)
    assert cli("volume", "rm", "data").stdout == "data\n"
    assert cli("volume", "rm", "data", code=1).stderr == "pyctr: get data: no such volume\n"
    cli("volume", "rm", "-f", "data")
    assert cli("volume", "prune", input="n\n").stdout.endswith("[y/N] ")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a"], "too short"),
        (["a/b"], "includes invalid characters for a local volume name"),
        (["..",], "includes invalid characters"),
        (["-d", "nfs", "vv"], 'plugin "nfs" not found'),
        (["-o", "size=1", "vv"], 'invalid option: "size"'),
        (["-o", "type=tmpfs", "vv"], 'missing required option: "device"'),
    ],
)  # fmt: skip
def test_volume_create_bad_input_is_refused(cli: Cli, args: list[str], words: str) -> None:
    assert words in cli("volume", "create", *args, code=1).stderr


def test_volume_driver_options_are_mounted_where_it_is_used(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    cli("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "bound")
    cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=33", "memory")
    script = "cat /b/file; stat -c %u /m; df -k /m | tail -1 | awk '{print $2}'; touch /b/new"
    done = cli(*RUN, "-v", "bound:/b", "-v", "memory:/m", "busybox", "sh", "-c", script)
    assert done.stdout.split() == ["host", "33", "1024"]
    assert (tmp_path / "new").exists()
    assert cli(*RUN, "-v", "bound:/b:ro", "busybox", "touch", "/b/x", code=1).stderr.endswith("Read-only file system\n")
    mount = f"type=volume,src=third,dst=/b,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}"
    assert cli(*RUN, "--mount", mount, "busybox", "cat", "/b/file").stdout == "host\n"


def test_volumes_from_shares_also_a_stopped_containers(cli: Cli, image: str) -> None:
    cli("create", "--name", "source", "-v", "shared:/s", image)
    cli(*RUN, "--volumes-from", "source", "busybox", "sh", "-c", "echo x >/s/new; ls /data")
    assert cli(*RUN, "-v", "shared:/s", "busybox", "cat", "/s/new").stdout == "x\n"
    done = cli(*RUN, "--volumes-from", "source:ro", "busybox", "touch", "/s/y", code=1)
    assert "Read-only file system" in done.stderr
    cli("rm", "-v", "source")
    assert "source" in cli(*RUN, "--volumes-from", "source", "busybox", "true", code=125).stderr
