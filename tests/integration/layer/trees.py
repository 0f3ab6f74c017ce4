"""Trees of every kind of file, and what can be seen of one: the oracle's eye."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from pyctr._core import LayerInfo, extract_layer

#: Every kind of file and attribute a layer may hold. Run by sh in an empty directory, as root.
SCRIPT = r"""
mkdir -p dir/deep empty && echo one >dir/one && ln dir/one hard && ln -s dir/one soft && chmod 4751 dir/one
ln -s /absolute absolute && ln -s ../../.. up && ln soft hard-to-soft
mkfifo -m 640 pipe && mknod -m 660 null c 1 3 && chown 0:6 null && mknod block b 7 300 && mknod big c 4095 1048575
mkdir -m 1777 sticky && chown 12:34 sticky && echo in >sticky/file && chown 65534:100000 sticky/file
mkdir -m 2775 group && chown 0:50 group
echo x >group/root-owned && mkdir group/sub && chgrp 0 group/root-owned group/sub
chmod 755 group/sub && chmod g-s group/sub
truncate -s 1M sparse && printf data | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
truncate -s 40M many
for i in $(seq 1 37); do printf $i | dd of=many bs=1 seek=${i}000000 conv=notrunc status=none; done
truncate -s 3M hole && : >zero && head -c 700000 /dev/urandom >random
setfattr -n user.note -v hi dir/one && setfattr -n user.bytes -v 0x00ff0a3d dir && setfattr -n trusted.t -v t dir/deep
setcap cap_net_raw+ep random 2>/dev/null || true
setfattr -h -n trusted.link -v l soft || true
long=$(printf 'n%.0s' $(seq 120)) && mkdir -p $long/$long && echo x >$long/$long/$long
ln -s $long/$long/$long long-link && ln $long/$long/$long long-hard
printf x >'strange
name' && printf x >"$(printf 'b\377d')" && mkdir 'back\slash' '...' '.wh'
chmod 0000 zero && chmod 0555 empty
touch -h -d '2001-02-03 04:05:06.789' soft && touch -d '1969-12-31 23:59:58.25' random
touch -d '2038-01-19 03:14:09' sparse
touch -d '2001-02-03 04:05:06.5' dir/deep dir . 2>/dev/null
"""


def make_tree(path: Path) -> Path:
    path.mkdir()
    subprocess.run(["sh", "-ec", SCRIPT], cwd=path, check=True)
    return path


def pack(source: Path, archive: Path, *options: str, members: list[str] | None = None) -> Path:
    # Only the POSIX format has room for attributes.
    xattrs = ["--xattrs", "--xattrs-include=*"] if "--format=posix" in options else []
    command = ["tar", "-C", source, *xattrs, "--numeric-owner", *options, "-cf", archive, "--", *(members or ["."])]
    subprocess.run(command, check=True)
    return archive


def extract(archive: Path, target: Path, **options: Any) -> LayerInfo:
    target.mkdir()
    return extract_layer(str(archive), str(target), **options)


def look(root: Path, *, posix: bool = True) -> dict[bytes, dict[str, Any]]:
    """Everything stat, listxattr and read say; hard links by the first of their names.

    What only the POSIX format can hold, attributes and fractions of seconds, is left out for the others.
    """
    seen: dict[bytes, dict[str, Any]] = {}
    first: dict[int, bytes] = {}
    base = os.fsencode(root)
    paths = [base]
    for parent, directories, files in os.walk(base):
        paths += [os.path.join(parent, name) for name in directories + files]
    for path in sorted(paths):
        status = os.lstat(path)
        name = os.path.relpath(path, base)
        facts: dict[str, Any] = {
            "mode": oct(status.st_mode),
            "owner": (status.st_uid, status.st_gid),
            "mtime": status.st_mtime_ns if posix else status.st_mtime_ns // 10**9,
            "device": status.st_rdev,
        }
        if posix:
            names = os.listxattr(path, follow_symlinks=False)
            facts["xattrs"] = {key: os.getxattr(path, key, follow_symlinks=False) for key in names}
        if stat.S_ISREG(status.st_mode):
            facts["content"] = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            facts["size"] = status.st_size
        if stat.S_ISLNK(status.st_mode):
            facts["target"] = os.readlink(path)
        if not stat.S_ISDIR(status.st_mode):
            facts["links"] = status.st_nlink
            facts["same as"] = first.setdefault(status.st_ino, name)
        seen[name] = facts
    return seen
