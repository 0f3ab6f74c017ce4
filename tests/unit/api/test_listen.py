"""The socket: how open it is at every moment, and what it does not take the place of."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest

from pyctr.api.listen import open_listener
from pyctr.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path() -> Iterator[str]:
    """A short one: pytest's are too long for a socket's."""
    with tempfile.TemporaryDirectory(prefix="pyctr-listen.") as directory:
        yield f"{directory}/sock"


def test_socket_is_the_owners_alone_until_it_is_the_groups(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    change = os.chmod

    def watched(place: str, mode: int) -> None:
        seen.append(os.stat(place).st_mode & 0o777)
        change(place, mode)

    monkeypatch.setattr(os, "chmod", watched)
    listener, _ = open_listener(path)
    listener.close()
    assert (seen, os.stat(path).st_mode & 0o777) == ([0o600], 0o660)


def test_socket_that_somebody_listens_on_and_what_is_no_socket_are_left_alone(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(Conflict, match="somebody listens there already"):
            open_listener(path)
    listener, _ = open_listener(path)  # nobody listens on it any more
    listener.close()
    os.unlink(path)
    with open(path, "w") as file:
        file.write("kept")
    with pytest.raises(Conflict, match="is in the way"):
        open_listener(path)
    with open(path) as file:
        assert file.read() == "kept"
