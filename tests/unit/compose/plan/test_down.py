"""What `down`, `start`, `restart` plan."""

from __future__ import annotations

from typing import Any

from pyctr.compose.plan import labels
from pyctr.compose.plan.down import plan_down
from pyctr.compose.plan.lifecycle import plan_restart, plan_start
from tests.unit.compose.plan.projects import container, observed, project

DEPENDS: dict[str, Any] = {"web": {"depends_on": {"db": {"condition": "service_started", "required": True}}}, "db": {}}


def test_down_stops_dependents_first_and_removes_networks_when_all_are_gone() -> None:
    found = project(DEPENDS)
    web, db = container(found, "web"), container(found, "db")
    steps = {step.key: step for step in plan_down(found, observed(web, db)).operations}
    assert steps[f"stop:{db.id}"].after == (f"stop:{web.id}",)
    assert steps[f"remove:{web.id}"].needs == (f"stop:{web.id}",)
    assert set(steps["remove-network:demo_default"].after) == {f"remove:{web.id}", f"remove:{db.id}"}


def test_down_removes_volumes_and_images_on_request_only() -> None:
    found = project(
        {"web": {}, "made": {"image": None, "build": {"context": "."}}}, volumes={"data": {"name": "demo_data"}}
    )
    there = observed(container(found, "web"), volumes={"demo_data": {labels.PROJECT: "demo"}, "theirs": {}})
    keys = {step.key for step in plan_down(found, there).operations}
    assert not any(key.startswith(("remove-volume", "remove-image")) for key in keys)
    keys = {step.key for step in plan_down(found, there, volumes=True, images="local").operations}
    assert {"remove-volume:demo_data", "remove-image:demo-made"} <= keys
    steps = {step.key: step for step in plan_down(found, there, volumes=True).operations}
    assert steps["remove-volume:demo_data"].after == (f"remove:{there.containers[0].id}",)
    assert "remove-image:busybox" not in keys
    assert "remove-image:busybox" in {step.key for step in plan_down(found, there, images="all").operations}


def test_down_of_one_service_leaves_the_network() -> None:
    found = project(DEPENDS)
    plan = plan_down(found, observed(container(found, "web"), container(found, "db")), services=["web"])
    assert [step.service for step in plan.operations] == ["web", "web"]


def test_down_tells_of_orphans_and_leaves_them() -> None:
    found = project({"web": {}})
    orphan = container(found, "web")._replace(service="old", name="demo-old-1", id="old")
    assert plan_down(found, observed(orphan)).warnings
    removed = plan_down(found, observed(orphan), remove_orphans=True)
    assert "remove:old" in removed
    assert not removed.warnings


def test_start_starts_dependencies_first_and_leaves_what_runs() -> None:
    found = project(DEPENDS)
    web, db = container(found, "web", state="exited"), container(found, "db", state="exited")
    steps = {step.key: step for step in plan_start(found, observed(web, db)).operations}
    assert steps[f"start:{web.id}"].needs == (f"start:{db.id}",)
    assert plan_start(found, observed(container(found, "web"), container(found, "db"))).operations == []


def test_restart_takes_dependents_along_that_ask_for_it() -> None:
    services = {"web": {"depends_on": {"db": {"condition": "service_started", "restart": True}}}, "db": {}, "x": {}}
    found = project(services)
    there = observed(*(container(found, name) for name in services))
    together = plan_restart(found, there, ["db"], dependents=True, timeout_s=None)
    assert [step.service for step in together.operations] == ["db", "web"]
    alone = plan_restart(found, there, ["db"], dependents=False, timeout_s=None)
    assert [step.service for step in alone.operations] == ["db"]


def test_down_gives_virtual_addresses_of_others_networks_back() -> None:
    on = {"deploy": {"endpoint_mode": "vip"}, "networks": {"default": None, "lent": None}}
    networks = {"default": {"name": "demo_default"}, "lent": {"name": "theirs", "external": True}}
    found = project({"web": on}, networks=networks)
    web = container(found, "web")
    there = observed(web)._replace(networks={"theirs": {}, "demo_default": {labels.PROJECT: "demo"}})
    steps = {step.key: step for step in plan_down(found, there).operations}
    assert steps["release:lent:web"].after == (f"remove:{web.id}",)
    assert steps["release:lent:web"].details == {"network": "theirs", "key": "demo_web"}
    assert "release:default:web" not in steps, "the network goes, and its addresses with it"
    assert not any(
        step.startswith("release") for step in (s.key for s in plan_down(found, there, services=["web"]).operations)
    )
