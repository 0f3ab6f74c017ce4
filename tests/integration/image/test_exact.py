"""Layers of pyctr read by docker, podman, umoci and tar, and theirs read by pyctr: the same tree each time."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Cli, need_tool, needs_root
from tests.integration.layer.test_pack import seen
from tests.integration.layer.trees import make_tree
from tests.peers import podman_with, running_dockerd

pytestmark = needs_root


def layer_directory(cli: Cli, image: str) -> Path:
    """Where the topmost layer of an image is extracted."""
    inspected = json.loads(cli("image", "inspect", image).stdout)[0]
    return Path(inspected["GraphDriver"]["Data"]["UpperDir"])


@pytest.fixture(scope="module")
def tree(cli: Cli) -> Path:
    """A container's upper directory with every kind of file in `t`, committed as `exact`; some of the image's removed."""
    container = cli("create", "--name", "exact", "busybox", "true").stdout.strip()
    upper = Path(json.loads(cli("inspect", container).stdout)[0]["GraphDriver"]["Data"]["UpperDir"])
    make_tree(upper / "t")
    (upper / "bin").mkdir()
    os.mknod(upper / "bin/ls", 0o20000, 0)  # overlay's whiteout
    (upper / "var").mkdir()
    os.setxattr(upper / "var", "trusted.overlay.opaque", b"y")
    assert cli("commit", "-m", "exact", container, "exact").stdout.startswith("sha256:")
    return upper / "t"


@pytest.fixture(scope="module")
def archive(cli: Cli, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert tree
    path = tmp_path_factory.mktemp("archive") / "exact.tar"
    cli("save", "-o", str(path), "exact")
    return path


def test_commit_own_layer_is_the_tree(cli: Cli, tree: Path) -> None:
    layer = layer_directory(cli, "exact")
    assert seen(layer / "t") == seen(tree)
    assert (layer / "bin/ls").is_char_device()
    assert os.getxattr(layer / "var", "trusted.overlay.opaque") == b"y"


def test_docker_reads_the_tree(archive: Path, cli: Cli, tree: Path) -> None:
    with running_dockerd() as docker:
        assert docker("load", "-i", str(archive)) == "Loaded image: exact:latest\n"
        inspected = json.loads(docker("image", "inspect", "exact"))[0]
        assert inspected["Id"] == json.loads(cli("image", "inspect", "exact").stdout)[0]["Id"]
        upper = Path(inspected["GraphDriver"]["Data"]["UpperDir"])
        theirs, ours = seen(upper / "t"), seen(tree)
        for entry in ours.values():
            entry["mtime"] = max(entry["mtime"], 0)  # dockerd knows no time before 1970
        assert theirs == ours
        assert (upper / "bin/ls").is_char_device()
        assert os.getxattr(upper / "var", "trusted.overlay.opaque") == b"y"


def test_podman_reads_the_tree(archive: Path, cli: Cli, tree: Path) -> None:
    image_id = json.loads(cli("image", "inspect", "exact").stdout)[0]["Id"]
    with podman_with() as podman:
        podman("load", "-i", str(archive))
        inspected = json.loads(podman("image", "inspect", image_id[7:]))[0]
        upper = inspected["GraphDriver"]["Data"].get("UpperDir")
        if upper is None:
            pytest.skip("podman keeps no overlay here")
        theirs, ours = seen(Path(upper) / "t"), seen(tree)
        for entry in ours.values():
            entry["mtime"] = max(entry["mtime"], 0)  # podman knows no time before 1970
        for entry in (*theirs.values(), *ours.values()):
            # podman's reader keeps these of all attributes
            entry["xattrs"] = {name: value for name, value in entry["xattrs"].items() if name == "security.capability"}
        assert theirs == ours


def test_umoci_reads_the_tree_and_writes_one(archive: Path, cli: Cli, tree: Path, tmp_path: Path) -> None:
    umoci, skopeo = need_tool("umoci"), need_tool("skopeo")
    copy = [skopeo, "copy", "-q", "--insecure-policy"]
    subprocess.run([*copy, f"oci-archive:{archive}:latest", f"oci:{tmp_path}/oci:latest"], check=True)
    subprocess.run([umoci, "unpack", "--image", f"{tmp_path}/oci:latest", tmp_path / "bundle"], check=True)
    root = tmp_path / "bundle/rootfs"
    assert seen(root / "t") == seen(tree)
    assert not (root / "bin/ls").exists()
    assert (root / "bin/sh").exists()
    assert not os.listdir(root / "var")
    # And back: another tree, something removed
    make_tree(root / "u")
    subprocess.run(["rm", "-r", root / "t/dir"], check=True)
    subprocess.run([umoci, "repack", "--image", f"{tmp_path}/oci:back", tmp_path / "bundle"], check=True)
    subprocess.run([*copy, f"oci:{tmp_path}/oci:back", f"oci-archive:{tmp_path}/back.tar:back:1"], check=True)
    assert cli("load", "-i", str(tmp_path / "back.tar")).stdout == "Loaded image: back:1\n"
    layer = layer_directory(cli, "back:1")
    theirs, ours = seen(root / "u"), seen(layer / "u")
    for name, entry in ours.items():
        # umoci rounds to the next second
        assert 0 <= entry.pop("mtime") - theirs[name].pop("mtime") <= 1
    assert ours == theirs
    assert (layer / "t/dir").is_char_device()


def test_tar_reads_the_exported_tree_and_import_takes_it_back(cli: Cli, tree: Path, tmp_path: Path) -> None:
    with (tmp_path / "export.tar").open("wb") as file:
        subprocess.run(cli.command("export", "exact"), env=cli.env, stdout=file, check=True)
    (tmp_path / "out").mkdir()
    command = ["tar", "-C", tmp_path / "out", "--xattrs", "--xattrs-include=*", "-xpf", tmp_path / "export.tar"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert seen(tmp_path / "out/t") == seen(tree)
    assert (tmp_path / "out/bin/sh").exists()
    assert not (tmp_path / "out/bin/ls").exists()
    done = cli("import", "-m", "back", "-c", "CMD /bin/sh", str(tmp_path / "export.tar"), "imported:1")
    assert done.stdout.startswith("sha256:")
    assert seen(layer_directory(cli, "imported:1") / "t") == seen(tree)


def test_load_takes_what_docker_saves(archive: Path, cli: Cli, tree: Path, tmp_path: Path) -> None:
    with running_dockerd() as docker:
        docker("load", "-i", str(archive))
        docker("tag", "exact", "exact:docker")
        docker("save", "-o", str(tmp_path / "docker.tar"), "exact:docker")
    assert cli("load", "-i", str(tmp_path / "docker.tar")).stdout == "Loaded image: exact:docker\n"
    first, second = (json.loads(cli("image", "inspect", f"exact:{tag}").stdout)[0] for tag in ("latest", "docker"))
    assert first["Id"] == second["Id"]
    assert first["RootFS"] == second["RootFS"]
    assert seen(layer_directory(cli, "exact:docker") / "t") == seen(tree)


def test_save_twice_gives_the_same_bytes_and_each_blob_once(cli: Cli, archive: Path, tmp_path: Path) -> None:
    cli("tag", "exact", "other/exact:2")
    done = subprocess.run(cli.command("save", "exact:latest"), env=cli.env, capture_output=True, check=True)
    assert done.stdout == archive.read_bytes()
    cli("save", "-o", str(tmp_path / "both.tar"), "exact:latest", "other/exact:2", "busybox")
    with tarfile.open(tmp_path / "both.tar") as opened:
        names = opened.getnames()
        manifest = json.load(opened.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert len(names) == len(set(names))
    assert [entry["RepoTags"] for entry in manifest] == [["exact:latest", "other/exact:2"], ["busybox:latest"]]
