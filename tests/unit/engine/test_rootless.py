"""An ordinary user's plans: id maps, what is bound instead of made, what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.engine.host import Device, HostFacts, read_ranges
from pyctr.engine.options.rootless import verify_rootless
from pyctr.engine.rootless import default_root, default_run_root, make_private, own_config, plan_map
from pyctr.engine.spec.rootless import adapt
from pyctr.errors import InvalidArgument, StateError

if TYPE_CHECKING:
    from pathlib import Path

HOST: dict[str, Any] = {
    "NetworkMode": "none", "IpcMode": "private", "PidMode": "", "UsernsMode": "", "Privileged": False, "Devices": [],
    "OomScoreAdj": 0, "CgroupParent": "", "DeviceCgroupRules": None,
}  # fmt: skip


def spec(*kinds: str) -> dict[str, Any]:
    """A runtime-spec with mounts of these types."""
    options = {"sysfs": ["nosuid", "ro"], "devpts": ["newinstance", "gid=5"]}
    mounts = [
        {"destination": f"/{kind}", "type": kind, "source": kind, "options": options.get(kind, [])} for kind in kinds
    ]
    sysctl = {"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"}
    return {"mounts": mounts, "linux": {"sysctl": sysctl, "devices": []}, "process": {"oomScoreAdj": 0}}


def adapted(planned: dict[str, Any], facts: HostFacts | None = None, **changes: Any) -> dict[str, Any]:
    """The spec as an ordinary user's."""
    adapt(planned, {**HOST, **changes}, facts or HostFacts())
    return planned


def test_plan_map_the_user_is_root_and_the_ranges_follow() -> None:
    assert plan_map(1000, [(100000, 65536), (400000, 10)]) == "0:1000:1,1:100000:65536,65537:400000:10"


def test_read_ranges_by_name_and_number_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("ann:1:2\n1000:3:4\nann:x:5\nbob:7:8\nann\n")
    assert read_ranges(str(path), "ann", "1000") == [(1, 2), (3, 4)]
    assert read_ranges(str(tmp_path / "none"), "ann") == []


def test_adapt_control_groups_go_and_the_rest_stays() -> None:
    planned = adapted(spec("proc", "cgroup", "sysfs", "devpts"))
    assert [mount["type"] for mount in planned["mounts"]] == ["proc", "sysfs", "devpts"]
    assert planned["mounts"][2]["options"] == ["newinstance", "gid=5"]
    assert "devices" not in planned["linux"]
    assert list(planned["linux"]["sysctl"]) == ["net.ipv4.ip_unprivileged_port_start"]
    assert planned["process"] == {}


def test_adapt_file_systems_of_the_hosts_namespaces_are_bound_or_left_out() -> None:
    planned = adapted(spec("sysfs", "mqueue"), NetworkMode="host", IpcMode="host")
    bound = {"destination": "/sysfs", "type": "bind", "source": "/sys", "options": ["rbind", "rprivate", "rro"]}
    assert planned["mounts"] == [bound]


def test_adapt_what_was_asked_for_stays() -> None:
    planned = adapted(spec(), OomScoreAdj=500, Sysctls={"net.ipv4.ping_group_range": "0 1"})
    assert planned["process"] == {"oomScoreAdj": 0}
    assert "net.ipv4.ping_group_range" in planned["linux"]["sysctl"]


def test_adapt_without_subordinate_ids_terminals_have_no_group() -> None:
    facts = HostFacts()
    facts.lone = True
    assert adapted(spec("devpts"), facts)["mounts"][0]["options"] == ["newinstance"]


def test_adapt_devices_are_the_hosts_under_the_name_asked_for() -> None:
    facts = HostFacts()
    facts.devices = {"/dev/a": [Device("/dev/a", "c", (1, 2))], "*": [Device("/dev/b", "b", (3, 4))]}
    asked = [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]
    (mount,) = adapted(spec(), facts, Devices=asked)["mounts"]
    assert (mount["source"], mount["destination"], mount["type"]) == ("/dev/a", "/dev/x", "bind")
    mounts = adapted(spec(), facts, Devices=asked, Privileged=True)["mounts"]
    assert [mount["destination"] for mount in mounts] == ["/dev/b", "/dev/x"]


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"CgroupParent": "x"}, "--cgroup-parent"),
        ({"DeviceCgroupRules": ["a *:* rwm"]}, "--device-cgroup-rule"),
        ({"PidMode": "host"}, "--pid host"),
        ({"UsernsMode": "remap:x"}, "--userns remap"),
        ({"OomScoreAdj": 99}, "--oom-score-adj 99"),
    ],
)
def test_verify_rootless_what_cannot_be_is_named(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{flag}: "):
        verify_rootless({**HOST, **changes}, own_oom_score=100)


def test_verify_rootless_takes_what_can_be() -> None:
    verify_rootless({**HOST, "OomScoreAdj": 100}, own_oom_score=100)
    verify_rootless(HOST, own_oom_score=100)


def test_defaults_follow_the_users_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PYCTR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == f"{tmp_path}/.local/share/pyctr"
    assert default_run_root() == f"/tmp/pyctr-{os.geteuid()}"
    assert own_config() is None
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert (default_root(), default_run_root()) == ("/data/pyctr", "/run/user/7/pyctr")
    (tmp_path / "pyctr").mkdir()
    (tmp_path / "pyctr/daemon.json").write_text("{}")
    assert own_config() == f"{tmp_path}/pyctr/daemon.json"
    monkeypatch.setenv("PYCTR_CONFIG", "/other")
    assert own_config() is None


def test_make_private_makes_one_and_refuses_what_others_may_enter(tmp_path: Path) -> None:
    path = tmp_path / "run"
    make_private(str(path))
    assert path.stat().st_mode & 0o7777 == 0o700
    make_private(str(path))
    path.chmod(0o710)
    with pytest.raises(StateError, match="not a directory of this user's alone"):
        make_private(str(path))
    (tmp_path / "link").symlink_to(path)
    path.chmod(0o700)
    with pytest.raises(StateError, match="not a directory of this user's alone"):
        make_private(str(tmp_path / "link"))
