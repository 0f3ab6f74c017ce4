"""How a command's process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyctr

_SCRIPT = """
import atexit, sys, threading
sys.path.insert(0, {path!r})
from pyctr.cli import main
class Made:
    def __del__(self):
        sys.stdout.write("taken apart ")
main.made = Made()
main.main = lambda: 7
atexit.register(sys.stdout.write, "registered ")
{before}
main.command()
"""


def end(before: str) -> tuple[int, str]:
    script = _SCRIPT.format(path=str(Path(pyctr.__file__).parent.parent), before=before)
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_end_without_threads_takes_nothing_apart_and_does_what_was_registered() -> None:
    thread = "thread = threading.Thread(target=int)\nthread.start()\nthread.join()"
    assert end(thread) == (7, "registered ")


def test_end_with_a_thread_at_work_is_pythons_own() -> None:
    thread = "event = threading.Event()\nthreading.Thread(target=event.wait, daemon=True).start()"
    assert end(thread) == (7, "registered taken apart ")
