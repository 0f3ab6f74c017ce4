"""Whatever is done in an overlay: its layer, applied to what was below, gives what the kernel shows."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyctr._core import diff_layer, export_tree, extract_layer
from tests.conftest import needs_root
from tests.integration.layer.overlays import Overlay
from tests.integration.layer.test_pack import archive_of, tree_digest

pytestmark = needs_root

NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
COMMANDS = st.one_of(
    st.builds("mkdir -p {}".format, PATHS),
    st.builds("rm -rf {}".format, PATHS),
    st.builds("echo {} >>{}".format, NAMES, PATHS),
    st.builds("ln -f {} {}".format, PATHS, PATHS),
    st.builds("ln -sfn {} {}".format, PATHS, PATHS),
    st.builds("mv -T {} {}".format, PATHS, PATHS),
    st.builds("chmod {} {}".format, st.sampled_from(["700", "4755", "1777"]), PATHS),
    st.builds("chown -h {} {}".format, st.sampled_from(["12:34", "100000:100000"]), PATHS),
    st.builds("setfattr -n user.x -v {} {}".format, NAMES, PATHS),
    st.builds("mkfifo {}".format, PATHS),
    st.builds("touch -h -d @{} {}".format, st.integers(-5, 2**33), PATHS),
    st.builds("truncate -s {} {}".format, st.integers(0, 200_000), PATHS),
)
SCRIPTS = st.lists(COMMANDS, max_size=12).map(lambda commands: "".join(f"{command} || :\n" for command in commands))


@settings(max_examples=25, deadline=None)
@given(base=SCRIPTS, first=SCRIPTS, second=SCRIPTS)
def test_diff_applied_gives_the_merged_tree(base: str, first: str, second: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bottom = directory / "bottom"
        bottom.mkdir()
        os.system(f"cd {shlex.quote(str(bottom))} && exec 2>/dev/null && {base}:")
        lowers = [bottom]
        for step, script in enumerate((first, second)):
            overlay = Overlay(directory / str(step), lowers)
            overlay.run(f"exec 2>/dev/null\n{script}:")
            target, blobs = directory / f"layer{step}", directory / f"blobs{step}"
            target.mkdir()
            blobs.mkdir()
            written = diff_layer(str(overlay.upper), overlay.lowers, str(blobs), compression="zstd")
            extract_layer(str(blobs / written.digest[7:]), str(target), digest=written.digest, diff_id=written.diff_id)
            assert archive_of(overlay) == tree_digest(overlay.layers)
            assert tree_digest([str(target), *overlay.lowers]) == tree_digest(overlay.layers)
            lowers = [target, *lowers]
        null = os.open(os.devnull, os.O_WRONLY)
        assert export_tree([str(path) for path in lowers], null).entries >= 0
        os.close(null)
