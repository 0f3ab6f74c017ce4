"""The rules of ``rules.toml`` (the core) and ``python.toml`` (the package)."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

_CARGO = ("cargo", "test", "--quiet", "-p", "pyctr-core", "-p", "pyctr-init")
_TESTS = ("--lib", "--test", "launch", "--test", "layer", "--test", "layer_attacks")

Command = list[str]


class Rule(NamedTuple):
    """A rule, where it stands, and what the place looks like without it."""

    seen_as: str
    what: str
    file: str
    old: str
    new: str
    cargo: str = ""
    pytest: str = ""

    def commands(self) -> list[tuple[list[Command], Command]]:
        """What builds, and then the tests of which one has to fail."""
        found: list[tuple[list[Command], Command]] = []
        if self.cargo:
            found.append(([[*_CARGO, *_TESTS, "--no-run"]], [*_CARGO, *_TESTS, self.cargo]))
        if self.pytest:
            found.append(
                (
                    [["make", "-s", "dev"]],
                    [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *self.pytest.split()],
                )
            )
        return found


def read_rules() -> list[Rule]:
    """All of them, in the order of the files."""
    texts = [Path(__file__).with_name(name).read_text() for name in ("rules.toml", "python.toml")]
    return [Rule(**rule) for text in texts for rule in tomllib.loads(text)["rule"]]
