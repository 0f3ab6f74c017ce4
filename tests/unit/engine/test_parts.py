"""Small pure parts: times, files in /etc, seccomp profiles, status texts, detach keys, the monitor's request."""

import os
import subprocess
import sys

import pytest

from pyctr.engine import times
from pyctr.engine.containers.files import plan_hosts, plan_resolv_conf
from pyctr.engine.containers.foreground import raw_modes
from pyctr.engine.containers.listing import status_text
from pyctr.engine.containers.request import plan_request
from pyctr.engine.containers.session import check_detach_keys
from pyctr.engine.containers.store import Store, check_name
from pyctr.engine.host import choose_cgroup_driver, gather, read_rlimits
from pyctr.engine.options import parse_request
from pyctr.engine.options.environment import read_file
from pyctr.engine.options.record import new_host_config
from pyctr.engine.signals import parse_signal
from pyctr.engine.spec.plan import plan_cgroups_path, plan_seccomp, seccomp_mode
from pyctr.errors import InvalidArgument, PyctrError

SECOND = 10**9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (3 * 3600, "3 hours"),
        (47 * 3600, "47 hours"),
        (49 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (70 * 86400, "2 months"),
        (800 * 86400, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_human_duration(seconds, words):
    assert times.human_duration(int(seconds * SECOND)) == words


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.5+01:00", SECOND // 2),
        ("2024-02-29T12:00:00.123456789Z", 1709208000123456789),
        (times.ZERO, 0),
    ],
)
def test_parse_time(text, nanoseconds):
    assert times.parse_time(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "x", "2024-02-29", "2024-13-01T00:00:00Z", "2024-01-01T00:00Z", "T", "1-2-3T4:5:6"]
)
def test_parse_time_refuses(text):
    with pytest.raises(ValueError, match="time"):
        times.parse_time(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("10", 10 * SECOND),
        ("10.5", 10 * SECOND + SECOND // 2),
        ("1m", 40 * SECOND),
        ("1970-01-01T00:00:07Z", 7 * SECOND),
    ],
)
def test_parse_moment(text, nanoseconds):
    assert times.parse_moment(text, now_ns=100 * SECOND) == nanoseconds


def test_parse_moment_without_zone_is_local(monkeypatch):
    code = "from pyctr.engine.times import parse_moment; print(parse_moment('1970-01-02', now_ns=0))"
    environment = {**os.environ, "TZ": "UTC-2", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(out.stdout) == (24 - 2) * 3600 * SECOND


@pytest.mark.parametrize("text", ["x", "1q", "2024-99-99"])
def test_parse_moment_refuses(text):
    with pytest.raises(InvalidArgument):
        times.parse_moment(text, now_ns=0)


def state(**fields):
    return {"status": "exited", "started_at": "1970-01-01T00:00:01Z", "finished_at": "1970-01-01T00:00:10Z", **fields}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (state(), "Exited (0) 2 minutes ago"),
        (state(exit_code=137), "Exited (137) 2 minutes ago"),
        (state(status="running"), "Up 2 minutes"),
        (state(status="paused"), "Up 2 minutes (Paused)"),
        (state(status="restarting", exit_code=1), "Restarting (1) 2 minutes ago"),
        (state(status="dead"), "Dead"),
        (state(status="created"), "Created"),
        ({}, "Created"),
        ({"status": "created", "error": "x", "started_at": ""}, "Created"),
    ],
)
def test_status_text(fields, text):
    assert status_text(fields, 130 * SECOND + 1) == text


def test_hosts_of_a_private_network_and_of_the_hosts():
    host = {**new_host_config(), "NetworkMode": "none", "ExtraHosts": ["a:1.2.3.4", "b:::1"]}
    text = plan_hosts(host)
    assert text.startswith("127.0.0.1\tlocalhost\n::1\t")
    assert text.endswith("1.2.3.4\ta\n::1\tb\n")
    assert plan_hosts({**host, "NetworkMode": "host", "ExtraHosts": None}, host_file="own\n") == "own\n"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "search a b\nnameserver 1.1.1.1\noptions x\n"),
        ({"Dns": ["9.9.9.9"]}, "search a b\noptions x\nnameserver 9.9.9.9\n"),
        ({"DnsSearch": ["."]}, "nameserver 1.1.1.1\noptions x\n"),
        ({"DnsSearch": ["c"], "DnsOptions": ["y"]}, "nameserver 1.1.1.1\nsearch c\noptions y\n"),
    ],
)
def test_resolv_conf_options_replace_their_lines(changes, text):
    host = {**new_host_config(), **changes}
    assert plan_resolv_conf(host, "search a b\nnameserver 1.1.1.1\noptions x\n") == text


PROFILE = """{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
"syscalls":[
 {"names":["read"],"action":"SCMP_ACT_ALLOW"},
 {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
 {"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}},
 {"names":["sync_file_range2"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390x"]}},
 {"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
 {"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38,"args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}"""


def test_seccomp_profile_conditions_are_resolved():
    planned = plan_seccomp(PROFILE, ["CAP_CHOWN"], (6, 1))
    assert planned["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert planned["defaultErrnoRet"] == 1
    assert [call["names"] for call in planned["syscalls"]] == [["read"], ["clone"], ["ptrace"], ["clone3"]]
    assert planned["syscalls"][-1]["errnoRet"] == 38
    privileged = plan_seccomp(PROFILE, ["CAP_SYS_ADMIN"], (6, 1))
    assert [call["names"] for call in privileged["syscalls"]] == [["read"], ["mount"], ["ptrace"], ["clone3"]]


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "default"),
        ({"privileged": True}, "unconfined"),
        ({"security_opt": ["seccomp=unconfined"]}, "unconfined"),
        ({"privileged": True, "security_opt": ["seccomp=builtin"]}, "default"),
    ],
)
def test_seccomp_mode(options, mode):
    assert seccomp_mode(parse_request("img", ["x"], options).host_config) == mode


