"""The tutorial's chapter on images, command by command; Docker Hub is a registry on loopback, by way of `registry-mirrors`.

`login` and `logout` over TLS are in tests/integration/registry/test_real.py, the registry in a container in test_registry.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli
from tests.integration.registry.conftest import running_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID = re.compile(r"sha256:[0-9a-f]{64}\n")


@pytest.fixture(scope="module")
def hub(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that has nginx:alpine and centos:latest, as the Hub has them."""
    with running_registry(tmp_path_factory.mktemp("hub")) as address:
        for name in ("nginx:alpine", "centos:latest"):
            cli("create", "--name", "made", "busybox")
            cli("commit", "-c", f"LABEL name={name}", "made", f"{address}/library/{name}")
            cli("rm", "made")
            cli("push", "-q", f"{address}/library/{name}")
        yield address


@pytest.fixture(scope="module")
def user(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A machine whose configuration names the mirror."""
    directory = tmp_path_factory.mktemp("user")
    (directory / "daemon.json").write_text(json.dumps({"registry-mirrors": [f"http://{hub}"]}))
    user = Cli(directory)
    user.env |= {"PYCTR_CONFIG": str(directory / "daemon.json"), "DOCKER_CONFIG": str(directory / "docker")}
    yield user
    ids = user("ps", "-aq").stdout.split()
    if ids:
        user("rm", "-f", *ids)


def image_id(user: Cli, name: str) -> str:
    return user("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def test_pull_and_images(user: Cli) -> None:
    lines = user("pull", "nginx:alpine").stdout.splitlines()
    assert lines[0] == "alpine: Pulling from library/nginx"
    assert lines[-3].startswith("Digest: sha256:")
    assert lines[-2:] == ["Status: Downloaded newer image for nginx:alpine", "docker.io/library/nginx:alpine"]
    assert user("pull", "centos").stdout.startswith("Using default tag: latest\n")
    header, *rows = user("images").stdout.splitlines()
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    found = {tuple(row.split()[:3]) for row in rows}
    assert found == {
        ("nginx", "alpine", image_id(user, "nginx:alpine")[7:19]),
        ("centos", "latest", image_id(user, "centos")[7:19]),
    }
    assert json.loads(user("inspect", "nginx:alpine").stdout)[0]["RepoTags"] == ["nginx:alpine"]


def test_save_and_load_by_option_and_by_redirect(user: Cli, tmp_path: Path) -> None:
    user("save", "-o", str(tmp_path / "nginx-alpine.tar"), "nginx:alpine")
    user("save", "centos:latest", "-o", str(tmp_path / "centos.tar.gz"))
    assert (tmp_path / "centos.tar.gz").stat().st_mode & 0o777 == 0o600
    with open(tmp_path / "centos-1.tar.gz", "wb") as file:
        subprocess.run(user.command("save", "centos:latest"), env=user.env, stdout=file, check=True)
    assert (tmp_path / "centos.tar.gz").read_bytes() == (tmp_path / "centos-1.tar.gz").read_bytes()
    before = image_id(user, "centos:latest")
    user("rmi", "centos:latest", "nginx:alpine")
    assert user("images", "-q").stdout == ""
    assert user("load", "-i", str(tmp_path / "nginx-alpine.tar")).stdout == "Loaded image: nginx:alpine\n"
    assert user("load", "-i", str(tmp_path / "centos.tar.gz")).stdout == "Loaded image: centos:latest\n"
    with open(tmp_path / "centos-1.tar.gz", "rb") as file:
        done = subprocess.run(user.command("load"), env=user.env, stdin=file, capture_output=True, check=True)
    assert done.stdout == b"Loaded image: centos:latest\n"
    assert image_id(user, "centos:latest") == before


def test_tag_and_push_to_a_registry_of_ones_own(user: Cli, hub: str) -> None:
    name = f"{hub}/nginx:alpine"
    user("pull", "nginx:alpine")
    user("tag", "nginx:alpine", name)
    # The blobs came from this very registry under another name.
    user("tag", "nginx:alpine", f"{hub}/library/nginx:alpine")
    lines = user("push", name).stdout.splitlines()
    assert lines[0] == f"The push refers to repository [{hub}/nginx]"
    assert any(line.endswith(": Mounted from library/nginx") for line in lines)
    assert re.fullmatch(r"alpine: digest: sha256:[0-9a-f]{64} size: \d+", lines[-1])
    assert any(line.endswith(": Layer already exists") for line in user("push", name).stdout.splitlines())
    ids = {line.split()[2] for line in user("images").stdout.splitlines() if "nginx" in line}
    assert len(ids) == 1  # the same IMAGE ID: a further name, nothing more


def test_rmi_by_name_by_id_and_by_force(user: Cli) -> None:
    digest = user("pull", "centos:latest").stdout.splitlines()[-3].removeprefix("Digest: ")
    user("tag", "centos:latest", "mycentos:latest")
    whole = image_id(user, "centos:latest")
    short = whole[7:19]
    assert user("rmi", short, code=1).stderr == (
        f"pyctr: conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories\n"
    )
    lines = user("rmi", short, "-f").stdout.splitlines()
    assert lines[:3] == ["Untagged: centos:latest", f"Untagged: centos@{digest}", "Untagged: mycentos:latest"]
    assert lines[3] == f"Deleted: {whole}"
    assert "centos" not in user("images").stdout
    assert user("system", "check").stdout == ""


def test_export_import_and_commit_of_a_container(user: Cli, tmp_path: Path) -> None:
    user("pull", "-q", "centos")
    container = user("run", "-d", "-i", "-t", "--network", "none", "centos").stdout.strip()
    user("exec", container, "sh", "-c", "echo eagleslab >/index.html")
    archive = str(tmp_path / "centos.tar")
    user("export", "-o", archive, container[:3])
    assert os.stat(archive).st_mode & 0o777 == 0o600
    made = user("import", archive, "mycentos:v1").stdout
    assert ID.fullmatch(made)
    assert user("run", "--rm", "--network", "none", "mycentos:v1", "cat", "/index.html").stdout == "eagleslab\n"
    made = user(
        "commit", "-a", "2177780569@qq.com", "-m", "my nginx image v1", container[:12], "centos_nginx:v1"
    ).stdout
    assert ID.fullmatch(made)
    facts = json.loads(user("image", "inspect", "centos_nginx:v1").stdout)[0]
    assert (facts["Id"], facts["Author"], facts["Comment"]) == (made.strip(), "2177780569@qq.com", "my nginx image v1")
    assert "my nginx image v1" in user("history", "centos_nginx:v1").stdout
    assert user("run", "--rm", "--network", "none", "centos_nginx:v1", "cat", "/index.html").stdout == "eagleslab\n"
    user("rm", "-f", container)
