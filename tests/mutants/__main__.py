"""Take each security rule out of a copy of the tree, and see that a test fails: ``python -m tests.mutants [WORD]``.

A rule that can go without any test failing is not tested. Builds happen in the copy, with a target directory of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.rules import Rule, read_rules

_HERE = Path(__file__).parents[2]


def copy_tree(target: Path) -> None:
    """What git knows of the tree, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=_HERE, check=True, capture_output=True).stdout
    subprocess.run(["cpio", "-0", "-pdm", "--quiet", str(target)], cwd=_HERE, check=True, input=names)


def failing_run(rule: Rule, tree: Path) -> str:
    """The command that failed with the rule taken out; empty if all of them passed. Raises where the copy does not build."""
    for build, test in rule.commands():
        for command in build:
            done = subprocess.run(command, cwd=tree, env=environment(tree), check=False, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{rule.what}: the copy does not build:\n{done.stderr[-2000:]}")
        if subprocess.run(test, cwd=tree, env=environment(tree), check=False, capture_output=True).returncode:
            return " ".join(test)
    return ""


def environment(tree: Path) -> dict[str, str]:
    """Built beside the copy; the copy's package is the one imported."""
    target = os.environ.get("PYCTR_MUTANTS_TARGET", str(tree / "target"))
    return {**os.environ, "CARGO_TARGET_DIR": target, "PYTHONPATH": str(tree / "python"), "RUSTFLAGS": "-Awarnings"}


def main() -> int:
    """A line a rule; the exit code is the number of rules no test guards."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    unguarded = 0
    with tempfile.TemporaryDirectory(prefix="pyctr-mutants-") as directory:
        tree = Path(directory)
        copy_tree(tree)
        for rule in read_rules():
            if word not in f"{rule.seen_as} {rule.what} {rule.file}":
                continue
            file, began = tree / rule.file, time.monotonic()
            whole = file.read_text()
            file.write_text(whole.replace(rule.old, rule.new))
            failed = failing_run(rule, tree)
            file.write_text(whole)
            unguarded += not failed
            verdict = "seen" if failed else "NOT SEEN"
            print(f"{verdict:<9}{rule.seen_as:<16}{rule.what} ({time.monotonic() - began:.0f} s)", flush=True)
    return unguarded


if __name__ == "__main__":
    sys.exit(main())
