"""An ordinary user builds images and runs projects of several services."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.integration.rootless.conftest import UID, make_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.rootless.conftest import User

_DOCKERFILE = """\
FROM busybox
RUN --network=none mkdir /d && touch /d/old /gone && echo made > /made && chown 5:6 /made
COPY --chown=7:8 file /file
RUN --network=none --mount=type=cache,target=/cache rm -r /d /gone && mkdir /d && touch /d/new
USER 9:9
CMD stat -c '%u:%g' /made /file; ls /d; id -u; ls /gone
"""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    yield from make_user()


@pytest.fixture
def context(user: User) -> Path:
    """A directory of the user's with a Dockerfile and a compose file."""
    directory = user.home / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(_DOCKERFILE)
    (directory / "file").write_text("copied\n")
    os.chown(directory, UID, UID)
    return directory


def test_build_owners_deletions_and_cache(user: User, context: Path) -> None:
    user("build", "-t", "made", str(context))
    again = user("build", "--progress", "plain", "-t", "made", str(context))
    assert again.stderr.count("CACHED") == 4
    done = user("run", "--rm", "--network", "none", "made", code=1)
    assert done.stdout.split() == ["5:6", "7:8", "new", "9"]
    user("save", "-o", str(user.home / "made.tar"), "made")
    assert (user.home / "made.tar").stat().st_uid == UID
    with tarfile.open(user.home / "made.tar") as archive:
        assert "index.json" in archive.getnames()
    user("rmi", "made")
    user("load", "-i", str(user.home / "made.tar"))
    assert user("run", "--rm", "--network", "none", "made", code=1).stdout == done.stdout
