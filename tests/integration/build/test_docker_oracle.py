"""The same Dockerfile built by BuildKit in a real dockerd: the same tree, the same configuration."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.build.oracle import differences, give_busybox, tree_of_ours, tree_of_theirs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.build.conftest import Builder
    from tests.peers import Peer

_FILES = r"""FROM busybox AS src
RUN mkdir -p /s/d/e && echo 1 >/s/d/one && chown 5:6 /s/d/one && chmod 4755 /s/d/one && ln -s d /s/ld \
    && ln -s ../outside /s/d/out && chown -R 7:8 /s/d/e && chmod 700 /s/d/e
FROM busybox
RUN mkdir -p /ex/dir /real /tgt && ln -s /real /lnk && ln -s /tgt/file /flnk && echo old > /ex/old \
    && ln -s /nowhere/deep /dang && echo 'app:x:101:102::/:/bin/sh' >> /etc/passwd && echo 'grp:x:103:' >> /etc/group \
    && mkdir -p /ow/sub && chmod 700 /ow /ow/sub && chown 9:9 /ow /ow/sub
COPY a.txt /c1
COPY a.txt /c2/
COPY a.txt b.txt /c3/
COPY dir /c4
COPY dir/ /c5/
COPY dir /ex
COPY a.txt /ex/
COPY a.txt /ex
COPY *.txt /c6/
COPY d* /c7/
COPY dir/[xhs]* /c8/
COPY filelink /c9
COPY filelink /c10/
COPY dirlink /c11/
COPY a.txt /lnk/
COPY a.txt /lnk
COPY b.txt /flnk
COPY a.txt /dang/here
COPY --chown=app a.txt /d1/x/y
COPY --chown=app:grp dir /d2/x
COPY --chown=55 a.txt /d3/
COPY --chown=55:66 dir /d4/
COPY --chown=:grp a.txt /d5/f
COPY --chmod=640 a.txt /d6/f
COPY --chmod=750 dir /d7/
COPY --from=src /s /f1
COPY --from=src /s/ld /f2
COPY --from=src /s/d/one /f3/
COPY --from=src --chown=1:1 /s/d/one /f4/
COPY --from=src /s/d/e /ow
COPY dir/sub /ow/
COPY dir /ow
ADD plain.tar /t1
ADD gz.tgz /t2/
ADD bz.tar.bz2 xz.tar.xz /t3/
ADD fake.tar.gz /t4/
ADD dir /t5
ADD --chown=12:13 gz.tgz /t6
COPY gz.tgz /t7/
ADD plain.tar /lnk
WORKDIR /w/one
COPY a.txt .
COPY a.txt ./rel/
COPY a.txt relfile
COPY . /all
USER 33:44
WORKDIR /w/two
COPY a.txt ./byuser
WORKDIR three
COPY [ "a.txt", "/json name/" ]
COPY p/q/r/f p/q /pp/
COPY e /e1
COPY a.txt /x/../y/z
COPY p/../a.txt /dd
COPY p/q/*/f /gg/
"""

_RUNS = r"""# syntax is the daemon's own
ARG WORD=outer
FROM busybox AS base
ARG WORD
ENV PATH=/sbin:/bin A=1 B="two words"
LABEL one=1 two="a b"
RUN echo $WORD$A > /word && mkdir -p /etc /home/user && echo user:x:1234:1234::/home/user:/bin/sh > /etc/passwd && rm /bin/vi && ln -s /word /link
ONBUILD RUN echo triggered > /trigger
FROM base
ARG LATE=$A
RUN ["/bin/sh", "-c", "echo exec $LATE > /exec"]
USER user
WORKDIR /home/user/deep
RUN id -un > who; pwd >> who; umask >> who
USER 0
SHELL ["/bin/sh", "-eu", "-c"]
RUN false || echo $- > /flags; mkdir -m 1777 /sticky; chown 5:6 /flags; rm -r /var/www
RUN --mount=type=tmpfs,target=/tmp echo x > /tmp/x
RUN --mount=type=bind,from=busybox,source=/bin,target=/var ls /var/sh > /seen
VOLUME /data ["/more"]
EXPOSE 80 53/udp
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --retries=2 CMD test -e /word
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["cat /word"]
"""


def _context(build: Builder) -> None:
    root = build.context
    for name, text in (("a.txt", "a"), ("b.txt", "b"), ("dir/x.txt", "x"), ("dir/sub/y", "y"), ("p/q/r/f", "r")):
        build.write(name, text)
    (root / "e").mkdir(mode=0o1777)
    (root / "e").chmod(0o1777)
    (root / "b.txt").chmod(0o600)
    (root / "dir/sub/y").chmod(0o755)
    for name, target in (("dir/rel", "x.txt"), ("dir/abs", "/etc/passwd"), ("dirlink", "dir"), ("filelink", "a.txt")):
        (root / name).symlink_to(target)
    os.link(root / "dir/x.txt", root / "dir/hard")
    build.write("fake.tar.gz", "no archive")
    for name, mode in (("plain.tar", "w"), ("gz.tgz", "w:gz"), ("bz.tar.bz2", "w:bz2"), ("xz.tar.xz", "w:xz")):
        with tarfile.open(root / name, mode) as archive:  # type: ignore[call-overload]
            for entry, kind, content in (
                ("in", tarfile.DIRTYPE, b""),
                ("in/t", tarfile.REGTYPE, b"t"),
                ("lnk", tarfile.SYMTYPE, b""),
            ):
                member = tarfile.TarInfo(entry)
                member.type, member.size, member.mode = kind, len(content), 0o755
                member.linkname = "in" if kind == tarfile.SYMTYPE else ""
                archive.addfile(member, io.BytesIO(content))


def _both(docker: Peer, build: Builder, dockerfile: str, tmp_path: Path) -> tuple[Any, Any]:
    """Build with both; the trees are compared here, the configurations given back."""
    (build.context / "Dockerfile").write_text(dockerfile)
    give_busybox(docker, build, tmp_path)
    docker("build", "--network", "none", "-t", "oracle", str(build.context))
    image = build(dockerfile, tags=("oracle",)).images[0]
    assert differences(tree_of_ours(build, image.id, tmp_path), tree_of_theirs(docker, "oracle")) == {}
    return build.engine.image_store.resolve(image.id).config, json.loads(docker("image", "inspect", "oracle"))[0]


def test_files_are_buildkits(docker: Peer, build: Builder, tmp_path: Path) -> None:
    _context(build)
    _both(docker, build, _FILES, tmp_path)


def test_commands_and_configuration_are_buildkits(docker: Peer, build: Builder, tmp_path: Path) -> None:
    mine, theirs = _both(docker, build, _RUNS, tmp_path)
    config = theirs["Config"]
    for key, value in mine["config"].items():
        assert config.get(key) == value, key
    for key, value in config.items():
        if value and key not in ("Hostname", "Image", "AttachStdout", "AttachStderr", "ArgsEscaped"):
            assert mine["config"].get(key) == value, key


def test_what_buildkit_refuses_is_refused(docker: Peer, build: Builder) -> None:
    from pyctr.errors import PyctrError

    build.write("f", "f")
    (build.context / "abs").symlink_to("/etc/passwd")
    for lines in (
        "COPY nothing /x", "COPY abs /x", "COPY f g /x", "COPY ../../etc/passwd /x",
        "RUN mkdir -p /d/f\nCOPY . /d", "RUN touch /d\nCOPY . /d", "COPY --from=none /x /y", "RUN exit 4", "USER no-such\nRUN true",
    ):  # fmt: skip
        dockerfile = f"FROM busybox\n{lines}\n"
        (build.context / "Dockerfile").write_text(dockerfile)
        assert docker.run("build", "--network", "none", str(build.context)).returncode, lines
        with pytest.raises(PyctrError):
            build(dockerfile)


_SHOWN = """FROM busybox AS made
WORKDIR /w
RUN echo out; echo err >&2; cd /
COPY a.txt b.txt ./
FROM busybox
ENV A=1
ADD dir/x.txt \\
    /x
COPY --from=made /w /w
RUN ["echo", "$A"]
RUN echo $A; exit 4
"""


def test_plain_progress_is_buildkits(docker: Peer, build: Builder, tmp_path: Path) -> None:
    _context(build)
    give_busybox(docker, build, tmp_path)
    (build.context / "Dockerfile").write_text(_SHOWN)
    words = ["build", "--no-cache", "--network", "none", "--progress", "plain"]
    theirs = docker.run(*words, str(build.context))
    root = ["--root", build.engine.root, "--run-root", build.engine.run_root]
    mine = subprocess.run(
        [sys.executable, "-m", "pyctr", *root, *words, str(build.context)], capture_output=True, check=False
    )
    assert (mine.returncode, theirs.returncode) == (1, 1)
    assert _steps(mine.stderr.decode()) == _steps(theirs.stderr.decode())
    shown = _shown_at_end(mine.stderr.decode())
    assert shown == [" > [stage-1 5/5] RUN echo 1; exit 4:", "1"]
    assert shown[0] in _shown_at_end(theirs.stderr.decode())


def _steps(text: str) -> dict[str, list[str]]:
    """Name of a step → what is said of it, without times; what is around the steps is another's."""
    names: dict[str, str] = {}
    said: dict[str, list[str]] = {}
    for line in text.partition("------")[0].splitlines():
        number, _, rest = line.partition(" ")
        if not number.startswith("#") or rest in ("...", names.get(number)):
            continue
        if number not in names:
            names[number] = rest
            continue
        name = names[number]
        if name.startswith(("[internal]", "exporting")) or rest.startswith("sha256:"):
            continue
        rest = re.sub(r"^\d+\.\d+ ", "", rest)
        rest = re.sub(r"^(DONE) .*|^(ERROR): .*", lambda found: found[1] or found[2], rest)
        said.setdefault(name, []).append(rest)
    return {name: sorted(lines) for name, lines in said.items() if " FROM " not in name}


def _shown_at_end(text: str) -> list[str]:
    return text.split("------")[1].strip("\n").splitlines()
