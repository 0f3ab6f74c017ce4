"""The monitor's binary, a layer made of busybox, a container that leaves nothing behind."""

import contextlib
import os
import pathlib
import shutil

import pytest

from tests.integration.monitor.harness import APPLETS, BUSYBOX, CGROUP_PARENT, Container, find_runtime
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def runtime():
    path = find_runtime()
    if path is None:
        pytest.skip("needs pyctr-runtime")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if BUSYBOX is None:
        pytest.skip("needs busybox-static")
    yield path
    # os.walk passes over groups of others that go while it looks; pathlib's glob fails on them.
    groups = [f"{top}{CGROUP_PARENT}" for top, names, _ in os.walk("/sys/fs/cgroup") if CGROUP_PARENT[1:] in names]
    for group in groups:
        with contextlib.suppress(OSError):
            os.rmdir(group)


@pytest.fixture(scope="session")
def layer(tmp_path_factory):
    root = tmp_path_factory.mktemp("layer")
    for name in ("bin", "etc", "proc", "dev", "tmp"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


@pytest.fixture
def container(runtime, layer, tmp_path):
    made = Container(runtime, tmp_path, [layer])
    yield made
    made.tidy()
    for group in made.cgroups():  # of a monitor that was killed
        wait_until(lambda group=group: not pathlib.Path(group, "cgroup.procs").read_text(), "the end of all processes")
        os.rmdir(group)
    assert str(tmp_path) not in pathlib.Path("/proc/self/mountinfo").read_text()
