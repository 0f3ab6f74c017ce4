"""What is built again and what is not; the same input gives the same digest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pyctr.build.request import Typed
from pyctr.engine import Engine
from pyctr.engine.build.contexts import CONTENTS
from pyctr.engine.build.usage import cache_records, prune_cache
from tests.integration.build.conftest import Builder
from tests.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Cli

_TWO_STAGES = """FROM busybox AS one
WORKDIR /work
COPY . .
RUN cat a.txt > made
FROM busybox
COPY --from=one /work/made /made
RUN echo done > /done
"""


def test_second_build_runs_nothing_and_is_the_same(build: Builder) -> None:
    build.write("a.txt", "a")
    first = build(_TWO_STAGES, tags=("cache:1",)).images[0]
    assert "RUN cat a.txt > made" in build.told.started
    second = build(_TWO_STAGES).images[0]
    assert (second.id, second.manifest_digest) == (first.id, first.manifest_digest)
    assert build.told.started == ["exporting to image"]


def test_times_of_change_and_owners_do_not_count_content_and_mode_do(build: Builder) -> None:
    path = build.write("a.txt", "b")
    first = build(_TWO_STAGES).images[0].id
    os.utime(path, (1_000_000, 1_000_000))
    os.chown(path, 12, 34)
    assert build(_TWO_STAGES).images[0].id == first
    assert "COPY . ." in build.told.hits
    path.chmod(0o755)
    build(_TWO_STAGES)
    assert "COPY . ." in build.told.started
    # The mode of a.txt is not what `cat` writes: from there on all is the same again.
    assert "COPY --from=one /work/made /made" in build.told.hits


def test_another_root_another_day_the_same_digest(build: Builder, tmp_path: Path) -> None:
    build.write("a.txt", "c")
    first = build(_TWO_STAGES).images[0]
    other = Engine(str(tmp_path / "root"), str(tmp_path / "run"))
    other.images.bootstrap("busybox", include=[])
    context = tmp_path / "again"
    shutil.copytree(build.context, context)  # other times
    os.utime(context / "a.txt", (2_000_000_000, 2_000_000_000))
    again = Builder(other, context)(_TWO_STAGES).images[0]
    assert again.manifest_digest == first.manifest_digest


def test_source_date_epoch_and_timestamp_now(build: Builder) -> None:
    dockerfile = "FROM busybox\nRUN echo $SOURCE_DATE_EPOCH > /epoch\n"
    image = build.engine.image_store.resolve(build(dockerfile, source_date_epoch=1_700_000_000).images[0].id)
    assert image.config["created"] == "2023-11-14T22:13:20Z"
    assert all(entry["created"] for entry in image.config["history"])
    assert Path(image.layer_paths()[0], "epoch").read_text() == "1700000000\n"
    assert Path(image.layer_paths()[0], "epoch").stat().st_mtime == 1_700_000_000
    now = build.engine.image_store.resolve(build(dockerfile, timestamp="now").images[0].id)
    assert now.config["created"] > "2024"
    assert Path(now.layer_paths()[0], "epoch").read_text() == "\n"


def test_records_survive_image_prune_and_go_with_builder_prune(build: Builder) -> None:
    build.write("a.txt", "prune")
    image = build(_TWO_STAGES).images[0]
    build.engine.images.remove(image.id, force=True)
    build(_TWO_STAGES)
    assert build.told.started == ["exporting to image"]
    build.engine.images.remove(image.id, force=True)
    ids, freed = prune_cache(build.engine, all=True)
    assert ids
    assert freed > 0
    assert not cache_records(build.engine)
    build(_TWO_STAGES)
    assert "RUN echo done > /done" in build.told.started


def test_record_of_a_layer_that_is_gone_or_torn_is_none(build: Builder) -> None:
    build.write("a.txt", "torn")
    image = build(_TWO_STAGES).images[0]
    for record in Path(build.engine.root, "build/cache").iterdir():
        record.write_text('{"version":')
    assert build(_TWO_STAGES).images[0].id == image.id
    assert "RUN echo done > /done" in build.told.started


def test_contents_of_few_contexts_are_kept_and_prune_forgets_all(build: Builder) -> None:
    contents = Path(build.engine.root, "build", CONTENTS)
    contents.mkdir(parents=True, exist_ok=True)
    for number in range(40):
        (contents / f"{number}").touch()
        os.utime(contents / f"{number}", (number, number))
    build.write("a.txt", "contents")
    build(_TWO_STAGES)
    names = {file.name for file in contents.iterdir()}
    assert len(names) == 32
    assert "0" not in names
    prune_cache(build.engine)
    assert not list(contents.iterdir())


def test_limit_removes_what_was_used_longest_ago(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    prune_cache(build.engine, all=True)
    monkeypatch.setattr(build.engine.config, "build_keep_bytes", 250_000)
    cacheonly = (Typed("cacheonly", {}),)
    for number in range(4):
        build(f"FROM busybox\nRUN head -c 100000 /dev/zero > /f{number}\n", outputs=cacheonly)
    left = {record["Description"].rpartition("/")[2] for record in cache_records(build.engine)}
    assert left == {"f2", "f3"}


def test_cache_in_a_directory_serves_another_root(build: Builder, tmp_path: Path) -> None:
    build.write("a.txt", "moved")
    place = str(tmp_path / "cache")
    first = build(_TWO_STAGES, cache_to=(Typed("local", {"dest": place, "mode": "max"}),)).images[0]
    other = Engine(str(tmp_path / "root"), str(tmp_path / "run"))
    other.images.bootstrap("busybox", include=[])
    elsewhere = Builder(other, build.context)
    again = elsewhere(_TWO_STAGES, cache_from=(Typed("local", {"src": place}),)).images[0]
    assert again.manifest_digest == first.manifest_digest
    assert not [name for name in elsewhere.told.started if name.startswith(("RUN", "COPY"))]
    # What cannot be read costs its cache, not the build.
    blob = max(Path(place, "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(b"x")
    elsewhere(_TWO_STAGES, cache_from=(Typed("local", {"src": place + "none"}),))
    assert elsewhere.told.warnings


def _elsewhere(build: Builder, path: Path) -> Builder:
    other = Engine(str(path / "root"), str(path / "run"))
    other.images.bootstrap("busybox", include=[])
    return Builder(other, build.context)


def test_cache_without_the_earlier_stages_is_enough_until_something_changes(build: Builder, tmp_path: Path) -> None:
    build.write("a.txt", "min")
    place = str(tmp_path / "cache")
    first = build(_TWO_STAGES, no_cache=True, cache_to=(Typed("local", {"dest": place}),)).images[0]
    elsewhere = _elsewhere(build, tmp_path)
    stored = {path.name for path in Path(elsewhere.engine.image_store.layers).iterdir()}
    again = elsewhere(_TWO_STAGES, cache_from=(Typed("local", {"src": place}),)).images[0]
    assert again.manifest_digest == first.manifest_digest
    assert not [name for name in elsewhere.told.started if name.startswith(("RUN", "COPY", "WORKDIR"))]
    made = {path.name for path in Path(elsewhere.engine.image_store.layers).iterdir()} - stored
    assert len([name for name in made if not name.endswith(".json")]) == 2, "the result's layers alone came along"
    # A step that needs the stage has it done, with all before it; the one after it in the target does not change that.
    changed = _TWO_STAGES.replace("/work/made /made", "/work/a.txt /made")
    third = elsewhere(changed, cache_from=(Typed("local", {"src": place}),)).images[0]
    assert "RUN cat a.txt > made" in elsewhere.told.started
    assert third.manifest_digest != first.manifest_digest
    assert build(changed).images[0].manifest_digest == third.manifest_digest


def test_cache_mounts_go_along_if_that_is_asked_for(build: Builder, tmp_path: Path) -> None:
    place = str(tmp_path / "cache")
    dockerfile = (
        "FROM busybox\nRUN --mount=type=cache,id=carried,target=/c,uid=7,mode=0750"
        " test -e /c/{n} || (mkdir /c/{n} && ln -s {n} /c/link && chown 9 /c/{n}); ls -ldn /c /c/* > /list\n"
    )
    build(dockerfile.format(n="one"), cache_to=(Typed("local", {"dest": place, "mounts": "true"}),))
    elsewhere = _elsewhere(build, tmp_path)
    source = (Typed("local", {"src": place}),)
    made = elsewhere.files(
        dockerfile.format(n="two").replace("ln -s two /c/link", "true"), tmp_path / "out", cache_from=source
    )
    lines = [line.split() for line in (made / "list").read_text().splitlines()]
    assert [(words[0], words[2], words[-1]) for words in lines] == [
        ("drwxr-x---", "7", "/c"), ("lrwxrwxrwx", "0", "one"), ("drwxr-xr-x", "9", "/c/one"), ("drwxr-xr-x", "9", "/c/two"),
    ]  # fmt: skip
    assert not elsewhere.told.warnings
    # One that is there already is left alone, one that is damaged costs its content only.
    elsewhere(dockerfile.format(n="three").replace("ln -s three /c/link", "rmdir /c/one"), cache_from=source)
    for blob in Path(place, "blobs/sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(b"damaged")
    third = _elsewhere(build, tmp_path / "third")
    made = third.files(dockerfile.format(n="four"), tmp_path / "out3", cache_from=source)
    assert "/c/one" not in (made / "list").read_text()
    assert [text for text in third.told.warnings if text.startswith("cache mount ")]


def test_command_line_names_first_and_settles_afterwards(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo settled > /made\n")
    cli("build", "-t", "settled", str(tmp_path))
    wait_until(lambda: not (cli.root / "unsettled").exists(), "it is settled")
    assert not [path for path in (cli.root / "layers").glob("*.json") if "unsynced" in path.read_text()]
    names = [path.stat().st_ino for path in (cli.root / "refs").iterdir()]
    cli("build", "-t", "settled", str(tmp_path))  # from the cache: nothing is written, so nothing is left to settle
    assert not (cli.root / "unsettled").exists()
    assert [path.stat().st_ino for path in (cli.root / "refs").iterdir()] == names


def test_uses_are_counted_and_prune_takes_what_was_used_longest_ago(cli: Cli, tmp_path: Path) -> None:
    cli("builder", "prune", "-af")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN head -c 100000 /dev/zero > /a\n")
    for _ in range(3):
        cli("build", "-q", str(tmp_path))
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nRUN --mount=type=cache,target=/c head -c 200000 /dev/zero > /c/b && cp /c/b /b\n"
    )
    cli("build", "-q", str(tmp_path))
    cli("image", "prune", "-af")  # what no image has does not count as shared
    listed = [json.loads(line) for line in cli("builder", "du", "--format", "json").stdout.splitlines()]
    uses = {
        record["Description"].partition("/dev/zero ")[2] or record["Type"]: record["UsageCount"] for record in listed
    }
    assert uses == {"> /a": 3, "> /c/b && cp /c/b /b": 1, "exec.cachemount": 1}
    assert "Usage count:    3\n" in cli("builder", "du", "--verbose").stdout
    assert cli("builder", "prune", "-f", "--filter", "until=1h").stdout == "Total reclaimed space: 0B\n"
    assert "invalid size" in cli("builder", "prune", "-f", "--max-used-space", "much", code=None).stderr
    assert "Total reclaimed space: 100kB\n" in cli("builder", "prune", "-f", "--keep-storage", "400000").stdout
    assert "Total reclaimed space: 200kB\n" in cli("builder", "prune", "-f", "--max-used-space", "200000").stdout
    assert "Total reclaimed space: 200kB\n" in cli("builder", "prune", "-f").stdout
