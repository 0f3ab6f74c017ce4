"""Commands that turn containers and streams into images and back: commit, diff, export, import, save, system check."""

from __future__ import annotations

import contextlib
import os
import sys

from pyctr.errors import InvalidArgument, PyctrError
from pyctr.image.settle import settle_afterwards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.engine import Engine


@contextlib.contextmanager
def output_file(path: str | None, what: str) -> Iterator[int]:
    """A descriptor for `--output`, or standard output where that is no terminal. A file appears when it is whole."""
    if path is None:
        if os.isatty(1):
            raise InvalidArgument(f"cowardly refusing to {what} to a terminal. Use the -o flag or redirect")
        sys.stdout.flush()
        yield 1
        return
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        raise PyctrError(
            f"failed to {what}: invalid output path: stat {os.path.dirname(path)}: no such file or directory"
        )
    if os.path.isdir(path):
        raise PyctrError(f"failed to {what}: cannot write to a directory")
    if os.path.exists(path) and not os.path.isfile(path):
        # A device or a FIFO is written to, not replaced.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
        return
    temporary = f"{parent}/.pyctr.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
        os.rename(temporary, os.path.realpath(path))
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def commit(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make an image of a container."""
    from pyctr.engine.containers.changes import commit_container

    engine.settles_afterwards = True
    image_id = commit_container(
        engine,
        arguments[0],
        arguments[1] if len(arguments) > 1 else None,
        author=options.get("author", ""),
        message=options.get("message", ""),
        changes=options.get("change"),
        pause=options.get("pause", True),
    )
    sys.stdout.write(f"{image_id}\n")
    settle_afterwards(engine.image_store)
    return 0


def diff(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Show what a container changed of its image."""
    from pyctr.engine.containers.changes import diff_container

    sys.stdout.write("".join(f"{kind} {path}\n" for kind, path in diff_container(engine, arguments[0])))
    return 0


def export(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Write a container's file system as a tar."""
    from pyctr.engine.containers.changes import export_container

    with output_file(options.get("output"), "export container") as sink:
        export_container(engine, arguments[0], sink)
    return 0


def save(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Write images to an archive."""
    with output_file(options.get("output"), "save image") as sink:
        engine.images.save(arguments, sink, platform=options.get("platform"))
    return 0


def import_image(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make an image of a tar: a file, an address, or standard input."""
    from pyctr.engine.images.transfer import open_url, public_url

    source, *names = arguments
    if len(names) > 1:
        raise InvalidArgument(f"import: unexpected argument {names[1]!r} (a message is given by --message)")
    origin = "-"
    if source == "-":
        fd = os.dup(0)
    elif source.startswith(("http://", "https://")):
        fd, origin = open_url(source), public_url(source)
    else:
        from pyctr.cli.commands.images import open_input

        fd = open_input(source)
    engine.settles_afterwards = True
    try:
        image_id = engine.images.import_archive(
            fd,
            names[0] if names else None,
            origin=origin,
            changes=options.get("change"),
            message=options.get("message", ""),
            platform=options.get("platform"),
        )
    finally:
        os.close(fd)
    sys.stdout.write(f"{image_id}\n")
    settle_afterwards(engine.image_store)
    return 0


def system_check(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Verify every digest and reference of the store, and the networks; 1 if something is wrong and was not mended."""
    from pyctr.engine.network_check import check_networks

    mend = options.get("mend", False)
    found = [*check_networks(engine, mend=mend), *engine.images.check(mend=mend)]
    sys.stdout.write("".join(f"{finding}\n" for finding in found))
    return 1 if any(not finding.mended for finding in found) else 0


#: `import` is a word of Python's.
globals()["import"] = import_image