def test_seccomp_profile_file_is_recorded_by_content(tmp_path):
    profile = tmp_path / "p.json"
    profile.write_text('{ "defaultAction" : "SCMP_ACT_ALLOW" }')
    host = parse_request("img", ["x"], {"security_opt": [f"seccomp={profile}"]}).host_config
    assert host["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
    assert seccomp_mode(host) == "spec"


@pytest.mark.parametrize(
    ("driver", "parent", "path"),
    [
        ("cgroupfs", "", "/pyctr/ID"),
        ("cgroupfs", "/a", "/a/ID"),
        ("cgroupfs", "a//b/", "/a/b/ID"),
        ("cgroupfs", "/", "/ID"),
        ("cgroupfs", "x.slice", "/x.slice/ID"),
        ("systemd", "x.slice", "x.slice:pyctr:ID"),
        ("systemd", "", "system.slice:pyctr:ID"),
    ],
)
def test_cgroups_path(driver, parent, path):
    assert plan_cgroups_path("ID", parent, driver) == path


def test_choose_cgroup_driver(monkeypatch, tmp_path):
    monkeypatch.setattr("pyctr.engine.host.SYSTEMD_BOOTED", str(tmp_path))
    assert [choose_cgroup_driver(asked, "") for asked in ("", "cgroupfs", "systemd")] == [
        "cgroupfs",
        "cgroupfs",
        "systemd",
    ]
    assert choose_cgroup_driver("systemd", "x.slice") == "systemd"


def test_choose_cgroup_driver_what_cannot_work_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("pyctr.engine.host.SYSTEMD_BOOTED", str(tmp_path / "no"))
    with pytest.raises(InvalidArgument, match="systemd does not run on this host"):
        choose_cgroup_driver("systemd", "")
    monkeypatch.setattr("pyctr.engine.host.SYSTEMD_BOOTED", str(tmp_path))
    for parent in ("/x", ".slice", "a/b.slice", "x"):
        with pytest.raises(InvalidArgument, match="should be a valid slice"):
            choose_cgroup_driver("systemd", parent)


@pytest.mark.parametrize("keys", ["ctrl-p,ctrl-q", "a", "ctrl-@", "ctrl-[,x"])
def test_detach_keys_taken(keys):
    check_detach_keys(keys)


@pytest.mark.parametrize("keys", ["zz", "ctrl-", "ctrl-pp", "ctrl-P", "a,", "ctrl-1"])
def test_detach_keys_refused(keys):
    with pytest.raises(PyctrError, match="invalid detach keys"):
        check_detach_keys(keys)


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("sigkill", 9), ("RTMIN", 34), ("RTMIN+3", 37), ("RTMAX-1", 63), ("POLL", 29)],
)
def test_parse_signal(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "X", "RTMIN+31", "RTMAX-31", "RTMIN-1", "SIGSIGKILL"])
def test_parse_signal_refuses(text):
    with pytest.raises(InvalidArgument, match="Invalid signal"):
        parse_signal(text)


@pytest.mark.parametrize("name", ["", "a", "-ab", ".ab", "a/b", "../x", "a b", "\u00e9\u00e9", "a\0b", "x" * 300])
def test_check_name_refuses(name):
    with pytest.raises(InvalidArgument, match="Invalid container name"):
        check_name(name)


def test_env_file_forms(tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_US", "here")
    path = tmp_path / "env"
    path.write_bytes(b"\xef\xbb\xbfA=1\n# no\n\n  B=2 3\r\nFROM_US\nNOT_SET_ANYWHERE\nC=\n")
    assert read_file(str(path), "env file", inherit=True) == ["A=1", "B=2 3", "FROM_US=here", "C="]


def test_monitor_request_says_what_the_spec_cannot(tmp_path):
    options = {"rm": True, "tty": True, "interactive": True, "stop_signal": "INT", "stop_timeout": "3", "init": True}
    request = parse_request("img", ["x"], options)
    record = {"Id": "d" * 64, "Name": "/n", "Pyctr": {"anonymous_volumes": ["v"]}}
    record |= {"Config": request.config, "HostConfig": request.host_config}
    planned = plan_request(Store("/r", "/run"), record, ["/l"])
    assert planned["remove"] == {"name": "/r/names/n", "volumes": ["/r/volumes/v"]}
    assert planned["overlay"]["volatile"] is True
    assert (planned["stop_signal"], planned["stop_timeout_s"], planned["init"], planned["terminal"]) == (
        2,
        3,
        True,
        True,
    )
    assert planned["user"] == "0"
    assert planned["run_dir"] == "/run/" + "d" * 64


def test_gather_reads_this_host():
    facts = gather({**new_host_config(), "Memory": 1 << 30, "Devices": [{"PathOnHost": "/dev/null"}]})
    assert facts.cpus >= 1
    (null,) = facts.devices["/dev/null"]
    assert (null.type, null.major, null.minor) == ("c", 1, 3)
    assert "nofile" in read_rlimits()


def test_raw_modes_turn_echo_and_signals_off():
    import termios

    made = raw_modes([termios.ICRNL, termios.OPOST, 0, termios.ECHO | termios.ISIG, 0, 0, [b""] * 32])
    assert made[0] == made[1] == made[3] == 0


def test_importing_pyctr_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import pyctr; print(*(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert set(out.stdout.split()) <= {"__future__", "pyctr"}
