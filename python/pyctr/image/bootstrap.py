"""Base images from the distribution's own packages, for machines that reach no registry."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile

from pyctr.errors import InvalidArgument, NotFound, PyctrError
from pyctr.image.build import import_layers
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.store import Image, Store

_EPOCH = "1970-01-01T00:00:00Z"
_DEFAULT_SUITE = "bookworm"
_BUSYBOX_PLACES = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/bin/busybox")
_PACKAGE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
_ERROR_LINES = 3


def bootstrap(store: Store, what: str, *, include: list[str], name: str | None) -> Image:
    """Make ``busybox`` or ``debian[:SUITE]``; `include` are further Debian packages."""
    kind, _, suite = what.partition(":")
    if kind == "busybox":
        if suite or include:
            raise InvalidArgument("busybox has neither a suite nor packages to include")
        return _busybox(store, str(parse_reference(name or "busybox")))
    if kind == "debian":
        return _debian(store, suite or _DEFAULT_SUITE, include, str(parse_reference(name or what)))
    raise InvalidArgument(f'cannot bootstrap "{what}": busybox and debian[:SUITE] can be')


def _busybox(store: Store, name: str) -> Image:
    path = next((place for place in _BUSYBOX_PLACES if os.path.exists(place)), None)
    if path is None:
        raise NotFound("find busybox: not installed", hint="apt-get install busybox-static")
    with open(path, "rb") as file:
        program = file.read()
    if b"/lib64/ld-linux" in program[:4096] or b"/lib/ld-linux" in program[:4096]:
        raise NotFound(f"use {path}: not statically linked", hint="apt-get install busybox-static")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return import_layers(store, [_busybox_layer(program, sorted(listed))], {"Cmd": ["sh"]}, name=name, created=_EPOCH)


def _busybox_layer(program: bytes, applets: list[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for directory, mode in (
            ("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("proc", 0o755), ("root", 0o700),
            ("sys", 0o755), ("tmp", 0o1777), ("usr", 0o755), ("var", 0o755), ("var/www", 0o755),
        ):  # fmt: skip
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.mode, entry.size = 0o755, len(program)
        archive.addfile(entry, io.BytesIO(program))
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, "bin/busybox", 0o755
                archive.addfile(entry)
        for file, text in (
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ):
            entry = tarfile.TarInfo(file)
            entry.mode, entry.size = 0o644, len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def _debian(store: Store, suite: str, include: list[str], name: str) -> Image:
    for word in (suite, *include):
        if not word or not _PACKAGE_LETTERS.issuperset(word) or word.startswith("-"):
            raise InvalidArgument(f'"{word}" is no suite or package name')
    if shutil.which("mmdebstrap") is None:
        raise NotFound("find mmdebstrap: not installed", hint="apt-get install mmdebstrap")
    store.prepare()
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".bootstrap.") as directory:
        target = f"{directory}/layer.tar"
        command = ["mmdebstrap", "--variant=minbase", "--quiet", f"--include={','.join(include)}", suite, target]
        if not include:
            command.remove("--include=")
        # The same packages give the same layer: no file is newer than the epoch says.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            said = "; ".join(done.stderr.strip().splitlines()[-_ERROR_LINES:])
            raise PyctrError(f"mmdebstrap {suite}: exit status {done.returncode}: {said}")
        return import_layers(store, [target], {"Cmd": ["bash"]}, name=name, created=_EPOCH)
