"""What the start path may import, and which package may know which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyctr

PACKAGE = Path(pyctr.__file__).parent
#: Costly to import (docs/design.md, "The Python packages"): none of them before a container starts.
HEAVY = frozenset(
    ("typer", "click", "rich", "json", "re", "typing", "dataclasses", "pathlib", "enum", "subprocess", "logging",
     "argparse", "inspect", "socket", "asyncio", "tempfile", "shutil", "urllib", "tarfile", "threading", "random")
)  # fmt: skip
#: Package → packages of pyctr it may import; dependencies point one way.
ALLOWED = {
    "errors": set(),
    "client": {"errors", "engine", "build", "compose"},
    "api": {"errors", "_core", "engine", "image", "client", "build"},
    "image": {"errors", "_core"},
    "hello": {"errors", "image"},
    "network": {"errors", "_core"},
    "registry": {"errors", "_core", "image"},
    "build": {"errors", "_core", "image"},
    "engine": {"errors", "_core", "image", "registry", "hello", "network", "build"},
    "compose": {"errors", "_core", "engine", "image", "build"},
    "cli": {"errors", "_core", "engine", "image", "build", "compose", "api"},
}


#: Each costs `exec` a quarter of a millisecond.
EXEC_MODULES = frozenset(
    ("pyctr", "pyctr._core", "pyctr.errors", "pyctr.engine", "pyctr.engine.containers", "pyctr.engine.spec",
     "pyctr.engine.spec.environment", "pyctr.cli", "pyctr.cli.commands", "pyctr.cli.commands.execute", "pyctr.cli.main",
     "pyctr.cli.parse", "pyctr.cli.table", "pyctr.engine.containers.execute", "pyctr.engine.containers.foreground",
     "pyctr.engine.containers.session", "pyctr.engine.containers.state", "pyctr.engine.containers.store")
)  # fmt: skip


def pyctr_modules_after(code: str) -> set[str]:
    """Modules of pyctr that were imported, by their whole names."""
    return {name for name in imported_by(code) if name.partition(".")[0] == "pyctr"}


def modules_after(code: str) -> set[str]:
    """Packages in sys.modules beyond those of a bare interpreter."""
    return {name.partition(".")[0] for name in imported_by(code)}


def imported_by(code: str) -> set[str]:
    """Names in sys.modules beyond those of a bare interpreter."""
    script = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); before = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["run", "execute", "lifecycle", "ps", "logs"])
def test_hot_command_imports_nothing_heavy(module: str) -> None:
    code = (
        f"import pyctr.cli.main, pyctr.cli.commands.{module}\n"
        "from pyctr.engine import Engine\nengine = Engine('/nonexistent', '/nonexistent')\n"
        "engine.containers, engine.image_store"
    )
    assert not modules_after(code) & HEAVY


def test_exec_imports_what_it_plans_with_and_no_more() -> None:
    code = (
        "import pyctr.cli.main, pyctr.cli.commands.execute, pyctr.engine.containers.execute, pyctr.engine.spec.environment\n"
        "from pyctr.engine import Engine\nEngine('/nonexistent', '/nonexistent').containers"
    )
    assert pyctr_modules_after(code) == EXEC_MODULES


def test_list_of_containers_imports_no_network_and_no_burial() -> None:
    code = (
        "from pyctr.cli.commands.ps import ps\nfrom pyctr.engine import Engine\n"
        "ps(Engine('/nonexistent', '/nonexistent'), {'all': True}, [])"
    )
    found = pyctr_modules_after(code)
    assert "pyctr.engine.containers.listing" in found
    assert not {
        name for name in found if "network" in name or "options" in name or name.endswith((".burial", ".ports"))
    }


def test_start_path_imports_nothing_heavy() -> None:
    code = "import pyctr.engine.containers.create, pyctr.engine.containers.start, pyctr.engine.containers.foreground, pyctr.engine.containers.execute"
    assert not modules_after(code) & HEAVY


def test_start_without_networks_imports_nothing_of_addresses() -> None:
    code = (
        "import pyctr.engine.containers.create, pyctr.engine.containers.start, pyctr.engine.containers.foreground\n"
        "import pyctr.engine.options.network, pyctr.engine.containers.network"
    )
    found = pyctr_modules_after(code)
    assert "pyctr.network.store" in found
    assert not found & {"pyctr.network.address", "pyctr.network.pool", "pyctr.network.port"}
    assert "_socket" not in modules_after(code)


def test_start_on_a_network_imports_neither_netlink_nor_anything_heavy() -> None:
    code = (
        "import pyctr.engine.containers.network, pyctr.engine.options.network, pyctr.network.plan, pyctr.network.routes\n"
        "from pyctr.network.port import parse_publish\nparse_publish('8080:80')\nparse_publish('published=1,target=2')"
    )
    assert not modules_after(code) & (HEAVY | {"pyroute2", "ipaddress"})


def test_compose_down_imports_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """Of `dataclasses`, with `inspect` below it, and the fifteen classes it compiled a command had two bare interpreters' worth."""
    (tmp_path / "compose.yaml").write_text("services: {web: {image: busybox, ports: ['8080:80']}}\n")
    code = (
        "from pyctr.engine import Engine\nfrom pyctr.cli.commands.compose import compose\n"
        f"engine = Engine({str(tmp_path / 'root')!r}, {str(tmp_path / 'run')!r})\n"
        f"compose(engine, {{'file': [{str(tmp_path / 'compose.yaml')!r}]}}, ['down'])"
    )
    imported_by(code)  # the first time the schema is asked
    found = imported_by(code)
    assert "pyctr.compose.plan.down" in found
    assert not found & {
        "dataclasses",
        "inspect",
        "hashlib",
        "difflib",
        "ipaddress",
        "jsonschema_rs",
        "urllib3",
        "asyncio",
    }


