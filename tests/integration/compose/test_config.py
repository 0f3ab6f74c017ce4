"""`compose config` is docker compose's, byte for byte, on files that cover every key; and it refuses what that refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyctr.cli.main import main
from tests.integration.compose.oracle import HERE, VARIABLES, docker_compose

if TYPE_CHECKING:
    from pathlib import Path

GOOD = sorted(path.name for path in (HERE / "good").iterdir())
BAD = sorted(path.name for path in (HERE / "bad").iterdir())


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def arguments(case: Path) -> tuple[Path, list[str]]:
    """Where a case runs, and the options before `config`: a file is its own case, a directory says them in ARGS."""
    if case.is_dir():
        return case, (case / "ARGS").read_text().split()
    return case.parent, ["-f", case.name]


def test_there_are_enough_cases() -> None:
    assert len(GOOD) >= 100
    assert len(BAD) >= 50


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", GOOD)
def test_config_of_a_good_project_is_docker_composes(
    name: str, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, words = arguments(HERE / "good" / name)
    expected = docker_compose(*words, "config", "--format", form, cwd=directory)
    assert expected.returncode == 0, expected.stderr
    monkeypatch.chdir(directory)
    code = main(["compose", *words, "config", "--format", form])
    assert (code, capsys.readouterr().out) == (0, expected.stdout)


@pytest.mark.parametrize("name", GOOD)
def test_hashes_of_services_are_docker_composes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, words = arguments(HERE / "good" / name)
    expected = docker_compose(*words, "config", "--hash", "*", cwd=directory)
    assert expected.returncode == 0, expected.stderr
    monkeypatch.chdir(directory)
    code = main(["compose", *words, "config", "--hash", "*"])
    assert (code, capsys.readouterr().out) == (0, expected.stdout)


@pytest.mark.parametrize("name", BAD)
def test_what_docker_compose_refuses_is_refused_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = docker_compose("-f", name, "config", cwd=HERE / "bad")
    assert expected.returncode != 0
    monkeypatch.chdir(HERE / "bad")
    assert main(["compose", "-f", name, "config"]) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("pyctr: warning")]
    assert out == ""
    assert lines[0].startswith("pyctr: ")
    assert len(lines) <= 2


_FLAGS = ("--no-interpolate", "--no-interpolate --format json", "--no-normalize", "--no-path-resolution", "--quiet")
_NAMES = ("--services", "--volumes", "--networks", "--images", "--profiles", "--models")
_SAMPLE = (
    "service-build-all.yaml",
    "service-ports-short.yaml",
    "top-networks.yaml",
    "top-volumes.yaml",
    "service-models.yaml",
    "profiles-none.yaml",
)


@pytest.mark.parametrize("flags", [*_FLAGS, *_NAMES])
@pytest.mark.parametrize("name", _SAMPLE)
def test_flags_of_config_print_what_docker_compose_prints(
    name: str, flags: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(HERE / "good")
    expected = docker_compose("-f", name, "config", *flags.split(), cwd=HERE / "good")
    assert expected.returncode == 0, expected.stderr
    assert main(["compose", "-f", name, "config", *flags.split()]) == 0
    ours = capsys.readouterr().out
    if flags in _NAMES:
        # Go prints maps in no order; ours are sorted.
        assert ours.splitlines() == sorted(expected.stdout.splitlines())
    else:
        assert ours == expected.stdout


def test_a_file_on_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "in.yaml").write_bytes((HERE / "good" / "service-deploy.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "in.yaml").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["compose", "-p", "p", "-f", "-", "config"]) == 0
    expected = docker_compose("-p", "p", "-f", "in.yaml", "config", cwd=tmp_path)
    assert capsys.readouterr().out == expected.stdout
