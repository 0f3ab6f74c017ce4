"""What `up` plans."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.compose.plan.graph import Action, Plan
from pyctr.compose.plan.up import FORCE, NEVER, Choices, plan_up
from pyctr.errors import InvalidArgument, NotFound
from tests.unit.compose.plan.projects import container, lines, observed, project


def needs(plan: Plan, key: str) -> tuple[str, ...]:
    return next(operation.needs for operation in plan.operations if operation.key == key)


def test_up_from_nothing_makes_networks_volumes_containers_and_starts_them() -> None:
    found = project(
        {"web": {"volumes": [{"type": "volume", "source": "data", "target": "/d"}]}},
        volumes={"data": {"name": "demo_data"}},
    )
    assert lines(found, observed()) == [
        "Network demo_default  Creating",
        "Network demo_default  Created",
        "Volume demo_data  Creating",
        "Volume demo_data  Created",
        "Container demo-web-1  Creating",
        "Container demo-web-1  Created",
        "Container demo-web-1  Starting",
        "Container demo-web-1  Started",
    ]
    plan = plan_up(found, observed(), Choices())
    assert needs(plan, "create:web:1") == ("network:default", "volume:data")


def test_up_again_changes_nothing() -> None:
    found = project({"web": {}})
    assert lines(found, observed(container(found, "web"))) == ["Container demo-web-1  Running"]


def test_up_starts_what_has_ended() -> None:
    found = project({"web": {}})
    assert lines(found, observed(container(found, "web", state="exited"))) == [
        "Container demo-web-1  Starting",
        "Container demo-web-1  Started",
    ]


@pytest.mark.parametrize(
    "fields",
    [{"config_hash": "other"}, {"image_id": "sha256:2"}, {"files": "other"}],
    ids=lambda each: next(iter(each)),
)
def test_up_remakes_what_is_not_what_the_file_says(fields: dict[str, str]) -> None:
    found = project({"web": {}})
    there = observed(container(found, "web", **fields))
    assert lines(found, there)[0] == "Container demo-web-1  Recreate"
    assert lines(found, there, recreate=NEVER) == ["Container demo-web-1  Running"]


def test_force_recreate_remakes_targets_only() -> None:
    found = project({"web": {"depends_on": {"db": {"condition": "service_started", "required": True}}}, "db": {}})
    there = observed(container(found, "web"), container(found, "db"))
    planned = lines(found, there, recreate=FORCE, targets=frozenset({"web"}))
    assert "Container demo-db-1  Running" in planned
    assert "Container demo-web-1  Recreate" in planned


def test_dependencies_wait_for_their_conditions() -> None:
    found = project({
        "web": {
            "depends_on": {
                "db": {"condition": "service_healthy", "required": True},
                "once": {"condition": "service_completed_successfully", "required": True},
                "log": {"condition": "service_started", "required": True},
            }
        },
        "db": {}, "once": {}, "log": {},
    })  # fmt: skip
    plan = plan_up(found, observed(), Choices())
    assert set(needs(plan, "start:web:1")) == {
        "create:web:1", "wait:db:1:service_healthy", "wait:once:1:service_completed_successfully", "start:log:1",
    }  # fmt: skip
    assert needs(plan, "wait:db:1:service_healthy") == ("start:db:1",)


def test_dependency_that_is_not_required_may_fail_and_may_be_missing() -> None:
    condition = {"condition": "service_healthy", "required": False}
    found = project({"web": {"depends_on": {"db": condition, "gone": condition}}, "db": {}})
    plan = plan_up(found, observed(), Choices())
    waits = [operation for operation in plan.operations if operation.action is Action.WAIT]
    assert [(wait.service, wait.optional) for wait in waits] == [("db", True)]


def test_dependency_cycle_is_named() -> None:
    condition = {"condition": "service_started", "required": True}
    found = project({"a": {"depends_on": {"b": condition}}, "b": {"depends_on": {"a": condition}}})
    with pytest.raises(InvalidArgument, match="dependency cycle detected: a -> b -> a"):
        plan_up(found, observed(), Choices())


def test_restart_condition_stops_dependents_before_and_starts_them_after() -> None:
    found = project(
        {"web": {"depends_on": {"db": {"condition": "service_started", "required": True, "restart": True}}}, "db": {}}
    )
    there = observed(container(found, "web"), container(found, "db", config_hash="other"))
    plan = plan_up(found, there, Choices())
    stop = next(operation.key for operation in plan.operations if operation.action is Action.STOP)
    assert stop in needs(plan, "create:db:1")
    assert set(needs(plan, "start:web:1")) == {stop, "start:db:1"}


def test_namespace_of_a_service_made_anew_makes_its_guest_anew() -> None:
    found = project({"web": {"network_mode": "service:db", "networks": None}, "db": {}})
    there = observed(container(found, "web"), container(found, "db", config_hash="other"))
    assert "Container demo-web-1  Recreate" in lines(found, there)


def test_scale_up_takes_new_numbers_scale_down_the_highest() -> None:
    found = project({"web": {"deploy": {"replicas": 2}}})
    there = observed(container(found, "web", 1), container(found, "web", 2), container(found, "web", 3))
    assert lines(found, there)[:4] == [
        "Container demo-web-3  Stopping",
        "Container demo-web-3  Stopped",
        "Container demo-web-3  Removing",
        "Container demo-web-3  Removed",
    ]
    assert "Container demo-web-4  Creating" in lines(found, there, scale={"web": 4})


def test_scale_with_a_name_of_its_own_is_refused() -> None:
    found = project({"web": {"container_name": "only", "scale": 2}})
    with pytest.raises(InvalidArgument, match="unique name"):
        plan_up(found, observed(), Choices())


def test_orphans_are_told_of_and_removed_on_request() -> None:
    found = project({"web": {}})
    orphan = container(found, "web")._replace(service="old", name="demo-old-1", id="old")
    there = observed(container(found, "web"), orphan)
    plan = plan_up(found, there, Choices())
    assert plan.warnings[0].startswith("Found orphan containers ([demo-old-1]) for this project.")
    assert "Container demo-old-1  Removed" in lines(found, there, remove_orphans=True)


def test_network_that_changed_is_made_anew_with_those_on_it() -> None:
    found = project({"web": {}}, networks={"default": {"name": "demo_default", "internal": True}})
    planned = lines(found, observed(container(found, "web")))
    assert planned[:6] == [
        "Container demo-web-1  Stopping",
        "Container demo-web-1  Stopped",
        "Network demo_default  Removing",
        "Network demo_default  Removed",
        "Network demo_default  Creating",
        "Network demo_default  Created",
    ]
    assert "Container demo-web-1  Recreate" in planned


def test_foreign_network_and_missing_external_ones_are_refused() -> None:
    found = project({"web": {}})
    with pytest.raises(InvalidArgument, match="incorrect label"):
        plan_up(found, observed(networks={"demo_default": {}}), Choices())
    found = project({"web": {}}, networks={"default": {"name": "theirs", "external": True}})
    with pytest.raises(NotFound, match="network theirs declared as external, but could not be found"):
        plan_up(found, observed(), Choices())


def test_missing_external_volume_is_refused() -> None:
    found = project(
        {"web": {"volumes": [{"type": "volume", "source": "data", "target": "/d"}]}},
        volumes={"data": {"name": "data", "external": True}},
    )
    with pytest.raises(NotFound, match='external volume "data" not found'):
        plan_up(found, observed(), Choices())


def test_wait_waits_for_everything() -> None:
    found = project({"web": {}, "db": {}})
    plan = plan_up(found, observed(), Choices(wait=True))
    assert [step.key for step in plan.operations if step.action is Action.WAIT] == [
        "wait:db:1:running_or_healthy",
        "wait:web:1:running_or_healthy",
    ]


def test_what_a_killed_command_left_is_put_right() -> None:
    found = project({"web": {}})
    named = container(found, "web")
    temporary = named._replace(id="f" * 64, name=f"{'0' * 12}_demo-web-1")
    both = lines(found, observed(named, temporary))
    assert f"Container {temporary.name}  Removed" in both
    assert "Container demo-web-1  Running" in both
    assert f"Container {temporary.name}  Recreate" in lines(found, observed(temporary))


def test_virtual_address_has_no_room_for_more_members_than_slots() -> None:
    found = project({"web": {"deploy": {"endpoint_mode": "vip", "replicas": 257}}})
    with pytest.raises(InvalidArgument, match=r"services.web.deploy.endpoint_mode: .* 256 containers at most, not 257"):
        plan_up(found, observed(), Choices())
    found = project({"web": {"deploy": {"endpoint_mode": "dnsrr", "replicas": 257}}})
    assert len(plan_up(found, observed(), Choices()).operations) > 2 * 257


def test_virtual_address_of_a_service_without_networks_is_warned_of() -> None:
    found = project({"web": {"deploy": {"endpoint_mode": "vip"}, "network_mode": "host", "networks": None}})
    assert "has no address of its own" in plan_up(found, observed(), Choices()).warnings[0]


@pytest.mark.parametrize(
    ("deploy", "warnings"),
    [
        ({"placement": {"constraints": ["node.role == manager"]}}, ["placement.constraints: there is one machine"]),
        ({"placement": {"preferences": [{"spread": "zone"}]}}, ["placement.preferences: there is one machine"]),
        ({"replicas": 2, "placement": {"max_replicas_per_node": 1}}, ["max_replicas_per_node: 2 containers run on"]),
        ({"replicas": 2, "placement": {"max_replicas_per_node": 2}}, []),
        ({"placement": {}}, []),
    ],
    ids=str,
)
def test_up_warns_of_placement_it_cannot_honour(deploy: dict[str, Any], warnings: list[str]) -> None:
    said = plan_up(project({"web": {"deploy": deploy}}), observed(), Choices()).warnings
    assert len(said) == len(warnings)
    for text, expected in zip(said, warnings, strict=True):
        assert text.startswith("services.web.deploy.placement.")
        assert expected in text


def test_compatible_names_have_underscores_and_containers_of_other_names_stay() -> None:
    found = project({"web": {"scale": 2}})._replace(separator="_")
    assert lines(found, observed(container(found, "web"))) == [
        "Container demo-web-1  Running",
        "Container demo_web_2  Creating",
        "Container demo_web_2  Created",
        "Container demo_web_2  Starting",
        "Container demo_web_2  Started",
    ]
