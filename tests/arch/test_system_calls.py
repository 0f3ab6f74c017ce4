"""What a start does, counted: system calls and processes cannot drift the way times do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import pyctr
from tests.conftest import Cli, need_tool, needs_root
from tests.waiting import wait_until

pytestmark = needs_root
RUNTIME = str(Path(pyctr.__file__).parent / "_bin/pyctr-runtime")
#: Counted 770 on a hybrid host of nine hierarchies; a host with more has more cgroups to make.
RUNTIME_CALLS_MAX = 900
#: From the look at the context to the layer's blob. Counted 23, and 28 of a debug build, which asks of each descriptor it closes
#: whether it is one.
COPIED_FILE_CALLS_MAX = 30
#: Of one that is in the cache already, and too young to be known by what stat says of it. Counted 6, and 8 of a debug build.
DIGESTED_FILE_CALLS_MAX = 8
#: Interpreter start-up included, a few hundred of them looking for site packages.
RUN_CALLS_MAX = 3000


def traced(command: list[str], output: Path, env: dict[str, str] | None = None) -> tuple[int, int]:
    """System calls and processes execed, all threads and children."""
    strace = need_tool("strace")
    done = subprocess.run([strace, "-f", "-qq", "-o", str(output), *command], env=env, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"strace cannot follow here: {done.stderr.decode().strip()[:200]}")
    lines = output.read_text(errors="replace").splitlines()
    calls = [line for line in lines if "resumed>" not in line and "+++" not in line and "---" not in line]
    # One that succeeded, or one whose end stands on a line of its own because another process spoke in between.
    execs = [line for line in calls if " execve" in line and ("= 0" in line or "unfinished" in line)]
    return len(calls), len(execs)


def make_bundle(path: Path, *args: str) -> None:
    """A bundle of busybox that runs ``args``."""
    busybox = need_tool("busybox")
    for name in ("bin", "proc", "sys", "dev"):
        (path / "rootfs" / name).mkdir(parents=True)
    (path / "rootfs/bin/busybox").write_bytes(Path(busybox).read_bytes())
    (path / "rootfs/bin/busybox").chmod(0o755)
    for applet in ("true", "sleep"):
        (path / "rootfs/bin" / applet).symlink_to("busybox")
    subprocess.run([RUNTIME, "spec"], cwd=path, check=True)
    config = json.loads((path / "config.json").read_text())
    config["process"].update(terminal=False, args=args)
    (path / "config.json").write_text(json.dumps(config))


def test_runtime_run_makes_few_system_calls(tmp_path: Path) -> None:
    make_bundle(tmp_path, "/bin/true")
    command = [RUNTIME, "--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path), "counted"]
    calls, execs = traced(command, tmp_path / "trace")
    assert calls <= RUNTIME_CALLS_MAX
    assert execs == 3, "the runtime, pyctr-init, the command"


def test_exec_gives_up_its_dump_before_it_joins(tmp_path: Path) -> None:
    """CVE-2016-9962: a process of the container must not look into the one that joins it."""
    make_bundle(tmp_path, "/bin/sleep", "1000")
    runtime = [RUNTIME, "--root", str(tmp_path / "state")]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*runtime, "run", "--detach", "--bundle", str(tmp_path), "joined"], check=True, **quiet)
    try:
        traced([*runtime, "exec", "joined", "/bin/true"], tmp_path / "trace")
    finally:
        subprocess.run([*runtime, "delete", "--force", "joined"], check=True)
    calls = (tmp_path / "trace").read_text(errors="replace").splitlines()
    joining = next(line.split()[0] for line in calls if "setns(" in line)
    own = [line for line in calls if line.split()[0] == joining]
    hidden = next(index for index, line in enumerate(own) if "prctl(PR_SET_DUMPABLE, " in line)
    assert "execve" in own[hidden - 1], "the first thing pyctr-init does"
    assert hidden < next(index for index, line in enumerate(own) if "setns(" in line)


def test_run_spawns_only_what_it_must(cli: Cli, tmp_path: Path) -> None:
    command = cli.command("run", "--rm", "--network", "none", "busybox", "true")
    calls, execs = traced(command, tmp_path / "trace", {**os.environ, **cli.env})
    assert calls <= RUN_CALLS_MAX
    # Besides these four only the interpreter's own wrapper, where there is one (a shim, a virtual environment's link).
    assert execs <= 5, "python, the monitor, pyctr-init, the command"


def test_cached_rebuild_waits_for_no_disk(cli: Cli, tmp_path: Path) -> None:
    """What has its name already is on the disk: a build that changes nothing syncs nothing."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text("x")
    (context / "Dockerfile").write_text("FROM busybox\nCOPY file /\nENV A=1\n")
    words = ("build", "-q", "--network", "none", "-t", "rebuilt", str(context))
    first = cli(*words).stdout
    wait_until(lambda: not (cli.root / "unsettled").exists(), "what the first one made is synced behind it")
    traced(cli.command(*words), tmp_path / "trace", {**os.environ, **cli.env})
    calls = (tmp_path / "trace").read_text(errors="replace").splitlines()
    assert not [line for line in calls if any(f" {call}(" in line for call in ("fsync", "fdatasync", "syncfs", "sync"))]
    assert cli(*words).stdout == first


def test_copied_file_costs_few_system_calls_and_a_cached_one_fewer(cli: Cli, tmp_path: Path) -> None:
    def calls_of_builds(count: int) -> tuple[int, int]:
        context = tmp_path / str(count)
        (context / "d").mkdir(parents=True)
        for number in range(count):
            (context / f"d/f{number}").write_text(f"{number} of {count}")
        (context / "Dockerfile").write_text("FROM busybox\nCOPY d /files/\n")
        command = cli.command("build", "-q", "--network", "none", str(context))
        environment = {**os.environ, **cli.env}
        return traced(command, tmp_path / "trace", environment)[0], traced(command, tmp_path / "trace", environment)[0]

    few, many = calls_of_builds(10), calls_of_builds(410)
    assert (many[0] - few[0]) / 400 <= COPIED_FILE_CALLS_MAX
    assert (many[1] - few[1]) / 400 <= DIGESTED_FILE_CALLS_MAX


def test_rebuild_opens_no_file_that_is_as_it_was(cli: Cli, tmp_path: Path) -> None:
    """What was read before goes by what stat says (rust/core/src/tree/known.rs), where inodes and times mean that much."""
    context = Path(pyctr.__file__).parent / "build/dockerfile"  # older than the clock's ticks
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", context], capture_output=True, text=True, check=True
    ).stdout.strip()
    if kind not in ("ext2/ext3", "xfs", "btrfs", "f2fs"):
        pytest.skip(f"nothing is known of files on {kind}")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY . /files/\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("__pycache__\n")
    command = cli.command("build", "-q", "--network", "none", "-f", str(tmp_path / "Dockerfile"), str(context))

    def opened() -> int:
        traced(command, tmp_path / "trace", {**os.environ, **cli.env})
        calls = (tmp_path / "trace").read_text(errors="replace").splitlines()
        return sum(" openat(" in line and '"lexer.py"' in line for line in calls)

    assert opened(), "digested and copied"
    assert not opened()
