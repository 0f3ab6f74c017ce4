"""HostConfig against host facts: row L2's refusals, Docker's warnings, what is completed."""

import pytest

from pyctr.engine.host import HostFacts
from pyctr.engine.options import parse_request
from pyctr.engine.options.limits import granted_hard, verify
from pyctr.errors import InvalidArgument

ALL = frozenset(
    [
        "memory",
        "memory.swap",
        "memory.swappiness",
        "memory.reservation",
        "memory.oom",
        "cpu.shares",
        "cpu.cfs",
        "cpu.rt",
        "cpuset",
        "pids",
        "blkio.throttle",
        "blkio.weight",
        "blkio.weight_device",
    ]
)


def facts(features=ALL, **fields):
    made = HostFacts(cgroup_v2=fields.pop("v2", False), capabilities=fields.pop("capabilities", 0))
    made.features, made.cpus, made.cpuset_cpus, made.cpuset_mems = frozenset(features), 4, "0-3", "0"
    made.rlimits = {"nofile": (1024, 4096), "core": (0, -1)}
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def check(options, host=None):
    host_config = parse_request("img", ["x"], options).host_config
    return host_config, verify(host_config, host or facts())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "5m"}, "Minimum memory limit allowed is 6MB"),
        ({"memory_swap": "1g"}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        (
            {"memory": "64m", "memory_swap": "32m"},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory": "64m", "memory_reservation": "65m"},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        ({"cpus": "4.01"}, "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"),
        ({"cpus": "0.009"}, "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"),
        ({"cpuset_cpus": "1-4"}, "Requested CPUs are not available - requested 1-4, available: 0-3"),
        ({"cpuset_mems": "1"}, "Requested memory nodes are not available - requested 1, available: 0"),
        ({"cpuset_cpus": "3-1"}, "Invalid value 3-1 for cpuset cpus: invalid format: 3-1"),
        ({"blkio_weight": "9"}, "Range of blkio weight is from 10 to 1000"),
        ({"oom_score_adj": "1001"}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        ({"ulimit": ["nofile=5000"]}, "ulimit nofile=5000: the kernel grants at most 4096 here"),
        ({"ulimit": ["nofile=-1"]}, "ulimit nofile=unlimited: the kernel grants at most 4096 here"),
        ({"security_opt": ["apparmor=x"]}, "--security-opt apparmor=x: the kernel has no AppArmor"),
    ],
)
def test_verify_out_of_range_is_refused(options, message):
    with pytest.raises(InvalidArgument) as caught:
        check(options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "missing", "field", "left", "words"),
    [
        ({"memory": "64m"}, "memory", "Memory", 0, "memory limit capabilities"),
        ({"memory": "64m"}, "memory.swap", "MemorySwap", -1, "swap limit capabilities"),
        ({"memory_swappiness": "5"}, "memory.swappiness", "MemorySwappiness", None, "memory swappiness"),
        ({"memory_reservation": "64m"}, "memory.reservation", "MemoryReservation", 0, "memory soft limit"),
        (
            {"oom_kill_disable": True, "memory": "64m"},
            "memory.oom",
            "OomKillDisable",
            False,
            "OomKillDisable discarded",
        ),
        ({"cpu_shares": "5"}, "cpu.shares", "CpuShares", 0, "Shares discarded"),
        ({"cpu_quota": "5000"}, "cpu.cfs", "CpuQuota", 0, "CPU CFS scheduler"),
        ({"cpuset_cpus": "0"}, "cpuset", "CpusetCpus", "", "CPUset discarded"),
        ({"pids_limit": "5"}, "pids", "PidsLimit", None, "PIDs limit discarded"),
        ({"blkio_weight": "50"}, "blkio.weight", "BlkioWeight", 0, "Weight discarded"),
        ({"blkio_weight_device": ["/dev/x:50"]}, "blkio.weight_device", "BlkioWeightDevice", [], "weight_device"),
        ({"device_read_bps": ["/dev/x:1m"]}, "blkio.throttle", "BlkioDeviceReadBps", [], "BPS Block I/O read limit"),
    ],
)
def test_verify_missing_controller_warns_and_discards(options, missing, field, left, words):
    host_config, warnings = check(options, facts(ALL - {missing}))
    assert host_config[field] == left
    assert any(words in warning for warning in warnings)
    host_config, warnings = check(options)
    assert host_config[field] != left or field == "MemorySwap"
    assert not any("discarded" in warning for warning in warnings)


