"""`compose build`, and builds that `up` needs: side by side, shown, ended by Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import left_by, needs_root
from tests.terminal import Terminal
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.compose.conftest import Compose

    Make = Callable[[str], Compose]

pytestmark = needs_root

#: Each build waits for the other one: one after the other they would fail.
MEET = """
services:
  web:
    build:
      dockerfile_inline: |
        FROM busybox
        RUN --mount=type=cache,id=NAME,target=/m touch /m/web; for i in $$(seq 6000); do test -e /m/db && exit 0; sleep 0.1; done; exit 1
  db:
    build:
      dockerfile_inline: |
        FROM busybox
        RUN --mount=type=cache,id=NAME,target=/m touch /m/db; for i in $$(seq 6000); do test -e /m/web && exit 0; sleep 0.1; done; exit 1
"""


def test_builds_run_side_by_side_and_name_their_service(compose: Make) -> None:
    project = compose(MEET.replace("NAME", "meet"))
    said = project("build").stderr
    assert "[web 2/2] RUN --mount" in said
    assert "[db 2/2] RUN --mount" in said
    assert "[web] exporting to image" in said
    assert said.endswith(" db  Built\n web  Built\n")
    project("down", "--rmi", "all")


def test_failed_build_shows_its_output_and_ends_the_others(compose: Make) -> None:
    project = compose("""
services:
  slow: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 600\\n"}}
  web: {build: {dockerfile_inline: "FROM busybox\\nRUN echo the reason; exit 3\\n"}}
""")
    done = project("up", "-d", "--quiet-build", code=1)
    lines = done.stderr.splitlines()
    assert "the reason" in lines
    assert lines[-1].startswith("pyctr: Dockerfile:2")
    assert project("ps", "-aq").stdout == ""


def command_lines() -> Iterator[str]:
    """What every process of the machine was started as."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_text(errors="replace")


@pytest.mark.parametrize(
    ("command", "number"), [(("build",), signal.SIGINT), (("up",), signal.SIGTERM), (("up", "-d"), signal.SIGHUP)]
)
def test_interrupted_build_ends_at_once_leaves_nothing_and_keeps_its_cache(
    compose: Make, command: tuple[str, ...], number: int
) -> None:
    steps = f"FROM busybox\\nRUN echo kept by {'-'.join(command)} > /kept\\n"
    project = compose(
        f'services: {{web: {{SLEEP, build: {{dockerfile_inline: "{steps}RUN echo begun; exec sleep 600\\n"}}}}}}'
    )
    process = project.start(*command)
    process.until(" begun\n", "err")
    process.signal(number)
    code, _, errors = process.end()
    assert code == 130
    assert "CANCELED" in errors
    assert project("ps", "-aq").stdout == ""
    wait_until(lambda: not left_by(project.cli), "nothing is left of the step")
    root = str(project.cli.root)
    wait_until(lambda: not [line for line in command_lines() if root in line], "no process stays")
    project.write(f'services: {{web: {{SLEEP, build: {{dockerfile_inline: "{steps}"}}}}}}')
    assert "[web 2/2] RUN echo kept" in (said := project("build").stderr)
    assert "CACHED" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_pull_ends_at_once_and_leaves_nothing(compose: Make, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as registry:
        registry.settimeout(PATIENCE_S)
        port = registry.getsockname()[1]
        project = compose(f'services: {{web: {{image: "127.0.0.1:{port}/silent:1"}}}}')
        process = project.start("up", "-d")
        connection, _ = registry.accept()
        with connection:
            process.signal(number)
            code, _, errors = process.end()
    assert (code, errors) == (130, " web Pulling \n web  Interrupted\n")
    assert project("ps", "-aq").stdout == ""
    wait_until(lambda: not [line for line in command_lines() if str(project.cli.root) in line], "no process stays")


def test_output_on_a_terminal_is_the_builds_and_then_the_table(compose: Make) -> None:
    project = compose("""
services:
  web: {SLEEP, build: {dockerfile_inline: "FROM busybox\\nRUN echo one\\n"}}
  db: {image: busybox, SLEEP}
""")
    file = str(project.directory / "compose.yaml")
    with Terminal(
        project.cli.command("compose", "-f", file, "up", "-d"), {**project.cli.env, "TERM": "xterm"}
    ) as terminal:
        text, code = terminal.end()
    assert code == 0
    built, _, rest = text.partition("FINISHED")
    assert " => [web 2/2] RUN echo one" in built
    assert "\x1b[34m[+] Running" in rest
    assert f"\x1b[32m✔\x1b[0m Container {project.container()}  \x1b[32mStarted\x1b[0m" in rest
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0, "the cursor comes back"
    project("down", "--rmi", "all")
