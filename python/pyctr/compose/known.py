"""Trees that the schema has allowed before, by digest: whoever asks again need not load a validator, which costs more than all
the rest of reading a file.

A mark is an empty file in a directory that a reboot clears. It stands for one tree, checked by one version of the schema and
of the code that reads it: any other has another name. A mark that cannot be made or read only means checking again.
"""

from __future__ import annotations

import os
from typing import Any

from pyctr._core import json_dumps, sha256

#: More are not kept: then all are forgotten.
_MOST = 512


def mark_of(directory: str, tree: dict[str, Any], sources: tuple[str, ...]) -> str | None:
    """The mark of a tree checked by what is in the files `sources`; None for one that JSON cannot say."""
    try:
        text = json_dumps(tree)
    except (TypeError, ValueError, OverflowError):
        return None
    for source in sources:
        status = os.stat(source)
        text += f"\0{source}\0{status.st_size}\0{status.st_mtime_ns}".encode()
    return f"{directory}/{sha256(text)}"


def is_marked(mark: str) -> bool:
    """Whether it was checked before."""
    return os.path.exists(mark)


def remember(mark: str) -> None:
    """It is allowed."""
    directory = os.path.dirname(mark)
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        with os.scandir(directory) as entries:
            paths = [entry.path for entry in entries]
        for path in paths if len(paths) >= _MOST else ():
            os.unlink(path)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:  # not root, or no room
        return
