"""An ordinary user runs containers: what they are inside, what they are outside, and what is left of them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.rootless.conftest import SUBID, UID, make_user
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.rootless.conftest import User


@pytest.fixture(scope="module")
def lone_user() -> Iterator[User]:
    """A user without subordinate ids."""
    yield from make_user(0)


def none(user: User, *command: str, flags: tuple[str, ...] = (), code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of busybox without a network."""
    return user("run", "--rm", "--network", "none", *flags, "busybox", *command, code=code)


def test_run_root_inside_is_the_user_outside(user: User) -> None:
    shared = user.home / "shared"
    script = "id -u; cat /proc/self/uid_map; echo x > /shared/root; echo y > /shared/other; chown 7:8 /shared/other"
    done = none(user, "sh", "-c", script, flags=("-v", f"{shared}:/shared"))
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["0"],
        ["0", str(UID), "1"],
        ["1", str(SUBID), "65536"],
    ]
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in shared.iterdir()}
    assert owners == {"root": (UID, UID), "other": (SUBID + 6, SUBID + 7)}


def test_run_other_user_devices_and_read_only_files(user: User) -> None:
    script = "id -u; id -G; head -c 2 /dev/zero | wc -c; echo gone > /dev/null; ls -d /proc/1"
    done = none(user, "sh", "-c", script, flags=("--user", "1000:1000", "--group-add", "44"))
    assert done.stdout.split() == ["1000", "1000", "44", "2", "/proc/1"]
    refused = none(user, "sh", "-c", "echo x > /proc/sys/kernel/domainname", code=1)
    assert "Read-only file system" in refused.stderr


def test_run_host_network_is_the_hosts(user: User) -> None:
    done = user(
        "run", "--rm", "--network", "host", "busybox", "sh", "-c", "readlink /proc/self/ns/net; ls /sys/class/net"
    )
    assert done.stdout.split()[0] == os.readlink("/proc/self/ns/net")
    assert "lo" in done.stdout.split()


def test_run_hello_that_comes_with_the_package(user: User) -> None:
    assert "uid 0 gid 0" in user("run", "--rm", "--network", "none", "hello").stdout


def test_life_of_a_container_in_the_background(user: User) -> None:
    script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.1; done"
    started = user("run", "-d", "--network", "none", "--name", "web", "busybox", "sh", "-c", script).stdout.strip()
    assert user("ps", "-q", "--no-trunc").stdout.split() == [started]
    assert user("exec", "web", "sh", "-c", "id -u; ls /proc/1/exe").stdout.split() == ["0", "/proc/1/exe"]
    assert user("exec", "-u", "5:6", "web", "id", "-u").stdout == "5\n"
    assert user("top", "web", "-o", "pid,args").stdout.count("sh -c") == 1
    assert "control group: the container has none" in user("pause", "web", code=1).stderr
    assert user("stats", "--no-stream", "--format", "{{.Name}}", "web").stdout == "web\n"
    wait_until(lambda: user("logs", "web").stdout, "its first line")
    user("stop", "web")
    assert user("logs", "web").stdout == "up\ntold\n"
    assert user("inspect", "-f", "{{.State.ExitCode}}", "web").stdout == "3\n"
    user("commit", "web", "made")
    user("rm", "web")
    assert user("ps", "-aq").stdout == ""
    user("rmi", "made")


def test_deleted_files_and_emptied_directories_stay_so_in_a_committed_image(user: User) -> None:
    script = "mkdir /a; touch /a/old /b"
    none_of = ("run", "--network", "none", "--name")
    user(*none_of, "one", "busybox", "sh", "-c", script)
    user("commit", "one", "first")
    user(*none_of, "two", "first", "sh", "-c", "rm -r /a /b; mkdir /a; touch /a/new")
    user("commit", "two", "second")
    done = user("run", "--rm", "--network", "none", "second", "sh", "-c", "ls /a; ls /b", code=1)
    assert done.stdout == "new\n"
    user("rm", "one", "two")
    user("rmi", "first", "second")


def test_keeper_killed_container_goes_on_and_is_found_again(user: User) -> None:
    user("run", "-d", "--network", "none", "--name", "left", "busybox", "sleep", "1000")
    os.kill(user.keeper(), signal.SIGKILL)
    wait_until(lambda: not user.keepers(), "the keeper's end")
    assert user("exec", "left", "echo", "still here").stdout == "still here\n"
    assert user.keeper()
    user("rm", "-f", "left")


