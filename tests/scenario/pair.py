"""The same command lines for pyctr and a real docker, their answers compared.

What differs by nature is made equal first: ids, times, sizes of what is counted, names of the engine and its errors' prefix.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING, Any

from tests.peers import running_dockerd
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli
    from tests.peers import Peer

#: Pattern → what stands for it.
_EQUAL = (
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{12}\b", "<short>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", "<time>"),
    (r"(Less than a second|About a minute|\d+ (seconds?|minutes?))( ago)?", "<ago>"),
    (r"^docker: |^pyctr: |Error response from daemon: |^Error: |^error: ", ""),
    (r"\bdocker\b", "pyctr"),
    (r"\bDocker\b", "Pyctr"),
    (r"\n\nRun 'pyctr .*' for more information\n?", "\n"),
    (r"\nSee 'pyctr .*'\.?\n?", "\n"),
    (r" +", " "),
    (r" *\n", "\n"),
)


class Pair:
    """Two engines that are asked the same."""

    def __init__(self, ours: Cli, theirs: Peer) -> None:
        self.ours, self.theirs = ours, theirs

    def both(self, *words: str, **options: Any) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
        """Code, output and errors of each."""
        one = self.ours(*words, code=None, **options)
        how = {"text": True, "input": options.get("input")}
        how = {key: value for key, value in how.items() if value is not None}
        other: subprocess.CompletedProcess[Any] = self.theirs.run(*words, **how)
        return (one.returncode, one.stdout, one.stderr), (other.returncode, other.stdout, other.stderr)

    def same(self, *words: str, sort: bool = False, first_line: bool = False, **options: Any) -> str:
        """Assert that both answer alike; our output. `first_line`: of the errors only that, docker shows its usage."""
        ours, theirs = self.both(*words, **options)
        shown = [(code, level(out, sort=sort), level(err)) for code, out, err in (ours, theirs)]
        if first_line:
            shown = [(code, out, err.partition("\n")[0]) for code, out, err in shown]
        assert shown[0] == shown[1], f"{words}:\n ours  {ours}\n docker {theirs}"
        return ours[1]

    def same_soon(self, *words: str) -> str:
        """Assert that both come to answer alike with something; our output. For what their processes do in their own time."""

        def shown() -> list[tuple[int, str, str]]:
            return [(code, level(out), level(err)) for code, out, err in self.both(*words)]

        def alike() -> bool:
            ours, theirs = shown()
            return ours == theirs and bool(ours[1])

        wait_until(alike, f"both say the same to {words}")
        return self.same(*words)

    def empty(self) -> None:
        """Remove every container and volume."""
        for ask in (lambda *words: self.ours(*words).stdout, self.theirs):
            ids = ask("ps", "-aq").split()
            if ids:
                ask("rm", "-f", "-v", *ids)
            names = ask("volume", "ls", "-q").split()
            if names:
                ask("volume", "rm", *names)


@contextlib.contextmanager
def paired(cli: Cli) -> Iterator[Pair]:
    """Both, with the same busybox."""
    image = subprocess.run(cli.command("save", "busybox"), env=cli.env, capture_output=True, check=True).stdout
    with running_dockerd() as docker:
        docker("load", input=image)
        cli.env["DOCKER_HOST"] = docker.environment["DOCKER_HOST"] if docker.environment else ""
        yield Pair(cli, docker)


def level(text: str, *, sort: bool = False) -> str:
    """A text without what differs from run to run."""
    for pattern, stands in _EQUAL:
        text = re.sub(pattern, stands, text, flags=re.MULTILINE)
    text = text.strip()
    return "\n".join(sorted(text.splitlines())) if sort else text
