"""`pyctr run` as a user calls it, in real containers."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, left_by, needs_root
from tests.waiting import PATIENCE_S, wait_equal, wait_gone, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root


def settle(cli: Cli) -> None:
    """Nothing of a container is left, once clean-up has had its time."""
    wait_equal(lambda: left_by(cli), set(), "nothing is left")


def test_run_streams_and_exit_code_are_the_commands(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("flags", [("-it",), ("-t", "-a", "stdin")])
def test_run_with_a_terminal_and_no_terminal_to_lend_is_refused(cli: Cli, flags: tuple[str, ...]) -> None:
    done = cli("run", *flags, "busybox", "sh", stdin=subprocess.DEVNULL, code=1)
    assert done.stderr == "pyctr: the input device is not a TTY\n"
    assert cli("ps", "-aq").stdout == ""
    assert cli("run", "--rm", "-t", "busybox", "echo", "hi", stdin=subprocess.DEVNULL).stdout == "hi\n"


def test_an_ordinary_user_is_kept_out_of_roots_run_root(cli: Cli) -> None:
    program = (  # once as root: an ordinary user may not be able to read the interpreter's modules
        "import os, sys\nimport pyctr.engine.rootless\nfrom pyctr.cli.main import main\nmain(['ps', '-a'])\n"
        "os.setgid(65534)\nos.setuid(65534)\nsys.exit(main(['ps', '-a']))"
    )
    done = subprocess.run([cli.command()[0], "-c", program], env=cli.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(
        r"pyctr: (make /.*: permission denied|use /.*: not a directory of this user's alone)\n", done.stderr
    )


def test_run_hello_says_what_it_sees(cli: Cli) -> None:
    assert "1 (of 1 that are visible)" in cli("run", "--rm", "hello").stdout


def test_run_stdin_reaches_the_command_and_ends(cli: Cli) -> None:
    text = "line\n" * 20000
    assert cli("run", "--rm", "-i", "busybox", "cat", input=text).stdout == text


def test_run_stdin_from_a_file_is_read_to_its_end(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x" * 300_000)
    with open(tmp_path / "in") as file:
        assert cli("run", "--rm", "-i", "busybox", "wc", "-c", stdin=file).stdout.strip() == "300000"


def test_run_large_output_is_complete(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x")
    assert len(done.stdout) == 20_000_000


def test_run_docker_default_capabilities_and_filter(cli: Cli) -> None:
    status = cli("run", "--rm", "busybox", "cat", "/proc/self/status").stdout
    assert "CapEff:\t00000000a80425fb" in status
    assert "CapInh:\t0000000000000000" in status
    assert "Seccomp:\t2" in status


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["busybox", "nothing"], 127, "executable file not found"),
        (["busybox", "/etc"], 126, "ermission denied"),
        (["-u", "nobody2", "busybox", "id"], 125, "no matching entries in passwd file"),
        (["--pull", "never", "nosuch"], 125, "No such image: nosuch:latest"),
        (["--mount", "type=bind,src=/nonexistent,dst=/x", "busybox"], 125, "bind source path does not exist"),
        (["-m", "1m", "busybox"], 125, "Minimum memory limit allowed is 6MB"),
        (["--no-such-flag", "busybox"], 125, "unknown flag: --no-such-flag"),
        (["-d", "-a", "stdout", "busybox"], 1, "conflicting options: cannot specify both --attach and --detach"),
        (["--detach-keys", "ctrl-1", "busybox"], 1, "invalid detach keys (ctrl-1)"),
        (["-p", "80:80:80:80", "busybox"], 125, "invalid IP address"),
        (["--network", "no-such-network", "busybox"], 125, "network no-such-network not found"),
        (["--cap-add", "NOTHING", "busybox"], 125, "NOTHING"),
    ],
)
def test_run_bad_input_is_one_line_and_leaves_nothing(cli: Cli, args: list[str], code: int, words: str) -> None:
    done = cli("run", "--rm", *args, code=code)
    first = done.stderr.splitlines()[0]
    assert first.startswith(("pyctr: ", "unknown flag: "))
    assert words in first
    settle(cli)
    assert cli("ps", "-aq").stdout == ""


def test_run_options_reach_the_container(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("content")
    script = "echo $A $B; pwd; hostname; id -u; cat /data/file; touch /data/x 2>&1; touch /x 2>&1; df -k /scratch | tail -1 | awk '{print $2}'"
    done = cli(
        "run", "--rm", "-e", "A=1", "--env", "B=2", "-w", "/work", "--hostname", "box", "-u", "12:34", "--read-only",
        "-v", f"{tmp_path}/data:/data:ro", "--tmpfs", "/scratch:size=1m", "busybox", "sh", "-c", script,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:5] == ["1 2", "/work", "box", "12", "contenttouch: /data/x: Read-only file system"]
    assert "Read-only file system" in lines[5]
    assert lines[6] == "1024"


def test_run_limits_are_in_force(cli: Cli) -> None:
    script = (
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null;"
        "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; ulimit -n"
    )
    done = cli(
        "run", "--rm", "-m", "64m", "--pids-limit", "20", "--ulimit", "nofile=100", "busybox", "sh", "-c", script
    )
    assert done.stdout.split() == [str(64 << 20), "20", "100"]


def test_run_out_of_memory_is_137_and_told(cli: Cli) -> None:
    name = "hungry"
    cli(
        "run",
        "--name",
        name,
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "a=x; while :; do a=$a$a; done",
        code=137,
    )
    assert cli("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", name).stdout == "true 137\n"
    cli("rm", name)


def test_run_fork_bomb_is_held(cli: Cli) -> None:
    done = cli(
        "run",
        "--rm",
        "--pids-limit",
        "10",
        "busybox",
        "sh",
        "-c",
        "for i in $(seq 50); do sleep 100 & done; wait",
        code=None,
    )
    assert "an't fork" in done.stderr


def test_run_init_reaps_and_passes_signals(cli: Cli) -> None:
    done = cli(
        "run",
        "--rm",
        "--init",
        "busybox",
        "sh",
        "-c",
        "cat /proc/1/comm; echo $$; (sh -c 'echo $$ >/orphan' &); until [ -s /orphan ]; do sleep 0.05; done;"
        "while [ -d /proc/$(cat /orphan) ]; do sleep 0.05; done; echo reaped",
    )
    lines = done.stdout.split()
    assert lines[0] == "pyctr-init"
    assert int(lines[1]) > 1
    assert lines[2] == "reaped"


def test_run_signals_are_passed_on(cli: Cli) -> None:
    command = cli.command(
        "run", "--rm", "busybox", "sh", "-c", "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    )
    with subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "got\n"
        assert process.wait(PATIENCE_S) == 9


def test_run_terminal_is_one_and_has_a_size(cli: Cli) -> None:
    master, slave = pty.openpty()
    os.set_blocking(master, True)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = cli.command("run", "--rm", "-it", "busybox", "sh", "-c", "tty; stty size; test -t 0 && echo yes")
    process = subprocess.Popen(command, env=cli.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    output = b""
    reader_done = threading.Event()

    def read() -> None:
        nonlocal output
        try:
            while data := os.read(master, 4096):
                output += data
        except OSError:
            pass
        reader_done.set()

    threading.Thread(target=read, daemon=True).start()
    assert process.wait(PATIENCE_S) == 0
    reader_done.wait(PATIENCE_S)
    os.close(master)
    assert output.decode().replace("\r", "").splitlines() == ["/dev/pts/0", "40 100", "yes"]


def test_run_detached_is_listed_logged_and_removed(cli: Cli) -> None:
    container = cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo started; sleep 1000").stdout.strip()
    assert len(container) == 64
    rows = cli("ps").stdout.splitlines()
    assert rows[0].split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert rows[1].startswith(container[:12])
    assert rows[1].endswith("web")
    wait_until(lambda: cli("logs", "web").stdout == "started\n", "what it says")
    assert cli("inspect", "-f", "{{.State.Running}} {{.Name}}", "web").stdout == "true /web\n"
    assert cli("rm", "web", code=1).stderr.startswith("pyctr: ")
    cli("kill", "web")
    cli("wait", "web")
    assert cli("ps", "-q").stdout == ""
    assert "Exited (137)" in cli("ps", "-a").stdout
    cli("start", "web")
    wait_until(lambda: cli("logs", "web").stdout == "started\nstarted\n", "what it says again")
    assert cli("rm", "-f", "web").stdout == "web\n"


def test_run_name_taken_is_a_conflict_naming_the_holder(cli: Cli) -> None:
    holder = cli("create", "--name", "one", "busybox").stdout.strip()
    done = cli("run", "--name", "one", "busybox", code=125)
    assert 'The container name "/one" is already in use' in done.stderr
    assert holder in done.stderr
    cli("rm", "one")


def test_run_joins_namespaces_of_another(cli: Cli) -> None:
    cli("run", "-d", "--name", "host1", "--hostname", "first", "--ipc", "shareable", "busybox", "sleep", "1000")
    done = cli("run", "--rm", "--pid", "container:host1", "--network", "container:host1", "busybox", "ps")
    assert "sleep 1000" in done.stdout
    net = cli("run", "--rm", "--network", "container:host1", "busybox", "readlink", "/proc/self/ns/net").stdout
    pid = cli("inspect", "-f", "{{.State.Pid}}", "host1").stdout.strip()
    assert os.readlink(f"/proc/{pid}/ns/net") == net.strip()
    cli("rm", "-f", "host1")


def test_run_host_namespaces_are_the_hosts(cli: Cli) -> None:
    done = cli("run", "--rm", "--network", "host", "--pid", "host", "--uts", "host", "--ipc", "host", "busybox",
               "readlink", "/proc/self/ns/net", "/proc/self/ns/pid", code=None)  # fmt: skip
    uts = cli("run", "--rm", "--uts", "host", "busybox", "hostname").stdout.strip()
    assert uts == os.uname().nodename
    assert done.returncode in (0, 1)


def test_run_many_times_and_many_at_once_leave_nothing(cli: Cli) -> None:
    for _ in range(20):
        cli("run", "--rm", "busybox", "true")
    processes = [subprocess.Popen(cli.command("run", "--rm", "busybox", "true"), env=cli.env) for _ in range(20)]
    assert [process.wait(180) for process in processes] == [0] * 20
    settle(cli)
    assert os.listdir(cli.root / "containers") == []
    assert set(os.listdir(cli.run_root)) <= {"networks"}
    assert not [path for kind in ("addresses", "endpoints") for path in cli.run_root.glob(f"networks/*/{kind}/*")]


def test_run_monitor_killed_takes_the_container_and_is_repaired(cli: Cli) -> None:
    container = cli("run", "-d", "--name", "orphan", "busybox", "sleep", "1000").stdout.strip()
    pid = int(cli("inspect", "-f", "{{.State.Pid}}", "orphan").stdout)
    monitor = next(
        int(candidate)
        for candidate in filter(str.isdigit, os.listdir("/proc"))
        if _cmdline(candidate).endswith(container + "\0")
    )
    os.kill(monitor, signal.SIGKILL)
    wait_gone(pid, "its process")
    assert "Exited (137)" in cli("ps", "-a").stdout
    cli("rm", "orphan")


def _cmdline(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def test_run_cli_killed_leaves_the_container_running(cli: Cli) -> None:
    process = subprocess.Popen(
        cli.command("run", "--name", "alone", "busybox", "sh", "-c", "echo up; sleep 1000"),
        env=cli.env,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert "alone" in cli("ps").stdout
    cli("rm", "-f", "alone")
