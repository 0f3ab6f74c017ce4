"""`manifest create`, `annotate`, `push`, `inspect`, `rm` beside Docker's client, which needs no daemon for them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool, needs_root
from tests.fake_registry import FakeRegistry, Layer, tar_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


@pytest.fixture(scope="module")
def images(cli: Cli, registry: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An image a platform, each with a tag of its own."""
    path = tmp_path_factory.mktemp("images") / "one.tar"
    path.write_bytes(tar_of({"one": b"1"}))
    names = [f"{registry}/many:{platform.replace('/', '-')}" for platform in PLATFORMS]
    for name, platform in zip(names, PLATFORMS, strict=True):
        cli("import", "--platform", platform, str(path), name)
        cli("push", "-q", name)
        cli("rmi", name)
    return names


class Both:
    """The same command of both; Docker's has to be told that loopback is insecure."""

    def __init__(self, ours: Cli, directory: Path) -> None:
        self.ours = ours
        self.docker = need_tool("docker")
        self.env = {**ours.env, "DOCKER_CONFIG": str(directory), "DOCKER_HOST": "unix:///nonexistent"}

    def __call__(self, command: str, *words: str, code: int = 0) -> str:
        """Code, output and errors are the same; the output."""
        insecure = ["--insecure"] if command in ("create", "push", "inspect") else []
        theirs = subprocess.run(
            [self.docker, "manifest", command, *insecure, *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        ours = self.ours("manifest", command, *words, code=code)
        errors = "".join(line.removeprefix("pyctr: ") for line in ours.stderr.splitlines(keepends=True))
        assert (ours.returncode, ours.stdout, errors) == (theirs.returncode, theirs.stdout, theirs.stderr)
        return ours.stdout


def test_lists_are_those_of_dockers_client(registry: str, images: list[str], other: Cli, tmp_path: Path) -> None:
    both = Both(other, tmp_path / "theirs")
    amd64, arm64, arm = images
    name = f"{registry}/many:all"
    assert both("create", name, amd64, arm64) == f"Created manifest list {name}\n"
    both("create", name, arm, code=1)
    both("create", "--amend", name, arm, amd64)
    both("inspect", name)
    both("inspect", "-v", name)
    both("annotate", name, arm, "--variant", "v6", "--os-version", "3", "--os-features", "b,a", "--os-features", "a,c")
    both("annotate", name, arm)
    both("annotate", name, arm64, "--arch", "nothing", code=1)
    both("annotate", name, arm64, "--os", "windows", code=1)
    both("annotate", name, f"{registry}/many:absent", "--arch", "arm64", code=1)
    both("annotate", "absent", arm, code=1)
    both("inspect", name, arm)
    both("inspect", "-v", name, arm)
    both("inspect", name, f"{registry}/many:absent", code=1)
    digest = both("push", name).strip()
    assert json.loads(both("inspect", name))["manifests"][1]["platform"]["variant"] == "v6"
    assert both("rm", name) == ""
    both("rm", name, "absent", code=1)
    # Now it is the registry's that is shown, and pulled.
    both("inspect", name)
    both("inspect", amd64)
    both("inspect", "-v", amd64)
    assert digest in other("pull", "--platform", "linux/arm64", name).stdout
    assert other("image", "inspect", "-f", "{{.Architecture}}", name).stdout == "arm64\n"


def test_list_of_another_repository_brings_its_images_along(
    registry: str, images: list[str], other: Cli, tmp_path: Path
) -> None:
    both = Both(other, tmp_path / "theirs")
    name = f"{registry}/elsewhere"
    both("create", name, *images)
    said = both("push", "--purge", name).splitlines()
    assert [line.partition("@")[0] for line in said[:-1]] == [f"Pushed ref {name}"] * 3
    both("push", name, code=1)
    other("pull", "--platform", "linux/arm/v7", name)
    both("create", "docker.io/me/app:1", images[0])
    both("push", "docker.io/me/app:1", code=1)


def test_what_is_no_list_of_images_is_refused(registry: str, images: list[str], other: Cli, tmp_path: Path) -> None:
    both = Both(other, tmp_path / "theirs")
    name = f"{registry}/many:refused"
    both("create", name, images[0], f"{registry}/many:absent", code=1)
    other("manifest", "rm", name, code=1)  # nothing is made of the half that was there
    both("create", f"{registry}/Many", images[0], code=1)
    both("create", f"{registry}/many:2", f"{registry}/Many", code=1)
    for words in (("rm",), ("push",)):
        both(*words, f"{registry}/Many", code=1)
    both("annotate", f"{registry}/Many", images[0], code=1)
    both("annotate", name, f"{registry}/Many", code=1)
    both("create", f"{registry}/many:index", *images)
    both("push", "-p", f"{registry}/many:index")
    both("create", f"{registry}/many:nested", f"{registry}/many:index", code=1)


def test_two_lists_at_once_lose_no_entry(registry: str, images: list[str], other: Cli) -> None:
    name = f"{registry}/many:both"
    other("manifest", "create", name, images[0])
    processes = [
        subprocess.Popen(other.command("manifest", "create", "--amend", name, image), env=other.env)
        for image in images[1:]
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(json.loads(other("manifest", "inspect", name).stdout)["manifests"]) == 3


def test_list_whose_file_is_damaged_is_one_line(other: Cli, registry: str, images: list[str]) -> None:
    name = f"{registry}/many:damaged"
    other("manifest", "create", name, images[0])
    (file,) = (other.root / "manifests").glob("*.json")
    file.write_text("{")
    done = other("manifest", "push", name, code=1)
    assert done.stderr.endswith("malformed\n")
    assert done.stderr.count("\n") == 1


def test_blob_that_cannot_be_mounted_ends_the_push(other: Cli) -> None:
    fake = FakeRegistry()
    with fake.serving():
        layer = Layer(tar_of({"one": b"1"}))
        fake.put_image("a", "1", [layer])
        other("manifest", "create", f"{fake.address}/b:1", f"{fake.address}/a:1")
        fake.faults.append(lambda asked: "mount=" in asked.path and asked.fail(403, "DENIED"))
        fake.faults.append(lambda asked: "/b/blobs/sha256" in asked.path and asked.fail(404, "BLOB_UNKNOWN"))
        done = other("manifest", "push", f"{fake.address}/b:1", code=1)
    assert done.stderr == (f"pyctr: push {fake.address}/b:1: blob {layer.digest} cannot be mounted from a\n")
    assert ("b", "1") not in fake.manifests
