"""Run a command as an ordinary user that exists for it alone: ``as_user.py HOME UID SUBID COMMAND…``, in a mount namespace of its own.

Run as root. The user, its range of subordinate ids (none if SUBID is 0) and a tun device that users may open are bound over the
host's files in that namespace; what of the interpreter other users may not reach (a home of root's) is made reachable there. PYCTR_TEST_HIDE names a program
of /usr/bin that is not there, PYCTR_TEST_OWN a file that is in the place of the one of its name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys

_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_CLONE_NEWNS = 0x20000
_COUNT = 65536
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None = None, *, flags: int = 0, data: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def blocked(path: str) -> str | None:
    """The first directory on the way to a path that others may not pass."""
    parts = path.split("/")
    ancestors = ("/".join(parts[:end]) or "/" for end in range(1, len(parts) + 1))
    return next((one for one in ancestors if os.path.isdir(one) and not os.stat(one).st_mode & stat.S_IXOTH), None)


def open_up(paths: list[str]) -> None:
    """Put an empty directory in the place of one that others may not pass, with nothing but these paths in it."""
    closed = {path: found for path in paths if (found := blocked(path))}
    held = {path: os.open(path, os.O_PATH) for path in closed}
    for top in set(closed.values()):
        mount("tmpfs", top, "tmpfs")
        os.chmod(top, 0o755)
    for path, fd in held.items():
        os.makedirs(path, 0o755, exist_ok=True)
        mount(f"/proc/self/fd/{fd}", path, flags=_MS_BIND | _MS_REC)
        os.close(fd)


def cover(path: str, text: str, home: str) -> None:
    """Put a file of this text in the place of one of the host's."""
    own = f"{home}/../{os.path.basename(path)}"
    # A new file each time: another command of the user's may be reading the one before at this moment.
    with open(f"{own}.{os.getpid()}", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(file.name, own)
    mount(own, path, flags=_MS_BIND)


def hide(program: str, home: str) -> None:
    """Make a program of /usr/bin not be there."""
    for part in ("upper", "work"):
        os.makedirs(f"{home}/../{part}", exist_ok=True)
    if not os.path.exists(f"{home}/../upper/{program}"):
        os.mknod(f"{home}/../upper/{program}", stat.S_IFCHR, 0)
    options = f"lowerdir=/usr/bin,upperdir={home}/../upper,workdir={home}/../work"
    mount("overlay", "/usr/bin", "overlay", data=options)


def main(home: str, uid: int, first: int, command: list[str]) -> None:
    if _libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    with open("/etc/passwd", encoding="utf-8") as file:
        cover("/etc/passwd", file.read() + f"pyctr-test:x:{uid}:{uid}::{home}:/bin/sh\n", home)
    for path in ("/etc/subuid", "/etc/subgid"):
        cover(path, f"pyctr-test:{first}:{_COUNT}\n" if first else "", home)
    tun = f"{home}/../tun"
    if os.path.exists("/dev/net/tun"):
        with contextlib.suppress(FileExistsError):
            os.mknod(tun, stat.S_IFCHR | 0o666, os.makedev(10, 200))
        os.chmod(tun, 0o666)
        mount(tun, "/dev/net/tun", flags=_MS_BIND)
    open_up(list(dict.fromkeys(path for path in (sys.base_prefix, sys.prefix, *sys.path) if os.path.isdir(path))))
    if "PYCTR_TEST_HIDE" in os.environ:
        hide(os.environ["PYCTR_TEST_HIDE"], home)
    if "PYCTR_TEST_OWN" in os.environ:
        own = os.environ["PYCTR_TEST_OWN"]
        mount(own, f"/usr/bin/{os.path.basename(own)}", flags=_MS_BIND)
    os.chdir(home)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