def test_keeper_goes_when_nothing_runs_and_not_before(user: User) -> None:
    user("run", "-d", "--network", "none", "--name", "last", "busybox", "sleep", "1000")
    keeper = user.keeper()
    user("rm", "-f", "last")
    wait_until(lambda: not user.keepers(), "the keeper's end")
    assert not user.socket.exists()
    user("ps")
    assert user.keepers() != [keeper]


def test_commands_at_once_share_one_keeper(user: User) -> None:
    wait_until(lambda: not user.keepers(), "the keeper's end")
    script = (
        "readlink /proc/self/ns/user; read line"  # until all of them have been there: a keeper does not wait for ever
    )
    words = ("run", "-i", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    command = user.command(sys.executable, "-m", "pyctr", *words)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    runs = [subprocess.Popen(command, env=user.env, text=True, **pipes) for _ in range(4)]
    namespaces = {run.stdout.readline() for run in runs if run.stdout}
    codes = [(run.communicate("go\n", timeout=120), run.returncode)[1] for run in runs]
    assert codes == [0] * 4
    assert len(namespaces) == 1
    assert namespaces != {os.readlink("/proc/self/ns/user") + "\n"}


def test_info_says_rootless(user: User) -> None:
    info = json.loads(user("info", "--format", "json").stdout)
    assert "name=rootless" in info["SecurityOptions"]
    assert info["CgroupDriver"] == "none"
    assert info["DockerRootDir"] == str(user.root)
    assert user.root.stat().st_mode & 0o7777 == 0o700, "others would find its setuid files"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ("--device-cgroup-rule", "c 1:3 r"),
            "--device-cgroup-rule: an ordinary user's containers have no control groups",
        ),
        (("--cgroup-parent", "x"), "--cgroup-parent: an ordinary user's containers have no control groups"),
        (("--pid", "host"), "--pid host: what it leaves running cannot be found again without a control group"),
        (
            ("--userns", "remap"),
            "--userns remap: an ordinary user's containers are in that user's own namespace already",
        ),
        (("--oom-score-adj", "-1000"), "--oom-score-adj -1000: an ordinary user cannot go below the present"),
        (("--cpus", "1"), "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler"),
    ],
)
def test_what_cannot_be_is_refused_by_name(user: User, flags: tuple[str, ...], words: str) -> None:
    done = none(user, "true", flags=flags, code=125)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_memory_limit_is_discarded_with_dockers_warning(user: User) -> None:
    done = none(user, "true", flags=("--memory", "100m"))
    assert (
        "does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded" in done.stderr
    )


def test_device_is_bound_under_another_name(user: User) -> None:
    done = none(user, "sh", "-c", "head -c 3 /dev/nought | wc -c", flags=("--device", "/dev/zero:/dev/nought"))
    assert done.stdout.strip() == "3"


def test_run_root_of_somebody_else_is_refused(user: User) -> None:
    directory = user.home.parent / "somebody"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    done = user("--run-root", str(directory), "ps", code=1)
    assert done.stderr.startswith(f"pyctr: use {directory}: not a directory of this user's alone\n")
    assert not list(directory.iterdir())


def test_run_root_is_locked_against_being_tidied_up_while_a_keeper_is_there(user: User) -> None:
    user("ps")
    directory = os.open(user.run_root, os.O_RDONLY)
    try:
        wait_until(lambda: not user.keepers(), "the keeper's end")
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(directory, fcntl.LOCK_UN)
        user("run", "-d", "--name", "kept", "--network", "none", "busybox", "sleep", "1000")
        with pytest.raises(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(directory)
    user("rm", "-f", "kept")


def test_keeper_turns_another_user_away(user: User) -> None:
    user("ps")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:  # root may connect, and is another user
        other.connect(str(user.socket))
        assert other.recv(100) == b""


def test_lone_user_runs_as_root_and_as_nobody_else(lone_user: User) -> None:
    done = none(lone_user, "sh", "-c", "cat /proc/self/uid_map; id -u")
    assert done.stdout.split() == ["0", str(UID), "1", "0"]
    refused = none(lone_user, "true", flags=("--user", "5"), code=125)
    assert re.search(r"Invalid argument|/etc/subuid", refused.stderr)
