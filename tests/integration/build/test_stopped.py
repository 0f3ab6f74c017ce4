"""Builds that end before their end: Ctrl-C, kill -9, a full disk, files that change."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyctr.build.request import Typed
from pyctr.errors import PyctrError
from tests.waiting import PATIENCE_S, wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.build.conftest import Builder

_CACHEONLY = (Typed("cacheonly", {}),)
_SCRIPT = """
import sys
from pathlib import Path
from pyctr.engine import Engine
from tests.integration.build.conftest import Builder
Builder(Engine(sys.argv[1], sys.argv[2]), Path(sys.argv[3]))(sys.argv[4])
"""
_DOCKERFILE = "FROM busybox\nRUN echo kept > /kept\nRUN touch /started; sleep 600\n"


@contextlib.contextmanager
def _started(build: Builder) -> Iterator[subprocess.Popen[bytes]]:
    """A build in a process of its own, its last RUN under way; it ends with the test."""
    arguments = [build.engine.root, build.engine.run_root, str(build.context), _DOCKERFILE]
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, *arguments], stderr=subprocess.PIPE)

    def has_started() -> bool:
        assert process.poll() is None, process.communicate()[1].decode()
        return bool(list(Path(build.engine.root, "build/run").glob("*/upper/started")))

    wait_until(has_started, "the last RUN")
    try:
        yield process
    finally:
        process.kill()


def test_interrupted_build_leaves_nothing_running_and_its_cache(build: Builder) -> None:
    with _started(build) as process:
        step = _step(build)
        assert _present(build, step) == {"processes", "cgroups"}
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in said
    _settled(build, step)
    build("FROM busybox\nRUN echo kept > /kept\n", outputs=_CACHEONLY)
    assert build.told.hits[-1] == "RUN echo kept > /kept"


def test_killed_build_is_swept_up_by_the_next(build: Builder) -> None:
    with _started(build) as process:
        step = _step(build)
        process.kill()
        process.communicate()
    build("FROM busybox\nRUN echo kept > /kept\n", outputs=_CACHEONLY)
    assert build.told.hits[-1] == "RUN echo kept > /kept"
    _settled(build, step)
    build.engine.images.prune()  # leases of the dead are none
    assert not list(Path(build.engine.root, "build/leases").iterdir())


def _step(build: Builder) -> str:
    """The container of the step that is under way; that of the one before may be on its way out still."""
    (started,) = Path(build.engine.root, "build/run").glob("*/upper/started")
    return started.parent.parent.name


def _present(build: Builder, step: str) -> set[str]:
    """What there is of a step on this host, whatever others do on it: processes of its group or monitor, mounts, groups."""
    found = set()
    if build.engine.root in Path("/proc/mounts").read_text():
        found.add("mounts")
    if any(step in names for _, names, _ in os.walk("/sys/fs/cgroup")):
        found.add("cgroups")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if step in (process / "cgroup").read_text() or step.encode() in (process / "cmdline").read_bytes():
                found.add("processes")
    return found


def _settled(build: Builder, step: str) -> None:
    """Nothing of a step is left."""
    wait_equal(lambda: _present(build, step), set(), "nothing is left")


def test_full_disk_is_said_and_leaves_nothing(build: Builder, tmp_path: Path) -> None:
    from pyctr.engine import Engine
    from tests.integration.build.conftest import Builder

    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=True)
    try:
        engine = Engine(str(place / "root"), str(place / "run"))
        engine.images.bootstrap("busybox", include=[])
        (build.context / "large").write_bytes(os.urandom(9 << 20))
        small = Builder(engine, build.context)
        with pytest.raises(PyctrError, match=r"(?i)no space left"):
            small("FROM busybox\nCOPY large /\n")
        for name in ("run", "scratch", "leases"):
            assert not list((place / "root/build" / name).glob("*"))
        small("FROM busybox\nRUN true\n")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_file_that_changes_while_it_is_read_is_named(build: Builder) -> None:
    path = build.write("growing")
    ended = threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not ended.is_set():
                file.write(b"x" * 65536)
                file.flush()
                if file.tell() > 256 << 20:
                    file.truncate(0)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(PyctrError, match="/growing: it changed while it was read"):
            _build_often(build)
    finally:
        ended.set()
        writer.join()


def _build_often(build: Builder) -> None:
    for _ in range(50):
        build("FROM scratch\nCOPY growing /\n", outputs=_CACHEONLY)


def test_many_files(build: Builder) -> None:
    for number in range(20):
        directory = build.context / str(number)
        directory.mkdir()
        for name in range(100):
            (directory / str(name)).write_bytes(b"")
    build.write(".dockerignore", "1?\n!1?/5\n")
    build("FROM busybox\nCOPY . /all\nRUN find /all -type f | wc -l\n", outputs=_CACHEONLY)
    assert build.told.output.split() == [b"1011"]  # ten whole, one file of each other, the ignore file
