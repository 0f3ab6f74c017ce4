"""`deploy.update_config`."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.compose.plan.rollout import batches, settings
from pyctr.compose.plan.up import Choices, plan_up
from pyctr.errors import InvalidArgument
from tests.unit.compose.plan.projects import container, observed, project


def rollout(config: dict[str, Any], count: int = 3) -> dict[str, Any]:
    found = project({"web": {"deploy": {"replicas": count, "update_config": config}}})
    there = observed(*(container(found, "web", number, config_hash="old") for number in range(1, count + 1)))
    return {step.key: step for step in plan_up(found, there, Choices()).operations}


def test_update_goes_one_by_one_stop_first() -> None:
    steps = rollout({})
    assert steps["create:web:1"].after == ()
    assert steps["create:web:2"].after == ("start:web:1",)
    assert steps["create:web:3"].after == ("start:web:2",)
    assert not any(key.startswith("finish") for key in steps)


def test_update_start_first_finishes_each_batch_before_the_next() -> None:
    steps = rollout({"order": "start-first", "parallelism": 2, "delay": "5s", "monitor": "1s"})
    assert steps["finish:web:1"].needs == ("observe:web:1",)
    assert steps["observe:web:1"].needs == ("start:web:1",)
    assert steps["create:web:3"].after == ("delay:web:2",)
    assert set(steps["delay:web:2"].after) >= {"finish:web:1", "finish:web:2"}
    assert steps["delay:web:2"].details["seconds"] == 5


def test_update_that_may_be_taken_back_keeps_what_it_replaces_to_the_end() -> None:
    steps = rollout({"failure_action": "rollback"})
    assert steps["create:web:1"].details["keep"]
    assert steps["settle:web"].after == ("start:web:3",)


def test_update_of_dependents_waits_for_conditions_before_taking_anything_away() -> None:
    found = project({
        "web": {"deploy": {"update_config": {}}, "depends_on": {"db": {"condition": "service_healthy", "required": True}}},
        "db": {},
    })  # fmt: skip
    there = observed(container(found, "web", config_hash="old"), container(found, "db"))
    steps = {step.key: step for step in plan_up(found, there, Choices()).operations}
    assert "wait:db:1:service_healthy" in steps["create:web:1"].needs


def test_batches() -> None:
    assert [list(batch) for batch in batches(5, 2)] == [[0, 1], [2, 3], [4]]
    assert [list(batch) for batch in batches(3, 0)] == [[0, 1, 2]]
    assert batches(0, 0) == []


@pytest.mark.parametrize("config", [{"order": "both"}, {"failure_action": "explode"}])
def test_settings_refuse_unknown_words(config: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="is not one of"):
        settings({"name": "web", "deploy": {"update_config": config}})
