"""Which platforms this machine runs, by what binfmt_misc says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyctr.engine.build.foreign import elf_header, is_native, matches
from pyctr.image.manifest import host_platform

if TYPE_CHECKING:
    from pathlib import Path

#: As qemu-user-static registers it.
_ARM64 = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def test_entry_is_for_executables_of_its_architecture_only() -> None:
    assert matches(_ARM64, elf_header("arm64"))
    for other in ("amd64", "arm", "riscv64", "s390x", "ppc64"):
        assert not matches(_ARM64, elf_header(other))


@pytest.mark.parametrize(
    "entry",
    ["", _ARM64.replace("enabled", "disabled"), "enabled\ninterpreter /x\nextension .arm\n", "enabled\nmagic zz\n"],
)
def test_entry_that_is_off_or_of_another_kind_matches_nothing(entry: str) -> None:
    assert not matches(entry, elf_header("arm64"))


def test_platform_is_native_with_an_entry_and_not_without(tmp_path: Path) -> None:
    foreign = "arm64" if host_platform()[1] == "amd64" else "amd64"
    assert is_native("/".join(host_platform()[:2]), directory=str(tmp_path))
    assert not is_native(f"linux/{foreign}", directory=str(tmp_path / "missing"))
    (tmp_path / "any-name").write_text(_ARM64.replace("0200b700", elf_header(foreign)[16:20].hex()))
    (tmp_path / "status").write_text("enabled\n")
    assert is_native(f"linux/{foreign}", directory=str(tmp_path))
    assert not is_native(f"windows/{foreign}", directory=str(tmp_path))
    (tmp_path / "status").write_text("disabled\n")
    assert not is_native(f"linux/{foreign}", directory=str(tmp_path))
