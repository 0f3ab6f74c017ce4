"""What holds of every runtime-spec, whatever was asked for."""

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pyctr.engine.capabilities import NAMES
from pyctr.engine.host import Device, HostFacts
from pyctr.engine.options import parse_request
from pyctr.engine.options.limits import verify
from pyctr.engine.options.merge import merge_image, split_command
from pyctr.engine.spec.linux import _DEFAULT_RULES
from pyctr.engine.spec.plan import Joined, plan_spec
from pyctr.engine.volumes.points import plan_mount_points

FEATURES = frozenset(
    [
        "memory",
        "memory.swap",
        "memory.swappiness",
        "memory.reservation",
        "memory.oom",
        "cpu.shares",
        "cpu.cfs",
        "cpuset",
        "pids",
        "blkio.throttle",
    ]
)
targets = st.sampled_from(["/a", "/a/b", "/a/b/c", "/etc/hosts", "/dev/shm", "/proc/x", "/z"])
CHOICES = {
    "tty": st.booleans(),
    "interactive": st.booleans(),
    "rm": st.booleans(),
    "init": st.booleans(),
    "privileged": st.booleans(),
    "read_only": st.booleans(),
    "env": st.lists(st.sampled_from(["A=1", "A=2", "PATH=/x", "B=", "TERM=x"])),
    "hostname": st.sampled_from(["", "box"]),
    "domainname": st.sampled_from(["", "dom"]),
    "user": st.sampled_from(["", "0", "5:6", "app"]),
    "workdir": st.sampled_from(["", "/w", "/w/../x"]),
    "cap_add": st.lists(st.sampled_from(["ALL", "net_admin", "CAP_BPF", "chown"])),
    "cap_drop": st.lists(st.sampled_from(["ALL", "net_raw", "CAP_KILL"])),
    "memory": st.sampled_from(["6m", "64m", "1g"]),
    "cpus": st.sampled_from(["0.5", "1", "2"]),
    "pids_limit": st.sampled_from(["-1", "0", "50"]),
    "oom_score_adj": st.sampled_from(["-1000", "0", "1000"]),
    "network": st.sampled_from(["none", "host", "container:" + "c" * 64]),
    "pid": st.sampled_from(["", "host", "container:" + "c" * 64]),
    "ipc": st.sampled_from(["", "none", "private", "shareable", "host", "container:" + "c" * 64]),
    "uts": st.sampled_from(["", "host"]),
    "cgroupns": st.sampled_from(["", "host", "private"]),
    "userns": st.sampled_from(["", "host", "remap"]),
    "tmpfs": st.lists(targets.map(lambda path: path + ":size=1m"), unique=True, max_size=2),
    "volume": st.lists(targets.map(lambda path: f"/src:{path}:ro"), unique=True, max_size=3),
    "device": st.lists(st.sampled_from(["/dev/x", "/dev/x:/dev/y:r"]), max_size=2),
    "ulimit": st.lists(st.sampled_from(["nofile=10:20", "core=0", "nproc=5"])),
    "sysctl": st.lists(st.sampled_from(["net.ipv4.ip_forward=1", "kernel.msgmax=1"])),
    "security_opt": st.lists(st.sampled_from(["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"])),
    "shm_size": st.sampled_from(["1m", "64m"]),
    "cgroup_parent": st.sampled_from(["", "/x", "x/y", "a.slice"]),
}


@st.composite
def requests(draw):
    keys = draw(st.lists(st.sampled_from(sorted(CHOICES)), unique=True, max_size=8))
    return {key: draw(CHOICES[key]) for key in keys}


def host_facts(granted, *, v2):
    facts = HostFacts(cgroup_v2=v2, capabilities=granted)
    facts.features, facts.cpus, facts.cpuset_cpus, facts.cpuset_mems = FEATURES, 2, "0-1", "0"
    facts.rlimits = {"nofile": (1024, 4096), "nproc": (100, 200), "core": (0, -1)}
    facts.devices = {"/dev/x": [Device("/dev/x", "c", (9, 9))], "*": [Device("/dev/x", "c", (9, 9))]}
    facts.subuids = facts.subgids = (100000, 65536)
    return facts


