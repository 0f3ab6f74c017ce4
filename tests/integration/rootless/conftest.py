"""An ordinary user with pyctr's defaults and a range of subordinate ids, made for a module and gone after it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyctr
from tests.conftest import need_tool
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

UID, SUBID = 47110, 471_100_000
_AS_USER = Path(__file__).with_name("as_user.py")


class User:
    """`pyctr` as an ordinary user calls it."""

    def __init__(self, home: Path, first: int = SUBID) -> None:
        self.home, self.first = home, first
        self.root = home / ".local/share/pyctr"
        self.run_root = home / "run/pyctr"
        self.socket = self.run_root / "keeper.sock"
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        package = str(Path(pyctr.__file__).parent.parent)
        self.env = {**inherited, "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PYTHONPATH": package}

    def command(self, *command: str) -> list[str]:
        """A command line of root's that runs this one as the user."""
        return [sys.executable, str(_AS_USER), str(self.home), str(UID), str(self.first), *command]

    def run(self, *command: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as the user."""
        options = {"env": self.env, "capture_output": True, "text": True, "check": False, "timeout": 120, **options}
        done = subprocess.run(self.command(*command), **options)
        assert code is None or done.returncode == code, done.stderr
        return done

    def __call__(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run pyctr as the user."""
        return self.run(sys.executable, "-m", "pyctr", *args, code=code, **options)

    def keepers(self) -> list[int]:
        """Keepers of this user's run root."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue  # it has ended
            if words[1:3] == [b"keeper", os.fsencode(self.run_root)]:
                found.append(int(entry.name))
        return found

    def keeper(self) -> int:
        """The keeper; one that has given up its socket may still be there for a moment."""
        found: list[int] = wait_until(lambda: len(found := self.keepers()) == 1 and found, "one keeper")
        return found[0]


def make_user(first: int = SUBID, *, hidden: str = "") -> Iterator[User]:
    """A user for whom a program of /usr/bin is `hidden`, in a directory of its own; skips with a reason where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    need_tool("newuidmap")
    for path in ("/etc/subuid", "/etc/subgid"):
        if not os.path.exists(path):
            pytest.skip(f"needs {path}, over which the user's own is bound")
    top = Path(tempfile.mkdtemp(prefix="pyctr-rootless-"))  # not pytest's: those others may not enter
    top.chmod(0o755)
    try:
        for name in ("home", "home/run"):
            (top / name).mkdir(0o700)
            os.chown(top / name, UID, UID)
        user = User(top / "home", first)
        if hidden:
            user.env["PYCTR_TEST_HIDE"] = hidden
        probe = user.run("unshare", "--user", "--map-root-user", "true", code=None)
        if probe.returncode != 0:
            pytest.skip(f"users may not make user namespaces here: {probe.stderr.strip()}")
        user("image", "bootstrap", "busybox")
        yield user
        user("rm", "-f", *user("ps", "-aq").stdout.split(), code=None)
        wait_until(lambda: not user.keepers(), "the keeper's end")
        assert not user.socket.exists()
    finally:
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    yield from make_user()
