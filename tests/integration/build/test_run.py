"""RUN: mounts, network, consent, failures, what is left."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyctr.build.request import Agent, Secret, Typed
from pyctr.engine.build import memory
from pyctr.engine.build.agent import Relay
from pyctr.engine.build.memory import is_in_memory
from pyctr.errors import BuildError
from tests.integration.build.conftest import Told

if TYPE_CHECKING:
    from tests.integration.build.conftest import Builder

_CACHEONLY = (Typed("cacheonly", {}),)


def test_binds_show_stages_images_and_the_context_without_what_is_ignored(build: Builder) -> None:
    build.write("sub/kept", "kept")
    build.write("sub/secret.key", "x")
    build.write(".dockerignore", "**/*.key\n")
    build(
        """FROM busybox AS tools
RUN mkdir /opt && echo tool > /opt/tool && ln -s /opt/tool /link && ln -s ../../../../etc /escape
FROM busybox
RUN --mount=target=/ctx,source=sub ls /ctx && cat /ctx/kept && ! touch /ctx/new
RUN --mount=from=tools,source=/link,target=/bound cat /bound
RUN --mount=from=tools,source=/escape/passwd,target=/p,required=false cat /p | head -n 1
RUN --mount=from=tools,source=/opt,target=/opt,rw echo more > /opt/more && cat /opt/tool
RUN --mount=from=tools,target=/t test ! -e /t/opt/more && test ! -e /opt && echo clean
""".replace(",required=false", ""),
        outputs=_CACHEONLY,
    )
    output = build.told.output.decode()
    for word in ("kept", "tool", "clean"):
        assert word in output
    assert "secret.key" not in output


def test_mount_points_and_secrets_leave_nothing_in_the_image(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    image = build(
        """FROM busybox
RUN --mount=type=secret,id=token,target=/deep/run/token,mode=0440,uid=3 \
    --mount=type=secret,id=word,env=WORD --mount=type=tmpfs,target=/memory,size=1m --mount=type=cache,target=/var/cache/x \
    stat -c '%a %u' /deep/run/token && cat /deep/run/token && echo $WORD && df -k /memory | tail -n 1 && touch /var/cache/x/y /memory/z