def plan(options, granted=(1 << 41) - 1, *, v2=False):
    """Record and spec, or None where the request is refused."""
    from pyctr.errors import InvalidArgument

    facts = host_facts(granted, v2=v2)
    try:
        request = parse_request("img", ["cmd"], options)
        merge_image(request.config, {"Env": ["I=1", "A=0"], "Labels": {"l": "1"}, "Volumes": {"/vol": {}}})
        verify(request.host_config, facts)
    except InvalidArgument:
        return None
    request.config["Hostname"] = request.config["Hostname"] or "short"
    path, args = split_command(request.config)
    points = plan_mount_points(request.config, request.host_config, [])
    for point in points:
        point["Source"] = point["Source"] or "/volumes/x"
    record = {"Id": "d" * 64, "Path": path, "Args": args, "Mounts": points}
    record |= {"Config": request.config, "HostConfig": request.host_config}
    joined = Joined({"network": 10, "pid": 11, "ipc": 12})
    before = copy.deepcopy(record)
    spec = plan_spec(record, facts, joined, container_dir="/c")
    assert record == before, "planning changed the record"
    assert spec == plan_spec(record, facts, joined, container_dir="/c")
    return record, spec, facts


@settings(max_examples=300)
@given(requests(), st.integers(0, 2**41 - 1), st.booleans())
def test_spec_invariants(options, granted, v2):
    planned = plan(options, granted, v2=v2)
    if planned is None:
        return
    record, spec, facts = planned
    host = record["HostConfig"]
    json.dumps(spec)
    destinations = [mount["destination"] for mount in spec["mounts"]]
    assert len(set(destinations)) == len(destinations)
    for index, path in enumerate(destinations):  # nothing is hidden by a later mount above it
        assert not any(path.startswith(later + "/") for later in destinations[index + 1 :])
    kinds = [namespace["type"] for namespace in spec["linux"]["namespaces"]]
    assert len(set(kinds)) == len(kinds)
    assert "mount" in kinds
    for field, kind in (("NetworkMode", "network"), ("PidMode", "pid"), ("IpcMode", "ipc"), ("UTSMode", "uts")):
        assert (kind in kinds) == (host[field] != "host")
    assert ("cgroup" in kinds) == (host["CgroupnsMode"] == "private")
    names = spec["process"]["capabilities"]["bounding"]
    asked = set(host["CapAdd"] or ())
    assert set(names) - asked <= {name for bit, name in enumerate(NAMES) if facts.capabilities >> bit & 1}
    assert spec["linux"]["cgroupsPath"].endswith(record["Id"])
    assert len({variable.partition("=")[0] for variable in spec["process"]["env"]}) == len(spec["process"]["env"])
    for limit in spec["process"]["rlimits"]:
        assert 0 <= limit["soft"] <= limit["hard"] < 2**64


@settings(max_examples=200)
@given(requests())
def test_unprivileged_container_is_confined(options):
    planned = plan({**options, "privileged": False})
    if planned is None:
        return
    record, spec, _ = planned
    rules = spec["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    allowed = {(rule["major"], rule["minor"]) for rule in rules[1:] if rule["allow"]}
    assert allowed <= set(_DEFAULT_RULES) | {(9, 9)}
    mounts = {mount["destination"]: mount for mount in spec["mounts"]}
    for path in ("/sys", "/sys/fs/cgroup"):
        assert "ro" in mounts[path]["options"]
    if "systempaths=unconfined" not in (options.get("security_opt") or ()):
        assert "/proc/kcore" in spec["linux"]["maskedPaths"]
        assert "/proc/sys" in spec["linux"]["readonlyPaths"]
    if "inheritable" in spec["process"]["capabilities"]:
        raise AssertionError("inheritable capabilities (CVE-2022-29162)")
    assert record["HostConfig"]["Privileged"] is False


@given(st.integers(1, 2**20), st.booleans())
def test_default_limits_are_clamped_to_what_the_kernel_grants(hard, powerful):
    facts = host_facts((1 << 41) - 1 if powerful else 0, v2=False)
    facts.rlimits["nofile"] = (hard, hard)
    request = parse_request("img", ["cmd"], {})
    record = {"Id": "d" * 64, "Path": "cmd", "Args": [], "Mounts": []}
    record |= {"Config": request.config, "HostConfig": request.host_config}
    spec = plan_spec(record, facts, Joined(), container_dir="/c")
    limits = {limit["type"]: limit["hard"] for limit in spec["process"]["rlimits"]}
    assert limits["RLIMIT_NOFILE"] == (524288 if powerful else min(hard, 524288))