def test_build_imports_neither_openssl_nor_dataclasses() -> None:
    code = "import pyctr.cli.commands.build, pyctr.cli.build.plain, pyctr.engine.build.use, pyctr.engine.build.execute, pyctr.engine.build.export, pyctr.engine.build.carry"
    assert not modules_after(code) & (
        HEAVY - {"threading"} | {"hashlib", "csv", "datetime", "urllib3", "signal", "copy", "heapq"}
    )


def test_plan_of_an_ordinary_dockerfile_imports_no_regular_expressions() -> None:
    code = """
from pyctr.build.plan.graph import plan_build
from pyctr.build.request import Request
text = "# syntax=docker/dockerfile:1\\nFROM scratch AS a\\nARG A=1\\nWORKDIR /w\\nCOPY --chmod=755 a b /\\nRUN x \\\\\\n  y\\nENV B=$A\\nCMD [\\"a\\"]\\n"
assert plan_build(text, Request(), lambda *_: ("", {})).steps
"""
    assert not modules_after(code) & {"re", "enum", "copy"}


def test_import_of_the_package_is_itself_alone() -> None:
    assert modules_after("import pyctr") <= {"pyctr", "__future__"}


def test_engine_of_the_python_api_imports_nothing_heavy() -> None:
    code = "import pyctr\nengine = pyctr.Engine('/nonexistent', '/nonexistent')\nengine.volumes, engine.ping()"
    assert not modules_after(code) & (HEAVY | {"pyctr.cli", "urllib3", "pyroute2"})


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_layering_points_one_way(package: str) -> None:
    path = PACKAGE / package
    files = sorted(path.rglob("*.py")) if path.is_dir() else [PACKAGE / f"{package}.py"]
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                parts = name.split(".")
                if parts[0] == "pyctr" and len(parts) > 1:
                    assert parts[1] in ALLOWED[package] | {package}, f"{file} imports {name}"
