"""COPY and ADD: what cannot be, what changes meanwhile, options that the oracle does not know."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyctr._core import diff_layer, extract_layer
from pyctr.errors import BuildError
from pyctr.image.manifest import parse_manifest
from tests.conftest import need_tool
from tests.integration.build.served import served_by_git

if TYPE_CHECKING:
    from tests.integration.build.conftest import Builder


def test_missing_file_is_named_with_near_names(build: Builder) -> None:
    build.write("package.json", "{}")
    with pytest.raises(BuildError, match=r'"/packge\.json" not found') as caught:
        build("FROM scratch\nCOPY packge.json /\n")
    assert caught.value.line == 2
    assert "package.json" in str(caught.value.hint)


def test_links_out_of_the_context_and_ignored_files_are_not_there(build: Builder) -> None:
    (build.context / "passwd").symlink_to("/etc/passwd")
    build.write("hidden", "x")
    build.write(".dockerignore", "hidden\n")
    for name in ("passwd", "hidden", "../../etc/passwd"):
        with pytest.raises(BuildError, match="not found"):
            build(f"FROM scratch\nCOPY {name} /x\n")


def test_parents_exclude_link_and_symbolic_modes(build: Builder, tmp_path: Path) -> None:
    for name in ("a/b/one.txt", "a/b/two.md", "a/c/three.txt", "top.txt"):
        build.write(name, name)
    target = build.files(
        """# syntax=docker/dockerfile:1-labs
FROM scratch
COPY --parents a/b/one.txt /p1/
COPY --parents a/./c /p2/
COPY --parents **/*.txt /p3/
COPY --exclude=**/*.md --exclude=c a /x/
COPY --link --chmod=u=rwX,go=rX --chown=3:4 top.txt /l/t
""",
        tmp_path / "out",
    )
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert found == [
        "l/t", "p1/a/b/one.txt", "p2/c/three.txt", "p3/a/b/one.txt", "p3/a/c/three.txt", "p3/top.txt", "x/b/one.txt",
    ]  # fmt: skip
    assert (target / "l/t").stat().st_mode & 0o777 == 0o644


def test_file_over_directory_and_unknown_user_are_refused(build: Builder) -> None:
    build.write("f", "f")
    with pytest.raises(BuildError, match="cannot replace to directory"):
        build("FROM busybox\nRUN mkdir -p /d/f\nCOPY . /d\n")
    with pytest.raises(BuildError, match="--chown=nobody-here"):
        build("FROM busybox\nCOPY --chown=nobody-here f /f\n")


def test_hundred_layers_equal_ones_among_them(build: Builder) -> None:
    build.write("f", "f")
    lines = "".join(f"COPY f /d/{number % 40}\n" for number in range(110))
    image = build(f"FROM busybox\n{lines}RUN ls /d | wc -l\n").images[0]
    assert build.told.output.strip() == b"40"
    assert len(build.engine.image_store.resolve(image.id).layers) == 111


def test_urls_are_verified_and_asked_for_again(build: Builder, tmp_path: Path) -> None:
    content = b"from the web"
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("If-None-Match") or "")
            if self.headers.get("If-None-Match") == '"tag"':
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(200 if self.path == "/f.txt" else 404)
            self.send_header("ETag", '"tag"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    digest = hashlib.sha256(content).hexdigest()
    try:
        for _ in range(2):
            target = build.files(f"FROM scratch\nADD {url}/f.txt /w/\n", tmp_path / "out")
        assert (target / "w/f.txt").read_bytes() == content
        assert (target / "w/f.txt").stat().st_mode & 0o777 == 0o600
        assert asked == ["", '"tag"']
        build(f"FROM scratch\nADD --checksum=sha256:{digest} {url}/f.txt /w/\n")
        with pytest.raises(BuildError, match="digest mismatch"):
            build(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url}/f.txt /w/\n")
        with pytest.raises(BuildError, match="status 404"):
            build(f"FROM scratch\nADD {url}/none /w/\n")
    finally:
        server.shutdown()
        server.server_close()


def test_git_is_checked_out_by_commit(build: Builder, tmp_path: Path) -> None:
    git = need_tool("git")
    origin = tmp_path / "origin"
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    name = ["-c", "user.name=x", "-c", "user.email=x@x"]

    def run(*words: str) -> str:
        done = subprocess.run([git, *name, *words], cwd=origin, env=environment, capture_output=True, check=True)
        return done.stdout.decode().strip()

    origin.mkdir()
    run("init", "-q", "-b", "main")
    (origin / "sub").mkdir()
    (origin / "sub/file").write_text("in git")
    run("add", ".")
    run("commit", "-qm", "one")
    commit = run("rev-parse", "HEAD")

    with served_by_git(git, tmp_path, "origin") as url:
        target = build.files(
            f"FROM scratch\nADD {url}#main:sub /s/\nADD --keep-git-dir=true {url} /all\n", tmp_path / "out"
        )
        assert (target / "s/file").read_text() == "in git" == (target / "all/sub/file").read_text()
        assert (target / "all/.git/HEAD").read_text().strip() == commit
        with pytest.raises(BuildError, match="does not contain ref none"):
            build(f"FROM scratch\nADD {url}#none /s/\n")


def test_directories_that_became_layers_are_what_their_blobs_extract_to(build: Builder, tmp_path: Path) -> None:
    for name in ("a/b/one.txt", "a/two.txt"):
        build.write(name, name)
    image = build(
        "FROM busybox\nRUN mkdir /e /full && touch /full/a /full/b && chmod 700 /e && rm /bin/vi\nCOPY a /e\n"
        "COPY a/two.txt a /new/\nCOPY a/two.txt /full/a\nCOPY --link a /l\nWORKDIR /full/deep\n"
    ).images[0]
    stored = build.engine.image_store.resolve(image.id)
    manifest = parse_manifest(build.engine.image_store.read_blob(image.manifest_digest))
    for number, (layer, directory) in enumerate(zip(manifest.layers, reversed(stored.layer_paths()), strict=True)):
        extracted = tmp_path / str(number)
        extracted.mkdir()
        extract_layer(build.engine.image_store.blob_path(layer.digest), str(extracted))
        sink = os.open("/dev/null", os.O_WRONLY)
        try:
            found = [diff_layer(path, stored.layer_paths(), sink).diff_id for path in (directory, str(extracted))]
        finally:
            os.close(sink)
        assert found[0] == found[1]
        left = [
            path
            for path in Path(directory).rglob("*")
            for name in os.listxattr(path, follow_symlinks=False)
            if "origin" in name
        ]
        assert not left
