"""BuildKit in a real dockerd beside our builder: what each made of a Dockerfile, in a form that can be compared."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

from pyctr._core import export_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.build.conftest import Builder
    from tests.peers import Peer

#: What a container brings along that is none of the image's.
_RUNTIME = ("dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")

#: Path → type, permissions, owner, link target, digest of the content; hard links are files with the same content.
Tree = dict[str, tuple[object, ...]]


def read_tree(data: bytes) -> Tree:
    """What a tar archive holds."""
    found: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.removeprefix("./").strip("/")
            if not name or name.split("/")[0] in _RUNTIME or name in _RUNTIME:
                continue
            kind, link, content = member.type, member.linkname, ""
            file = archive.extractfile(member) if member.isreg() or member.islnk() else None
            if file is not None:
                kind, link, content = b"0", "", digest(file.read())
            found[name] = (kind, member.mode & 0o7777, member.uid, member.gid, link, content)
    return found


def digest(content: bytes) -> str:
    """What stands for a content in a `Tree`."""
    return hashlib.sha256(content).hexdigest()


def tree_of_ours(build: Builder, image_id: str, tmp_path: Path) -> Tree:
    """What an image of ours holds."""
    path = tmp_path / "mine.tar"
    with path.open("wb") as file:
        export_tree(build.engine.image_store.resolve(image_id).layer_paths(), file.fileno())
    return read_tree(path.read_bytes())


def tree_of_theirs(docker: Peer, image: str) -> Tree:
    """What an image of docker's holds."""
    container = docker("create", "--network", "none", image, "true").strip()
    exported = docker.run("export", container).stdout
    docker("rm", container)
    return read_tree(exported)


def differences(mine: dict[str, object], theirs: dict[str, object]) -> dict[str, tuple[object, object]]:
    """Key → the value of each, where they are not the same."""
    return {
        key: (mine.get(key), theirs.get(key)) for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
    }


def give_busybox(docker: Peer, build: Builder, tmp_path: Path) -> None:
    """Let docker have our busybox, once."""
    if docker.run("image", "inspect", "busybox").returncode:
        archive = tmp_path / "busybox.tar"
        with archive.open("wb") as file:
            build.engine.images.save(["busybox"], file.fileno())
        docker("load", "-i", str(archive))
