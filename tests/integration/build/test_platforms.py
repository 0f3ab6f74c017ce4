"""Builds for other platforms: an index where nothing foreign runs, and what runs only through an interpreter of the kernel's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyctr.build.request import Typed
from pyctr.engine.build.foreign import BINFMT, elf_header
from pyctr.errors import BuildError
from tests.conftest import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.build.conftest import Builder

_PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
def interpreter() -> Iterator[None]:
    """binfmt_misc with busybox for riscv64: whatever name a program has, busybox does the same."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    mounted = not os.path.exists(f"{BINFMT}/register")
    if mounted and subprocess.run(["mount", "-t", "binfmt_misc", "none", BINFMT], capture_output=True).returncode:
        pytest.skip("needs binfmt_misc")
    name = f"pyctr-{os.urandom(4).hex()}"
    magic = "".join(f"\\x{byte:02x}" for byte in elf_header("riscv64"))
    try:
        Path(f"{BINFMT}/register").write_text(f":{name}:M::{magic}::{busybox}:F")
        yield
    finally:
        Path(f"{BINFMT}/{name}").write_text("-1")
        if mounted:
            subprocess.run(["umount", BINFMT], check=True)


def test_archive_of_several_platforms_is_one_image(build: Builder, tmp_path: Path) -> None:
    skopeo = need_tool("skopeo")
    build.write("f", "f")
    archive = tmp_path / "multi.tar"
    build(
        "FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n",
        platforms=_PLATFORMS, outputs=(Typed("oci", {"dest": str(archive)}),), tags=("multi:1",),
    )  # fmt: skip
    for platform in _PLATFORMS:
        architecture = platform.partition("/")[2]
        command = [skopeo, "--override-arch", architecture, "inspect", "--config", f"oci-archive:{archive}:1"]
        config = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert config["architecture"] == architecture
        assert f"COPY f /{architecture} # buildkit" in [entry["created_by"] for entry in config["history"]]


def test_foreign_run_is_refused_before_anything_runs(build: Builder) -> None:
    with pytest.raises(
        BuildError, match=r"RUN for linux/s390x cannot be carried out: this machine is linux/"
    ) as caught:
        build("FROM busybox AS one\nRUN echo ran\nFROM --platform=linux/s390x scratch\nCOPY --from=one / /\nRUN true\n")
    assert caught.value.line == 5
    assert not build.told.started


def test_foreign_run_goes_through_a_registered_interpreter(build: Builder, tmp_path: Path, interpreter: None) -> None:
    shell = build.context / "sh"
    shell.write_bytes(elf_header("riscv64").ljust(256, b"\0"))
    shell.chmod(0o755)
    made = build.files(
        "FROM scratch\nCOPY sh /bin/sh\nRUN echo $0 > /made\n", tmp_path / "out", platforms=("linux/riscv64",)
    )
    assert (made / "made").read_text() == "/bin/sh\n"
