"""Commands on images, in Docker's words; where one is installed a real docker says what is right."""

from __future__ import annotations

import http.server
import io
import json
import os
import pty
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Cli, needs_root
from tests.peers import running_dockerd
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root

CHANGES = [
    'CMD ["sleep", "1"]', "ENTRYPOINT /bin/sh -c", 'ENV A=1 B="two words" C=$A/c D=\'$A\' E=a\\ b', "ENV OLD form of it", "EXPOSE 80 53/udp",
    "EXPOSE 8000-8002/tcp", 'LABEL one=1 "two words"="x y"', "USER 12:34", "VOLUME /data /more", 'VOLUME ["/json"]', "WORKDIR /a",
    "WORKDIR b/../c", "HEALTHCHECK --interval=5s --retries=3 CMD test -e /x", "ONBUILD RUN true", "ENV F=${G:-dflt} H=${A:+alt}",
    "HEALTHCHECK NONE", "CMD echo $HOME", "entrypoint []",
]  # fmt: skip
BAD_CHANGES = ["RUN true", "NOPE x", "EXPOSE x", "ENV a", "HEALTHCHECK nope", "COPY a b", "ONBUILD FROM x"]


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tar") / "one.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("etc/file")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"text"))
    return path


def inspect(cli: Cli, image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("image", "inspect", image).stdout)[0]
    return found


def test_changes_are_dockers(cli: Cli, one_file: Path) -> None:
    with running_dockerd() as docker:
        docker("import", str(one_file), "base:1")
        cli("import", str(one_file), "base:1")
        docker("create", "--name", "cc", "-e", "X=y", "-l", "l=m", "base:1", "one", "two")
        cli("create", "--name", "cc", "-e", "X=y", "-l", "l=m", "base:1", "one", "two")
        for number, change in enumerate([[], *([change] for change in CHANGES), CHANGES]):
            options = [
                "-a",
                "me",
                "-m",
                "why",
                *(word for text in change for word in ("-c", text)),
                "cc",
                f"image:{number}",
            ]
            docker("commit", *options)
            cli("commit", *options)
            theirs, ours = json.loads(docker("image", "inspect", f"image:{number}"))[0], inspect(cli, f"image:{number}")
            assert (ours["Author"], ours["Comment"]) == (theirs["Author"], theirs["Comment"])
            for key in ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "User", "Volumes", "WorkingDir", "StopSignal",
                        "Healthcheck", "OnBuild"):  # fmt: skip
                wanted, got = theirs["Config"].get(key) or None, ours["Config"].get(key) or None
                if key == "Env":
                    wanted, got = [sorted(value or []) for value in (wanted, got)]
                    wanted = [value for value in wanted if not value.startswith("PATH=")]
                    got = [value for value in got if not value.startswith("PATH=")]
                assert got == wanted, (change, key)
            steps = [
                json.loads(line)
                for line in docker("history", "--no-trunc", "--format", "json", f"image:{number}").splitlines()
            ]
            own = cli("history", "--no-trunc", "--format", "json", f"image:{number}").stdout.splitlines()
            for key in ("CreatedBy", "Comment", "Size"):
                assert [json.loads(line)[key] for line in own] == [step[key] for step in steps]
        for bad in BAD_CHANGES:
            assert (
                docker.run("commit", "-c", bad, "cc").returncode
                == cli("commit", "-c", bad, "cc", code=None).returncode
                == 1
            )
    cli("rm", "cc")


def test_import_from_file_stdin_and_address(cli: Cli, one_file: Path, tmp_path: Path) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(one_file.parent))

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            target = {"/ftp": "ftp://127.0.0.1/x", "/file": "file:///etc/passwd"}.get(self.path)
            if target is None:
                super().do_GET()
                return
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        cli("import", f"{address}/one.tar", "by:url")
        assert "404" in cli("import", f"{address}/none.tar", "by:none", code=1).stderr
        # What a signed address is signed with is nobody's business: not in the image, not in an error.
        cli("import", f"{address}/one.tar?signature=secret", "by:signed")
        assert "secret" not in cli("image", "inspect", "by:signed").stdout + cli("history", "by:signed").stdout
        for odd in ("none.tar?signature=secret", "ftp", "file", "a b"):
            done = cli("import", f"{address}/{odd}", "by:none", code=1)
            assert done.stderr.count("\n") == 1, done.stderr
            assert "secret" not in done.stderr
    finally:
        server.shutdown()
        server.server_close()
    subprocess.run(["xz", "-k", str(one_file)], check=True)
    cli("import", f"{one_file}.xz", "by:file")
    with one_file.open("rb") as file:
        cli("import", "-", "by:stdin", stdin=file)
    images = {name: inspect(cli, f"by:{name}") for name in ("url", "file", "stdin")}
    assert len({image["RootFS"]["Layers"][0] for image in images.values()}) == 1
    assert images["url"]["Comment"] == f"Imported from {address}/one.tar"
    assert images["stdin"]["Comment"] == "Imported from -"
    assert (
        cli("import", str(tmp_path / "none"), code=1).stderr
        == f"pyctr: open {tmp_path}/none: no such file or directory\n"
    )
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    assert cli("import", str(tmp_path / "junk"), "by:junk", code=1).stderr.count("\n") == 1
    assert cli("import", "--platform", "linux/arm64", str(one_file), "by:arm").stdout
    assert inspect(cli, "by:arm")["Architecture"] == "arm64"