""",
        secrets={"token": Secret("token", path=str(tmp_path / "token")), "word": Secret("word", variable="HOME")},
    ).images[0]
    assert b"440 3\ns3cret" + os.environb[b"HOME"] in build.told.output
    assert b" 1024 " in build.told.output
    config = build.engine.image_store.resolve(image.id).config
    assert config["history"][-1]["empty_layer"], "nothing was changed"
    for path in Path(build.engine.root).rglob("*"):
        if path.is_file() and path.stat().st_size < 100_000:
            assert b"s3cret" not in path.read_bytes(), path


def test_secrets_are_in_memory_alone_while_the_command_runs(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-file")
    (tmp_path / "word").write_text("s3cret-word")
    root, seen = Path(build.engine.root), []

    class Watched(Told):
        """Looks at every file while the command waits for it."""

        @staticmethod
        def tells(path: Path) -> bool:
            """Whether the secret is in a file, which may have gone meanwhile."""
            try:
                is_small = path.is_file() and not path.is_symlink() and path.stat().st_size < 100_000
                return is_small and b"s3cret" in path.read_bytes()
            except FileNotFoundError:
                return False

        def log(self, vertex: str, stream: int, data: bytes) -> None:
            super().log(vertex, stream, data)
            for base in (root, Path(build.engine.run_root)):
                seen.extend(Path(place, name) for place, _, names in os.walk(base) for name in names)
            assert all(is_in_memory(str(path)) for path in seen if self.tells(path))
            for gate in root.glob("build/mounts/*/0/data"):
                gate.joinpath("go").touch()

    build.telling = Watched
    build(
        "FROM busybox\nRUN --mount=type=secret,id=token,target=/token --mount=type=secret,id=word,env=WORD"
        " --mount=type=cache,id=gate,target=/gate \\\n"
        " stat -f -c %T /token; for i in $(seq 10000); do [ -e /gate/go ] && break; sleep 0.01; done; cat /token; echo $WORD\n",
        secrets={name: Secret(name, path=str(tmp_path / name)) for name in ("token", "word")},
    )
    assert seen
    assert build.told.output == b"tmpfs\ns3cret-files3cret-word\n"
    assert not list(Path("/dev/shm").glob("pyctr-build-*"))


def test_secret_that_no_memory_is_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "is_in_memory", lambda _: False)
    with pytest.raises(BuildError, match=r"secrets have no place: neither .* nor /dev/shm is in memory"):
        memory.memory_directory(str(tmp_path / "step"))
    assert not (tmp_path / "step/secrets").exists()
    assert not Path("/dev/shm/pyctr-build-step").exists()


def test_missing_secret_agent_and_consent_are_refused(build: Builder) -> None:
    for line, message in (
        ("RUN --mount=type=secret,id=no,required=true true", "secret no: not found"),
        ("RUN --mount=type=ssh,required=true true", "ssh agent default: not found"),
        ("RUN --network=host true", "network.host is not allowed"),
        ("RUN --mount=from=busybox,source=/nowhere,target=/x true", "/nowhere"),
    ):
        with pytest.raises(BuildError, match=message) as caught:
            build(f"FROM busybox\n{line}\n", outputs=_CACHEONLY)
        assert caught.value.line == 2
    build("FROM busybox\nRUN --mount=type=secret,id=no test ! -e /run/secrets/no\n", outputs=_CACHEONLY)
    insecure = (
        "# syntax=docker/dockerfile:1-labs\nFROM busybox\nRUN --security=insecure grep CapEff /proc/self/status\n"
    )
    with pytest.raises(BuildError, match=r"security\.insecure is not allowed"):
        build(insecure, outputs=_CACHEONLY)
    build(insecure, outputs=_CACHEONLY, allow=frozenset(("security.insecure",)))
    assert int(build.told.output.split()[-1], 16) >> 21 & 1, "CAP_SYS_ADMIN"


def test_cache_mounts_outlive_builds(build: Builder) -> None:
    append = "FROM busybox\nRUN --mount=type=cache,target=/c,id=mine echo {0} >> /c/log && cat /c/log\n"
    for word in ("first", "second"):
        build(append.format(word), outputs=_CACHEONLY)
    assert build.told.output == b"first\nsecond\n"
    locked = "FROM busybox\nRUN --mount=type=cache,target=/c,id=lock,sharing=locked mkdir /c/busy && sleep 0.3 && rmdir /c/busy && echo {0}\n"
    threads = [
        threading.Thread(target=build.__class__(build.engine, build.context), args=(locked.format(word),))
        for word in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    build(locked.format("a"), outputs=_CACHEONLY)
    assert build.told.hits[-1].endswith("echo a")
    build(locked.format("b"), outputs=_CACHEONLY)
    assert build.told.hits[-1].endswith("echo b")


def test_ssh_agent_is_reached_through_a_socket_of_the_builds_own(build: Builder, tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        build(
            "FROM busybox\nRUN --mount=type=ssh,uid=7,mode=0660 stat -c '%F %u %a' $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK\n",
            outputs=_CACHEONLY,
            ssh={"default": Agent("default", socket=path)},
        )
        assert build.told.output == b"socket 7 660\n/run/buildkit/ssh_agent.0\n"
        relay = Relay(str(tmp_path / "relay"), path, owner=(0, 0), mode=0o600)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "relay"))
            client.sendall(b"hello")
            agent, _ = listener.accept()
            with agent:
                agent.sendall(b"agent says " + agent.recv(100))
            assert client.recv(100) == b"agent says hello"
        relay.close()


def test_failure_names_command_code_line_and_last_lines(build: Builder) -> None:
    with pytest.raises(
        BuildError, match=r'process "/bin/sh -c seq 20; exit 7" did not complete successfully: exit code: 7'
    ) as caught:
        build("FROM busybox\n\nRUN seq 20; exit 7\n")
    assert caught.value.line == 3
    assert caught.value.output[-1] == "20"
    assert len(caught.value.output) == 10
    with pytest.raises(BuildError, match=r"exit code: 137 \(killed by SIGKILL\)"):
        build("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n")


def test_failure_ends_the_other_stage_and_keeps_its_cache(build: Builder) -> None:
    dockerfile = """FROM busybox AS slow
RUN echo quick > /quick
RUN --mount=type=cache,id=begun,target=/g touch /g/slow; sleep 600
FROM busybox AS bad
RUN --mount=type=cache,id=begun,target=/g until [ -e /g/slow ]; do sleep 0.05; done; exit 3
FROM busybox
COPY --from=slow /quick /
COPY --from=bad /bin/sh /sh
"""
    before = time.monotonic()
    with pytest.raises(BuildError, match="exit code: 3"):
        build(dockerfile)
    assert time.monotonic() - before < 300
    build("FROM busybox\nRUN echo quick > /quick\n", outputs=_CACHEONLY)
    assert "RUN echo quick > /quick" in build.told.hits


def test_stages_run_side_by_side(build: Builder) -> None:
    # Each waits for what only the other one writes.
    wait = "RUN --mount=type=cache,target=/c,id=meet touch /c/{0}; for i in $(seq 3000); do test -e /c/{1} && exit 0; sleep 0.1; done; exit 1\n"
    build(
        "FROM busybox AS a\n" + wait.format("a", "b") + "FROM busybox AS b\n" + wait.format("b", "a")
        + "FROM busybox\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n",
        outputs=_CACHEONLY,
    )  # fmt: skip


def test_environment_user_directory_and_host_name(build: Builder) -> None:
    build(
        """FROM busybox
RUN echo 'app:x:5:6::/home/app:/bin/sh' >> /etc/passwd
ENV A=1
ARG B=2
USER app
WORKDIR /there
RUN id -u; id -g; pwd; hostname; echo $A$B$HOME; ip -o link | wc -l; env | grep -c SOURCE_DATE_EPOCH
""",
        outputs=_CACHEONLY,
    )
    assert build.told.output.decode().split() == ["5", "6", "/there", "buildkitsandbox", "12/home/app", "1", "1"]
