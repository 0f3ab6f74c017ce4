"""Whole containers on the real monitor and kernel: what was planned is what is seen inside."""

import fcntl
import os
import pty
import select
import shutil
import struct
import termios
import threading
import time

import pytest

from pyctr.engine import Engine
from pyctr.engine.containers.session import Attach
from pyctr.errors import CommandNotExecutable, CommandNotFound, PyctrError, StateError
from tests.conftest import Cli, left_by
from tests.waiting import PATIENCE_S, state_letter, wait_equal, wait_until

BUSYBOX = "/bin/busybox"
LAYER = "c" * 64

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root"),
    pytest.mark.skipif(not os.path.exists(Engine().runtime), reason="pyctr-runtime is not built"),
    pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="busybox-static is not installed"),
]


class BusyboxImage:
    id = "sha256:" + "2" * 64
    layers = ["sha256:" + LAYER]
    config = {"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]}}

    def __init__(self, root):
        self.root = root

    def resolve(self, name):
        return self

    def layer_paths(self):
        return [f"{self.root}/layers/{LAYER}"]

    def pin(self):
        return os.open(self.root, os.O_RDONLY)


@pytest.fixture
def engine(tmp_path):
    root = str(tmp_path / "root")
    layer = f"{root}/layers/{LAYER}"
    for directory in ("bin", "etc", "tmp", "proc", "sys", "dev"):
        os.makedirs(f"{layer}/{directory}")
    shutil.copy(BUSYBOX, layer + "/bin/busybox")
    for name in [
        "sh",
        "true",
        "cat",
        "id",
        "env",
        "echo",
        "ls",
        "mount",
        "sleep",
        "stat",
        "touch",
        "hostname",
        "kill",
        "stty",
        "dd",
        "grep",
        "ip",
        "head",
        "tail",
        "trap",
    ]:
        os.symlink("busybox", f"{layer}/bin/{name}")
    for name, text in (("passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"), ("group", "g:x:77:app\n")):
        with open(f"{layer}/etc/{name}", "w") as file:
            file.write(text)
    engine = Engine(root, str(tmp_path / "run"))
    engine._image_store = BusyboxImage(root)
    yield engine
    for summary in engine.containers.list(all=True):
        engine.containers.remove(summary.id, force=True, volumes=True)
    wait_until(lambda: os.listdir(root + "/containers") == [], "no container")
    assert os.listdir(root + "/names") == []
    wait_equal(lambda: left_by(Cli(tmp_path)), set(), "nothing is left")


def run(engine, *command, stdin=b"", **options):
    """Exit code and output."""
    read, write = os.pipe()
    in_read, in_write = os.pipe()
    os.write(in_write, stdin)
    os.close(in_write)
    try:
        attach = Attach(stdin=in_read, stdout=write, stderr=write)
        code = engine.containers.run("img", list(command), {"rm": True, **options}, attach)
    finally:
        os.close(write)
        os.close(in_read)
    with os.fdopen(read, "rb") as file:
        return code, file.read().decode()


def shell(engine, script, **options):
    code, out = run(engine, "sh", "-c", script, **options)
    assert code == 0, out
    return out.strip()


def test_stdio_and_exit_code(engine):
    assert run(engine, "sh", "-c", "cat; exit 7", interactive=True, stdin=b"hello") == (7, "hello")


def test_docker_defaults_inside(engine):
    out = shell(
        engine,
        "id -u; hostname; grep -E 'CapEff|CapInh|Seccomp:' /proc/self/status; ls /sys/class/net | sort; echo $PATH",
    )
    uid, name, inherited, effective, seccomp, ethernet, loopback, path = out.splitlines()
    assert uid == "0"
    assert len(name) == 12
    assert inherited.split()[1] == "0" * 16
    assert effective.split()[1] == "00000000a80425fb"
    assert seccomp.split()[1] == "2"
    assert (ethernet, loopback) == ("eth0", "lo")
    assert path == "/bin"


def test_failed_starts_have_dockers_exit_codes_and_leave_nothing(engine):
    with pytest.raises(CommandNotFound, match="nope"):
        run(engine, "nope")
    with pytest.raises(CommandNotExecutable, match="/etc/passwd"):
        run(engine, "/etc/passwd")
    with pytest.raises(PyctrError, match="nobody-such"):
        run(engine, "true", user="nobody-such")


def test_user_groups_workdir_environment(engine):
    out = shell(
        engine,
        "id; echo $X; env | grep -c HOSTNAME; cat /proc/self/cwd/passwd | head -1",
        user="app",
        workdir="/etc",
        env=["X=5"],
        group_add=["5"],
    )
    assert "uid=1000(app) gid=1001" in out
    assert "77(g)" in out
    assert "\n5\n1\nroot:" in out


def test_read_only_tmpfs_and_binds(engine, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f").write_text("data")
    out = shell(
        engine,
        "touch /x 2>/dev/null || echo root; touch /b/x 2>/dev/null || echo bind; touch /t/x && cat /b/f",
        read_only=True,
        tmpfs=["/t"],
        volume=[f"{tmp_path}/src:/b:ro"],
    )
    assert out.splitlines() == ["root", "bind", "data"]


def test_volume_outlives_its_container(engine):
    shell(engine, "echo kept > /v/f", volume=["data:/v"])
    assert shell(engine, "cat /v/f", mount=["type=volume,src=data,dst=/v,readonly"]) == "kept"


def test_limits_are_in_the_kernels_files(engine):
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true"
    assert shell(engine, script, memory="64m", cpus="0.5", pids_limit="50") == str(64 << 20)


def test_out_of_memory_is_137_and_recorded(engine):
    engine.containers.create(
        "img", ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M"], {"memory": "16m", "name": "oom"}
    )
    code = engine.containers.start("oom", Attach(stdin=None, stdout=None, stderr=None))
    state = engine.containers.inspect("oom")["State"]
    assert (code, state["ExitCode"], state["OOMKilled"]) == (137, 137, True)


def test_detached_logs_stop_start_and_join(engine):
    command = [
        "sh",
        "-c",
        "trap 'echo bye; exit 3' TERM; echo shared > /dev/shm/f; echo up; while :; do sleep 0.1; done",
    ]
    engine.containers.run("img", command, {"detach": True, "name": "one", "ipc": "shareable"})
    (summary,) = engine.containers.list()
    assert summary.names == ["one"]
    wait_until(lambda: list(engine.containers.logs("one")), "what it says")
    joined = {"network": "container:one", "pid": "container:one", "ipc": "container:one"}
    assert shell(engine, "cat /dev/shm/f; cat /proc/1/cmdline | grep -c trap; hostname", **joined).split()[:2] == [
        "shared",
        "1",
    ]
    engine.containers.stop("one", timeout_s=60)
    assert engine.containers.wait("one") == 3
    assert b"".join(data for _, data in engine.containers.logs("one")) == b"up\nbye\n"
    engine.containers.start("one")
    engine.containers.kill("one")
    assert engine.containers.wait("one") == 137


def test_restart_policy_restarts(engine):
    options = {"detach": True, "name": "again", "restart": "on-failure:2"}
    engine.containers.run("img", ["sh", "-c", "echo try; exit 1"], options)
    wait_until(lambda: not engine.containers.inspect("again")["State"]["Running"], "its last end")
    info = engine.containers.inspect("again")
    assert (info["RestartCount"], info["State"]["ExitCode"]) == (2, 1)
    assert b"".join(data for _, data in engine.containers.logs("again")).count(b"\n") == 3


def test_killed_monitor_leaves_nothing_after_repair(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one"})
    with open(engine.containers.store.path(engine.containers.resolve("one")) + "/state.json") as file:
        monitor = int(file.read().partition('"monitor_pid":')[2].partition(",")[0])
    pid = engine.containers.inspect("one")["State"]["Pid"]
    os.kill(monitor, 9)
    wait_until(lambda: not engine.containers.list(), "its monitor's end")
    assert engine.containers.inspect("one")["State"]["ExitCode"] == 137
    assert state_letter(pid) in ("", "Z"), "dead, whether or not somebody has reaped it"


class Terminal:
    """A run on a pseudo terminal of its own, in a thread that is not the main one."""

    def __init__(self, engine, command, options):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        self.result = []
        attach = Attach(stdin=self.slave, stdout=self.slave, stderr=self.slave)
        options = {"tty": True, "interactive": True, **options}
        self.modes = termios.tcgetattr(self.slave)
        self.thread = threading.Thread(
            target=lambda: self.result.append(engine.containers.run("img", command, options, attach))
        )
        self.thread.start()
        self.seen = b""

    def read_until(self, text):
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536)
        head, _, self.seen = self.seen.partition(text)
        return head

    def close(self):
        self.thread.join(PATIENCE_S)
        assert termios.tcgetattr(self.slave) == self.modes, "terminal not given back"
        os.close(self.master)
        os.close(self.slave)
        return self.result[0]


def test_terminal_has_size_and_passes_keys(engine):
    terminal = Terminal(engine, ["sh", "-c", "stty size; read x; echo got-$x; exit 4"], {"rm": True})
    terminal.read_until(b"33 99")
    os.write(terminal.master, b"key\r")
    terminal.read_until(b"got-key")
    assert terminal.close() == 4


def test_detach_keys_leave_it_running(engine):
    terminal = Terminal(engine, ["sh", "-c", "echo ready; sleep 1000"], {"name": "left", "detach_keys": "ctrl-a,b"})
    terminal.read_until(b"ready")
    os.write(terminal.master, b"\x01b")
    assert terminal.close() == 0
    assert [summary.names for summary in engine.containers.list()] == [["left"]]


def test_attach_to_what_does_not_run_is_refused(engine):
    engine.containers.create("img", [], {"name": "idle"})
    with pytest.raises(StateError, match="cannot attach to a stopped container"):
        engine.containers.attach("idle", Attach())
