from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyctr.cli.commands.compose.context import ComposeContext
from pyctr.compose import ComposeError, load, select
from pyctr.compose.plan import names
from pyctr.engine import Engine
from pyctr.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services:\n  a:\n    imag: x\n", "c.yaml:3: services.a additional properties 'imag' not allowed, did you mean \"image\"?"),
        ("services:\n  a:\n    image: x\n    image: y\n", 'c.yaml:4: mapping key "image" already defined at line 3'),
        ("services:\n  a:\n    image: x\n    networks: [bakc]\nnetworks: {back: }\n", "undefined network bakc, did you mean \"back\"?"),
        ("services:\n  a:\n    image: x\n    build:\n      contxt: .\n", "c.yaml:5: services.a.build additional properties 'contxt'"),
        ("services:\n  a:\n    image: ${X:?set X}\n", "c.yaml:3: error while interpolating services.a.image: required variable X is missing a value: set X"),
        ("services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n", "dependency cycle detected: a -> b -> a"),
        ("services:\n  a: {extends: b}\n  b: {extends: a}\n", "circular reference: a in "),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_nearest_word(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ComposeError) as caught:
        load([write(tmp_path / "c.yaml", text)], environment={})
    assert message in str(caught.value)


def test_alias_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    lines = ['x-0: &a0 ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    lines += [f"x-{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ComposeError, match="aliases expand to more than"):
        load([write(tmp_path / "c.yaml", "\n".join([*lines, "services: {a: {image: x}}"]))], environment={})


def test_aliases_beyond_the_cap_are_refused(tmp_path: Path) -> None:
    lines = ["x-0: &a0 [a, b, c, d, e, f, g, h, i]"]
    lines += [f"x-{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    with pytest.raises(ComposeError, match="aliases expand to more than 200000 values"):
        load([write(tmp_path / "c.yaml", "\n".join([*lines, "services: {a: {image: x}}"]))], environment={})


def test_anchor_inside_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="anchor contains itself"):
        load([write(tmp_path / "c.yaml", "x-a: &a {b: *a}\nservices: {a: {image: x}}\n")], environment={})


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="nest"):
        load([write(tmp_path / "c.yaml", "x-a: " + "[" * 50_000 + "]" * 50_000)], environment={})


def test_files_are_found_in_a_directory_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "compose.yml", "services: {a: {image: '${WHO}'}}")
    write(tmp_path / ".env", "WHO=above\n")
    (tmp_path / "x" / "y").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "x" / "y")
    project = load(environment={})
    assert project.files == (str(tmp_path / "compose.yml"),)
    assert project.working_dir == str(tmp_path)
    assert project.services["a"]["image"] == "above"


def test_no_file_is_not_found() -> None:
    if os.path.exists("/compose.yaml"):
        pytest.skip("a compose file at the root")
    with pytest.raises(NotFound, match="no configuration file provided"):
        load(environment={})


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def stdin() -> bytes:
        reads.append(1)
        return b"name: fromstdin\nservices: {a: {image: x, build: ./d}}"

    project = load(["-"], environment={}, stdin=stdin)
    assert (project.name, len(reads)) == ("fromstdin", 1)
    assert project.services["a"]["build"]["context"] == str(tmp_path / "d")


def test_unset_variables_are_warned_of_once(tmp_path: Path) -> None:
    project = load([write(tmp_path / "c.yaml", "services: {a: {image: 'x$A$A', command: $B}}")], environment={})
    assert [warning.split('"')[1] for warning in project.warnings] == ["A", "B"]


def test_select_takes_dependencies_and_enables_profiles(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, depends_on: [b], networks: [n]}\n  b: {image: x, networks: [m]}\n  c: {image: x, profiles: [p], networks: [o]}\nnetworks: {n: , m: , o: }\n"
    project = load([write(tmp_path / "c.yaml", text)], environment={})
    assert set(project.disabled) == {"c"}
    assert set(select(project, ["a"]).services) == {"a", "b"}
    alone = select(project, ["a"], dependencies=False)
    assert set(alone.services) == {"a"}
    assert "depends_on" not in alone.services["a"]
    assert set(alone.model["networks"]) == {"n"}
    assert set(select(project, ["c"]).services) == {"c"}
    with pytest.raises(NotFound, match="no such service: d"):
        select(project, ["d"])


def test_loading_writes_nothing_and_asks_no_engine(tmp_path: Path) -> None:
    load(
        [
            write(
                tmp_path / "c.yaml",
                "services: {a: {image: x, volumes: ['./new:/x'], secrets: [s]}}\nsecrets: {s: {file: ./none}}",
            )
        ],
        environment={},
    )
    assert sorted(os.listdir(tmp_path)) == ["c.yaml"]


def test_tree_the_schema_allowed_needs_no_validator_and_another_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, known = tmp_path / "compose.yaml", str(tmp_path / "known")
    write(file, "services: {web: {image: a, stop_grace_period: 1s}}")
    first = load([str(file)], known_dir=known)
    monkeypatch.setattr("pyctr.compose.schema._validator", lambda: pytest.fail("the validator was asked"))
    assert load([str(file)], known_dir=known)._replace(again=None) == first._replace(again=None)
    write(file, "services: {web: {image: a, stop_grace_period: 2s}}")
    with pytest.raises(pytest.fail.Exception):
        load([str(file)], known_dir=known)
    monkeypatch.undo()
    for _ in range(2):  # what is refused leaves no mark
        write(file, "services: {web: {image: a, nonsense: 2s}}")
        with pytest.raises(ComposeError, match="nonsense"):
            load([str(file)], known_dir=known)
    assert len(os.listdir(known)) == 1


@pytest.mark.parametrize(
    ("settings", "variable", "separator"), [({}, "", "-"), ({"compatibility": True}, "", "_"), ({}, "true", "_")]
)
def test_compatibility_asks_for_names_with_underscores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, bool], variable: str, separator: str
) -> None:
    monkeypatch.setenv("COMPOSE_COMPATIBILITY", variable)
    write(tmp_path / "compose.yaml", "name: p\nservices: {web: {build: .}}")
    project = ComposeContext(Engine(str(tmp_path), str(tmp_path)), settings).project()
    assert names.container_name(project, {"name": "web"}, 1) == separator.join(("p", "web", "1"))
    assert names.image_name(project, {**project.services["web"], "name": "web"}) == separator.join(("p", "web"))


REMOTE = "https://example.com/project.git"


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (None, f"include: ['{REMOTE}']"),
        (None, f"include: [{{path: ['{REMOTE}']}}]"),
        (None, f"services: {{web: {{extends: {{file: '{REMOTE}', service: web}}}}}}"),
        ([REMOTE], ""),
    ],
    ids=["include", "long include", "extends", "-f"],
)
def test_remote_files_are_refused_by_name(tmp_path: Path, files: list[str] | None, text: str) -> None:
    write(tmp_path / "compose.yaml", f"{text}\n")
    with pytest.raises(ComposeError, match=f"^{REMOTE}: remote compose files are not supported"):
        load(files, environment={})
