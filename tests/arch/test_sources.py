"""What holds for every source file of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINES_MAX = 520
#: Rust module of the core → modules it may not use (architecture: sys → plan, cgroup, layer → process → monitor).
FORBIDDEN = {
    "sys": ("process", "monitor", "rootfs", "cgroup", "layer", "seccomp", "spec"),
    "plan": ("process", "monitor", "rootfs", "cgroup", "layer"),
    "cgroup": ("process", "monitor", "rootfs", "plan", "layer"),
    "layer": ("process", "monitor", "cgroup", "plan"),
    "seccomp": ("process", "monitor", "cgroup", "plan", "layer", "rootfs"),
    "spec": ("process", "monitor", "cgroup", "plan", "layer", "rootfs"),
    "process": ("monitor", "layer"),
}


def rust_files(module: str) -> list[Path]:
    return sorted((ROOT / "rust/core/src" / module).rglob("*.rs"))


@pytest.mark.parametrize("module", sorted(FORBIDDEN))
def test_rust_layering_points_one_way(module: str) -> None:
    files = rust_files(module)
    if not files:
        pytest.skip("no source tree")
    for file in files:
        for used in re.findall(r"crate::(?:\{)?(\w+)", file.read_text()):
            assert used not in FORBIDDEN[module], f"{file} uses crate::{used}"


def test_unsafe_is_only_where_it_belongs() -> None:
    if not (ROOT / "rust").is_dir():
        pytest.skip("no source tree")
    allowed = ("rust/core/src/sys/", "rust/init/src/sys/", "rust/init/src/main.rs", "rust/runtime/src/sys.rs")
    for file in (ROOT / "rust").rglob("*.rs"):
        name = file.relative_to(ROOT).as_posix()
        if "/tests/" in name or name.startswith(allowed):
            continue
        assert not re.search(r"\bunsafe\s*[{(]|\bunsafe (fn|extern)", file.read_text()), name


def test_files_are_one_room_each() -> None:
    sources = [*ROOT.glob("rust/**/*.rs"), *ROOT.glob("python/**/*.py")]
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in sources
        if "target" not in path.parts
        and "tests" not in path.stem
        and (count := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long
