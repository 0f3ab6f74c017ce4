"""Laws of merging: nothing merged over something leaves it, the later file wins, lists keep what both have."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyctr.compose.errors import Places
from pyctr.compose.merge import merge, unique

WORDS = st.sampled_from(["a", "b", "c", "d"])
VARIABLES = st.dictionaries(WORDS, st.sampled_from(["1", "2", "x y"]), max_size=4)
SERVICES = st.fixed_dictionaries(
    {},
    optional={
        "image": WORDS,
        "command": st.lists(WORDS, max_size=2),
        "environment": st.one_of(
            VARIABLES, VARIABLES.map(lambda pairs: [f"{key}={value}" for key, value in pairs.items()])
        ),
        "labels": VARIABLES,
        "cap_add": st.lists(WORDS, unique=True, max_size=3),
        "ports": st.lists(st.sampled_from(["80:80", "81:81", "82"]), unique=True, max_size=3),
        "healthcheck": st.fixed_dictionaries({}, optional={"test": WORDS, "retries": st.integers(1, 3)}),
        "deploy": st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 3), "labels": VARIABLES}),
    },
)
PROJECTS = st.dictionaries(WORDS, SERVICES, min_size=1, max_size=3).map(lambda services: {"services": services})


def merged(*projects: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for project in projects:
        result = unique(merge(result, project), Places())
    return result


def variables(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return value
    return {item.partition("=")[0]: item.partition("=")[2] for item in value or ()}


@given(PROJECTS)
def test_a_project_over_itself_is_itself(project: dict[str, Any]) -> None:
    once, twice = merged(project), merged(project, project)
    for name, service in once["services"].items():
        for key, value in service.items():
            again = twice["services"][name][key]
            if key in ("environment", "labels"):
                assert variables(again) == variables(value)
            elif key != "deploy":
                assert again == value


@given(PROJECTS, PROJECTS)
def test_the_later_file_wins(first: dict[str, Any], second: dict[str, Any]) -> None:
    both = merged(first, second)["services"]
    assert set(both) == {*first["services"], *second["services"]}
    for name, over in second["services"].items():
        base = first["services"].get(name, {})
        for key in ("image", "command"):
            if key in over or key in base:
                assert both[name][key] == over.get(key, base.get(key))
        for key in ("environment", "labels"):
            assert variables(both[name].get(key)) == variables(base.get(key)) | variables(over.get(key))
        for key in ("cap_add", "ports"):
            assert set(both[name].get(key, ())) == {*base.get(key, ()), *over.get(key, ())}
            assert len(both[name].get(key, ())) == len(set(both[name].get(key, ())))


@given(PROJECTS, PROJECTS, PROJECTS)
def test_merging_is_associative_in_what_matters(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    left = merged(merged(first, second), third)["services"]
    right = merged(first, merged(second, third))["services"]
    assert set(left) == set(right)
    for name, service in left.items():
        for key in ("image", "command", "healthcheck"):
            assert service.get(key) == right[name].get(key)
        assert variables(service.get("environment")) == variables(right[name].get("environment"))


@given(PROJECTS, PROJECTS)
def test_merging_changes_neither_file(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = repr(first), repr(second)
    merged(first, second)
    assert (repr(first), repr(second)) == before
