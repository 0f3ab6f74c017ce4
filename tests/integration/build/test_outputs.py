"""What a build can make: files, archives that others read, images of several platforms, registries, caches in them."""

from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from pyctr.build.request import Typed
from pyctr.engine import Engine
from pyctr.errors import BuildError, PyctrError
from tests.conftest import need_tool
from tests.fake_registry import FakeRegistry
from tests.integration.build.conftest import Builder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DOCKERFILE = (
    "FROM busybox AS made\nRUN echo hi > /hi && ln -s hi /link\nFROM scratch\nCOPY --from=made /hi /link /out/\n"
)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as serving:
        yield serving


def _name(registry: FakeRegistry, rest: str) -> str:
    return f"{registry.address}/{rest}"


def test_files_in_a_directory_and_in_a_tar(build: Builder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "dest"
    target.mkdir()
    (target / "out").symlink_to("/../../outside")
    with pytest.raises(PyctrError, match="cannot copy to non-directory"):
        build(_DOCKERFILE, outputs=(Typed("local", {"dest": str(target)}),))
    assert not list(outside.iterdir())
    (target / "out").unlink()
    archive = tmp_path / "files.tar"
    build(_DOCKERFILE, outputs=(Typed("local", {"dest": str(target)}), Typed("tar", {"dest": str(archive)})))
    assert (target / "out/hi").read_text() == "hi\n"
    with tarfile.open(archive) as files:
        assert files.getnames() == ["out", "out/hi", "out/link"]
    with pytest.raises(PyctrError, match="output directory is required"):
        build(_DOCKERFILE, outputs=(Typed("tar", {}),))


def test_archives_are_read_by_skopeo(build: Builder, tmp_path: Path) -> None:
    skopeo = need_tool("skopeo")
    for kind, transport in (("docker", "docker-archive"), ("oci", "oci-archive")):
        archive = tmp_path / f"{kind}.tar"
        built = build(_DOCKERFILE, outputs=(Typed(kind, {"dest": str(archive)}),), tags=("made:1",))
        shown = subprocess.run([skopeo, "inspect", f"{transport}:{archive}"], capture_output=True, check=True)
        assert len(json.loads(shown.stdout)["Layers"]) == 1
        assert not build.engine.images.exists("made:1")
        assert built.images[0].id


def test_platforms_that_run_nothing_foreign_become_an_index(build: Builder, registry: FakeRegistry) -> None:
    build.write("f", "f")
    name = _name(registry, "multi/app:1")
    built = build(
        "FROM --platform=$BUILDPLATFORM busybox AS made\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n"
        "FROM scratch\nCOPY --from=made /arch f /\n".replace("/arch f /", "/arch /") + "COPY f /\n",
        platforms=("linux/amd64", "linux/arm64"), tags=(name,), outputs=(Typed("registry", {}),),
    )  # fmt: skip
    assert [image.platform for image in built.images] == ["linux/amd64", "linux/arm64"]
    assert built.index_digest
    index = json.loads(registry.manifests["multi/app", "1"][1])
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    with pytest.raises(BuildError, match="manifest list"):
        build(
            "FROM scratch\nCOPY f /\n",
            platforms=("linux/amd64", "linux/arm64"),
            outputs=(Typed("docker", {"dest": "/x"}),),
        )


def test_cache_in_a_registry_and_inline_in_an_image(build: Builder, registry: FakeRegistry, tmp_path: Path) -> None:
    build.write("f", "registry")
    dockerfile = "FROM busybox\nCOPY f /f\nRUN cat /f > /g\n"
    cache, name = _name(registry, "cache/app:latest"), _name(registry, "inline/app:1")
    first = build(
        dockerfile,
        annotations={"a": "b"},
        cache_to=(Typed("registry", {"ref": cache, "mode": "max"}), Typed("inline", {})),
        tags=(name,),
        outputs=(Typed("image", {"push": "true"}),),
    ).images[0]
    for number, reference in enumerate((cache, name)):
        other = Engine(str(tmp_path / f"root{number}"), str(tmp_path / f"run{number}"))
        other.images.bootstrap("busybox", include=[])
        elsewhere = Builder(other, build.context)
        again = elsewhere(dockerfile, cache_from=(Typed("registry", {"ref": reference}),)).images[0]
        assert not elsewhere.told.warnings
        assert not [line for line in elsewhere.told.started if line.startswith(("RUN", "COPY"))]
        # With inline records the config, and so the id, is another; the layers are the same.
        assert other.image_store.resolve(again.id).layers == build.engine.image_store.resolve(first.id).layers


def test_history_and_layers_agree(build: Builder) -> None:
    image = build('FROM busybox\nRUN true\nWORKDIR /\nWORKDIR /new\nENV A=1\nRUN echo x > /x\nCMD ["sh"]\n').images[0]
    config = build.engine.image_store.resolve(image.id).config
    with_layer = [entry["created_by"] for entry in config["history"] if not entry.get("empty_layer")]
    assert len(with_layer) == len(config["rootfs"]["diff_ids"]) == 3
    assert "WORKDIR /new" in with_layer[1]
    assert "echo x" in with_layer[2]
