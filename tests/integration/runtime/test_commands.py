"""pyctr-runtime's command line on a bundle, beside runc's where both can be asked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyctr
from tests import transcript
from tests.conftest import need_tool, needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = needs_root
RUNTIME = str(Path(pyctr.__file__).parent / "_bin/pyctr-runtime")


class Runtime:
    """A bundle and a state directory of its own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.bundle = base / "bundle"
        for name in ("bin", "proc", "sys", "dev", "tmp"):
            (self.bundle / "rootfs" / name).mkdir(parents=True)
        shutil.copy(need_tool("busybox"), self.bundle / "rootfs/bin/busybox")
        for applet in ("sh", "true", "sleep", "cat", "ps", "id", "touch"):
            (self.bundle / "rootfs/bin" / applet).symlink_to("busybox")
        subprocess.run([RUNTIME, "spec"], cwd=self.bundle, check=True)
        self.configure(lambda config: config["process"].update(terminal=False, args=["sleep", "1000"]))

    def configure(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.bundle / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    def __call__(self, *args: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        # Files, not pipes: what `create` leaves running would hold a pipe open.
        with open(self.base / "out", "w+") as out, open(self.base / "err", "w+") as err:
            done = subprocess.run(
                [RUNTIME, "--root", str(self.base / "state"), *args],
                cwd=self.bundle, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=180, check=False,
            )  # fmt: skip
            out.seek(0)
            err.seek(0)
            result = subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())
        said = transcript.note_done(("pyctr-runtime", *args), result)
        assert code in (None, result.returncode), f"{said}  expected {code}"
        return result

    def status(self, name: str) -> str:
        return str(json.loads(self("state", name).stdout)["status"])


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(tmp_path)
    yield runtime
    for name in runtime("list", "-q").stdout.split():
        runtime("delete", "-f", name, code=None)


def test_life_of_a_container_is_runcs(runtime: Runtime) -> None:
    runtime("create", "--pid-file", str(runtime.base / "pid"), "one")
    state = json.loads(runtime("state", "one").stdout)
    assert state["status"] == "created"
    assert state["pid"] == int((runtime.base / "pid").read_text())
    assert {"ociVersion", "id", "bundle", "rootfs", "created", "owner"} <= state.keys()
    runtime("start", "one")
    assert runtime.status("one") == "running"
    assert runtime("exec", "one", "sh", "-c", "exit 4", code=4).stdout == ""
    wait_until(lambda: "sleep 1000" in runtime("exec", "one", "ps").stdout, "its command is executed")
    runtime("pause", "one")
    assert runtime.status("one") == "paused"
    runtime("resume", "one")
    runtime("update", "--pids-limit", "33", "--memory", "67108864", "one")
    stats = json.loads(runtime("events", "--stats", "one").stdout)["data"]
    assert (stats["pids"]["limit"], stats["memory"]["usage"]["limit"]) == (33, 64 << 20)
    assert str(state["pid"]) in runtime("ps", "one").stdout
    assert "one" in runtime("list").stdout
    assert runtime("delete", "one", code=1).stderr
    runtime("kill", "one", "KILL")
    wait_until(lambda: runtime.status("one") == "stopped", "its end")
    runtime("delete", "one")
    assert runtime("list", "-q").stdout == ""
    assert runtime("state", "one", code=1).stderr


def test_run_passes_the_exit_code_on(runtime: Runtime) -> None:
    runtime.configure(lambda config: config["process"].update(args=["sh", "-c", "echo out; exit 9"]))
    assert runtime("run", "two", code=9).stdout == "out\n"
    assert runtime("list", "-q").stdout == ""


def test_hooks_run_in_order_with_the_state(runtime: Runtime) -> None:
    log = runtime.base / "log"

    def hook(stage: str) -> list[dict[str, Any]]:
        script = f'printf "{stage} " >> {log}; cat >> {log}; echo >> {log}'
        return [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]

    stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    runtime.configure(lambda config: config.update(hooks={stage: hook(stage) for stage in stages}))
    runtime("create", "three")
    runtime("start", "three")
    runtime("delete", "-f", "three")
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert [stage for stage, _ in lines] == stages
    states = {stage: json.loads(text) for stage, text in lines}
    assert all(state["id"] == "three" for state in states.values())
    assert states["createRuntime"]["status"] in ("creating", "created")
    assert states["poststop"]["status"] == "stopped"


def test_failing_hook_stops_the_start_and_leaves_nothing(runtime: Runtime) -> None:
    runtime.configure(lambda config: config.update(hooks={"createRuntime": [{"path": "/bin/false"}]}))
    assert "createRuntime hook" in runtime("create", "four", code=1).stderr
    assert runtime("list", "-q").stdout == ""


def test_console_socket_gets_the_terminal(runtime: Runtime) -> None:
    runtime.configure(
        lambda config: config["process"].update(terminal=True, args=["sh", "-c", "test -t 0 && echo terminal"])
    )
    path = str(runtime.base / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        runtime("create", "--console-socket", path, "five")
        connection, _ = listener.accept()
        with connection:
            _, fds, *_ = socket.recv_fds(connection, 4096, 1)
    runtime("start", "five")
    data = b""
    try:
        while chunk := os.read(fds[0], 4096):
            data += chunk
    except OSError:
        pass  # EIO: the other side is closed
    os.close(fds[0])
    assert data == b"terminal\r\n"


def test_user_namespace_and_idmapped_mount_show_mapped_owners(runtime: Runtime) -> None:
    data = runtime.base / "data"
    data.mkdir()
    (data / "file").touch()
    os.chown(data / "file", 1000, 1000)
    mapping = [{"containerID": 2000, "hostID": 1000, "size": 1}]

    def change(config: dict[str, Any]) -> None:
        config["process"]["args"] = ["busybox", "stat", "-c", "%u", "/data/file"]
        config["mounts"].append(
            {"destination": "/data", "type": "bind", "source": str(data), "options": ["bind", "idmap"],
             "uidMappings": [{"containerID": 1000, "hostID": 2000, "size": 1}],
             "gidMappings": [{"containerID": 1000, "hostID": 2000, "size": 1}]}
        )  # fmt: skip

    assert mapping
    runtime.configure(change)
    done = runtime("run", "six", code=None)
    if "map ids" in done.stderr:
        pytest.skip(f"this file system cannot be id-mapped: {done.stderr.strip()}")
    assert done.stdout == "2000\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "config.json"),
        ("[]", "config"),
        ('{"ociVersion": "9.0"}', "ociVersion"),
        ('{"ociVersion": "1.0.0"}', "config"),
    ],
)
def test_config_that_is_not_oci_is_one_line(runtime: Runtime, content: str, words: str) -> None:
    (runtime.bundle / "config.json").write_text(content)
    done = runtime("run", "seven", code=1)
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


@pytest.mark.parametrize("name", ["../x", "", ".", "a/b", "a b"])
def test_bad_id_is_refused(runtime: Runtime, name: str) -> None:
    assert runtime("run", name, code=1).stderr


def test_same_id_twice_is_refused(runtime: Runtime) -> None:
    runtime("create", "eight")
    assert "exist" in runtime("create", "eight", code=1).stderr


def test_features_and_spec_are_oci(runtime: Runtime) -> None:
    features = json.loads(runtime("features").stdout)
    assert {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"} <= features.keys()
    assert json.loads((runtime.bundle / "config.json").read_text())["ociVersion"].startswith("1.")


def test_seccomp_denies_what_the_profile_says(runtime: Runtime) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }

    def change(config: dict[str, Any]) -> None:
        config["linux"]["seccomp"] = profile
        config["process"]["args"] = ["busybox", "mkdir", "/tmp/x"]

    runtime.configure(change)
    assert "Operation not permitted" in runtime("run", "nine", code=1).stderr