def test_save_and_export_refuse_terminals_and_bad_places(cli: Cli, tmp_path: Path) -> None:
    cli("create", "--name", "refused", "busybox")
    for command, words in ((["save", "busybox"], "save image"), (["export", "refused"], "export container")):
        master, slave = pty.openpty()
        done = subprocess.run(
            cli.command(*command), env=cli.env, stdout=slave, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(master)
        os.close(slave)
        assert (done.returncode, done.stderr) == (
            1, f"pyctr: cowardly refusing to {words} to a terminal. Use the -o flag or redirect\n",
        )  # fmt: skip
        missing = cli(*command, "-o", str(tmp_path / "none/x.tar"), code=1).stderr
        assert (
            missing
            == f"pyctr: failed to {words}: invalid output path: stat {tmp_path}/none: no such file or directory\n"
        )
        cli(*command, "-o", str(tmp_path / "ok.tar"))
        assert tarfile.is_tarfile(tmp_path / "ok.tar")
    assert cli("save", "nothing", code=1).stderr == "pyctr: No such image: nothing\n"
    assert cli("save", "-o", str(tmp_path / "x.tar"), "nothing", code=1).stderr
    assert not (tmp_path / "x.tar").exists()
    assert (
        "linux/arm64"
        in cli("save", "--platform", "linux/arm64", "-o", str(tmp_path / "x.tar"), "busybox", code=1).stderr
    )
    cli("rm", "refused")


def test_rmi_conflicts_are_dockers(cli: Cli, one_file: Path) -> None:
    image_id = cli("import", str(one_file), "rmi:1").stdout.strip()
    short = image_id[7:19]
    cli("tag", "rmi:1", "rmi:2")
    assert cli("rmi", short, code=1).stderr == (
        f"pyctr: conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories\n"
    )
    assert cli("rmi", "rmi:2").stdout == "Untagged: rmi:2\n"
    container = cli("create", "rmi:1", "x").stdout.strip()[:12]
    assert cli("rmi", "rmi:1", code=1).stderr == (
        f'pyctr: conflict: unable to remove repository reference "rmi:1" (must force) - '
        f"container {container} is using its referenced image {short}\n"
    )
    assert cli("rmi", short, code=1).stderr == (
        f"pyctr: conflict: unable to delete {short} (must be forced) - image is being used by stopped container {container}\n"
    )
    assert cli("rmi", "-f", "rmi:1").stdout == "Untagged: rmi:1\n"
    assert short in cli("images", "-q").stdout
    cli("rm", container)
    lines = cli("image", "prune", "-f").stdout
    assert f"deleted: {image_id}\n" in lines
    assert "Total reclaimed space: " in lines
    assert cli("rmi", "rmi:1", code=1).stderr == "pyctr: No such image: rmi:1\n"
    assert cli("rmi", "-f", "rmi:1").stderr == "pyctr: No such image: rmi:1\n"


def test_images_filters(cli: Cli, one_file: Path) -> None:
    for number in (1, 2, 3):
        cli("import", "-c", f"LABEL n={number} filtered=", str(one_file), f"local/filter:{number}")

    def tags(*filters: str) -> list[str]:
        words = [word for text in ("label=filtered", *filters) for word in ("-f", text)]
        return sorted(cli("images", "--format", "{{.Tag}}", *words).stdout.split())

    assert tags() == ["1", "2", "3"]
    assert tags("label=n=2") == ["2"]
    assert tags("before=local/filter:2") == ["1"]
    assert tags("since=local/filter:2") == ["3"]
    assert tags("reference=local/*:3", "reference=*/filter:1") == ["1", "3"]
    assert tags("reference=filter") == []
    assert tags("until=1h") == []
    assert tags("until=0s") == ["1", "2", "3"]
    assert tags("dangling=true") == []
    cli("tag", "local/filter:1", "local/filter:2")
    assert tags("dangling=true") == ["<none>"]
    assert cli("images", "-f", "nope=1", code=1).stderr == "pyctr: invalid filter 'nope'\n"
    assert cli("image", "prune", "-f", "--filter", "until=1h").stdout == "Total reclaimed space: 0B\n"
    assert cli("image", "prune", "-f", "--filter", "label!=filtered").stdout == "Total reclaimed space: 0B\n"
    assert "deleted: " in cli("image", "prune", "-f", "--filter", "label=n=2").stdout
    assert tags() == ["1", "2", "3"]
    assert inspect(cli, "local/filter:3")["RepoDigests"] == []  # neither pulled nor pushed
    rows = cli("images", "--digests", "--no-trunc", "local/filter:3").stdout.splitlines()
    assert rows[0].split() == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    assert rows[1].split()[:3] == ["local/filter", "3", "<none>"]
    digest = f"local/filter@{inspect(cli, 'local/filter:3')['Descriptor']['digest']}"
    assert cli("image", "inspect", "-f", "{{.Id}}", digest).stdout == inspect(cli, "local/filter:3")["Id"] + "\n"


def test_images_summary_follows_every_change(cli: Cli, one_file: Path) -> None:
    import time

    cli("import", str(one_file), "summary:1")
    time.sleep(0.1)
    assert "summary" in cli("images").stdout
    summary = cli.root / "images.summary"
    assert summary.exists()
    cli("tag", "summary:1", "summary:2")
    assert "2" in cli("images", "--format", "{{.Tag}}", "summary").stdout.split()
    summary.write_bytes(b"damaged")
    assert cli("images", "--format", "{{.Tag}}", "summary").stdout.split() == ["1", "2"]
    cli("rmi", "summary:1", "summary:2")
    assert "summary" not in cli("images").stdout


@pytest.fixture
def running(cli: Cli) -> Iterator[str]:
    script = "i=0; while :; do i=$((i+1)); for f in one two; do echo $i >/new; mv /new /$f; done; done"
    container = cli("run", "-d", "--name", "busy", "busybox", "sh", "-c", script).stdout.strip()
    wait_until(lambda: cli("exec", "busy", "test", "-e", "/two", code=None).returncode == 0, "both files")
    yield container
    cli("rm", "-f", "busy")


def test_commit_of_a_running_container_pauses_it(cli: Cli, running: str) -> None:
    for _ in range(3):
        image = cli("commit", running).stdout.strip()
        command = "cat /one /two"
        one, two = (int(line or 0) for line in cli("run", "--rm", image, "sh", "-c", command).stdout.split("\n")[:2])
        assert one - two in (0, 1)
        cli("rmi", image)
    assert cli("inspect", "-f", "{{.State.Status}}", running).stdout == "running\n"
    assert {"A /one", "A /two"} <= set(cli("diff", running).stdout.splitlines()) <= {"A /new", "A /one", "A /two"}
    done = subprocess.run(cli.command("export", running), env=cli.env, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert {"one", "two", "bin/sh"} <= set(archive.getnames())


def test_commit_of_nothing_changed_is_an_empty_layer(cli: Cli) -> None:
    cli("run", "--name", "still", "busybox", "true")
    assert cli("diff", "still").stdout == ""
    image = cli("commit", "still").stdout.strip()
    assert inspect(cli, image)["RootFS"] == inspect(cli, "busybox")["RootFS"]
    assert cli("history", "--format", "{{.Size}}", image).stdout.split()[0] == "0B"
    cli("rm", "still")
    assert cli("commit", "still", code=1).stderr == "pyctr: No such container: still\n"


def test_commit_of_a_paused_container_leaves_it_paused(cli: Cli) -> None:
    cli("run", "-d", "--network", "none", "--name", "resting", "busybox", "sleep", "1000")
    cli("pause", "resting")
    cli("commit", "resting", "resting:1")
    assert cli("inspect", "-f", "{{.State.Status}}", "resting").stdout == "paused\n"
    cli("rm", "-f", "resting")
    cli("rmi", "resting:1")