def test_verify_cpus_without_cfs_is_an_error():
    with pytest.raises(InvalidArgument, match="NanoCPUs can not be set"):
        check({"cpus": "1"}, facts(ALL - {"cpu.cfs"}))


def test_verify_kernel_memory_is_discarded_with_a_warning():
    host_config, warnings = check({"kernel_memory": "64m"})
    assert host_config["KernelMemory"] == 0
    assert "deprecated" in warnings[0]


def test_verify_memory_without_swap_doubles_it():
    assert check({"memory": "64m"})[0]["MemorySwap"] == 128 << 20


@pytest.mark.parametrize(("v2", "mode"), [(True, "private"), (False, "host")])
def test_verify_cgroup_namespace_default_follows_the_hierarchy(v2, mode):
    assert check({}, facts(v2=v2))[0]["CgroupnsMode"] == mode
    assert check({"cgroupns": "host"}, facts(v2=v2))[0]["CgroupnsMode"] == "host"


def test_granted_hard_with_the_capability_is_the_kernels_own_bound():
    assert granted_hard("nofile", facts(capabilities=1 << 24, nr_open=77)) == 77
    assert granted_hard("core", facts(capabilities=1 << 24)) == -1
    assert granted_hard("nofile", facts()) == 4096


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": "all"}, "--gpus: GPUs are not supported"),
        ({"log_driver": "gelf"}, "log driver gelf: not supported"),
        ({"log_opt": ["compress=true"]}, "compress cannot be true when max-file is less than 2"),
        ({"log_opt": ["compress=x", "max-size=1m", "max-file=2"]}, "invalid log opt 'compress=x'"),
        ({"log_opt": ["mode=dropping"]}, "logger: logging mode not supported: dropping"),
        ({"log_opt": ["max-buffer-size=1m"]}, "only supported with 'mode=non-blocking'"),
        ({"log_opt": ["mode=non-blocking", "max-buffer-size=x"]}, "invalid log opt 'max-buffer-size=x'"),
        ({"log_driver": "local", "log_opt": ["tag=x"]}, "unknown log opt 'tag' for local log driver"),
        ({"log_driver": "syslog", "log_opt": ["syslog-address=x"]}, "invalid log opt 'syslog-address=x'"),
        ({"log_opt": ["labels-regex=("]}, "invalid log opt 'labels-regex=(': no regular expression"),
        ({"log_opt": ["max-file=2"]}, "max-file cannot be set without max-size"),
        ({"runtime": "runc"}, "unknown or invalid runtime name: runc"),
        ({"security_opt": ["label=user:x"]}, "SELinux labels are not supported"),
        ({"sysctl": ["net.x=1"], "network": "host"}, "not allowed in host network namespace"),
        ({"sysctl": ["net..x=1"]}, "is not allowed"),
        ({"sysctl": ["net.x=1\n2"]}, "is not allowed"),
        ({"sysctl": ["net.ipv4/../../kernel.x=1"]}, "is not allowed"),
        ({"env": ["A=\0"]}, "contains a null byte"),
        ({"env": ["A=\udcff"]}, "not valid UTF-8"),
        ({"cgroup_parent": "/a/../../b"}, "must not leave the control group hierarchy"),
        ({"user": "a:b:c"}, "expected <name"),
    ],
)
def test_what_cannot_work_is_refused_by_name(options, words):
    with pytest.raises(InvalidArgument) as caught:
        parse_request("img", ["x"], options)
    assert words in str(caught.value)


def test_published_ports_with_host_network_warn_as_docker():
    request = parse_request("img", ["x"], {"network": "host", "publish": ["80:80"]})
    assert request.warnings == ["Published ports are discarded when using host network mode"]


def test_no_network_option_means_the_default_bridge():
    assert parse_request("img", ["x"], {}).host_config["NetworkMode"] == "bridge"
