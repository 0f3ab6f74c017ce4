"""`build` as it is typed: where the context comes from, what is shown, what is refused by name."""

from __future__ import annotations

import base64
import bz2
import contextlib
import functools
import gzip
import http.server
import io
import json
import lzma
import os
import pty
import re
import shutil
import signal
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COPIES = "FROM busybox\nCOPY f /f\n"


def _archive(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def _content(cli: Cli, image: str, path: str = "/f") -> str:
    return cli("run", "--rm", "--network", "none", image.strip(), "cat", path).stdout


# -- where the context comes from ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_archive_on_stdin_is_the_context(cli: Cli, packed: Callable[[bytes], bytes]) -> None:
    data = packed(_archive(Dockerfile=_COPIES, f="in a tar"))
    done = subprocess.run(cli.command("build", "-q", "-"), input=data, capture_output=True, env=cli.env, check=True)
    assert _content(cli, done.stdout.decode()) == "in a tar"


def test_other_dockerfile_of_an_archive_and_its_ignore_file(cli: Cli) -> None:
    files = {"sub/D": "FROM busybox\nCOPY . /all\n", "f": "1", "g": "2", ".dockerignore": "g\n"}
    done = subprocess.run(
        cli.command("build", "-q", "-f", "sub/D", "-"), input=_archive(**files), capture_output=True, env=cli.env
    )
    listed = cli("run", "--rm", done.stdout.decode().strip(), "ls", "/all").stdout
    assert listed.split() == ["f", "sub"]
    out = cli("build", "-f", "../../etc/passwd", "-", input=_archive(**files).decode(), code=1).stderr
    assert "failed to read dockerfile" in out


def test_dockerfile_on_stdin_has_no_context_or_a_directory(cli: Cli, tmp_path: Path) -> None:
    image = cli("build", "-q", "-", input="FROM busybox\nRUN echo made > /f\n").stdout
    assert _content(cli, image) == "made\n"
    refused = cli("build", "-", input=_COPIES, code=1).stderr
    assert '"/f" not found' in refused
    (tmp_path / "f").write_text("of the directory")
    assert _content(cli, cli("build", "-q", "-f-", str(tmp_path), input=_COPIES).stdout) == "of the directory"
    both = cli("build", "-f", "-", "-", input="", code=1).stderr
    assert both == "pyctr: invalid argument: can't use stdin for both build context and dockerfile\n"
    assert cli("build", "-", input="", code=1).stderr == "pyctr: build context from stdin is empty\n"


def test_context_may_be_a_link_and_must_be_a_directory(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/f").write_text("behind a link")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "D").write_text("FROM busybox\nCOPY f /f\nCOPY --from=other f /g\n")
    link = str(tmp_path / "link")
    image = cli("build", "-q", "--build-context", f"other={link}", "-f", str(tmp_path / "D"), link).stdout
    assert _content(cli, image) == _content(cli, image, "/g") == "behind a link"
    said = cli("build", str(tmp_path / "D"), code=1).stderr
    assert said == f"pyctr: unable to prepare context: context must be a directory: {tmp_path}/D\n"
    said = cli("build", "-f", link, link, code=1).stderr
    assert said.endswith("pyctr: failed to read dockerfile: open link: is a directory\n")
    assert "Errno" not in said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A directory served over HTTP."""
    directory = tmp_path / "served"
    directory.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", directory
    server.shutdown()
    server.server_close()


def test_address_is_an_archive_or_a_dockerfile(cli: Cli, served: tuple[str, Path]) -> None:
    address, directory = served
    (directory / "context.tar.gz").write_bytes(gzip.compress(_archive(Dockerfile=_COPIES, f="fetched")))
    (directory / "Dockerfile").write_text("FROM busybox\nRUN echo alone > /f\n")
    assert _content(cli, cli("build", "-q", f"{address}/context.tar.gz").stdout) == "fetched"
    assert _content(cli, cli("build", "-q", f"{address}/Dockerfile").stdout) == "alone\n"
    assert "404" in cli("build", f"{address}/none", code=1).stderr


def test_git_context_of_a_branch_and_a_directory(cli: Cli, served: tuple[str, Path]) -> None:
    git = need_tool("git")
    address, directory = served
    origin = directory / "app.git"
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def run(*words: str) -> None:
        name = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run([git, *name, *words], cwd=origin, env=environment, capture_output=True, check=True)

    (origin / "sub").mkdir(parents=True)
    run("init", "-q", "-b", "main")
    for place, text in (("", "top"), ("sub/", "below")):
        (origin / f"{place}f").write_text(text)
        (origin / f"{place}Dockerfile").write_text(_COPIES)
    run("add", ".")
    run("commit", "-qm", "one")
    run("branch", "-q", "next")
    run("update-server-info")
    # Served as plain files: the repository is where a bare one would be.
    for path in (origin / ".git").iterdir():
        path.rename(origin / path.name)
    assert _content(cli, cli("build", "-q", f"{address}/app.git").stdout) == "top"
    assert _content(cli, cli("build", "-q", f"{address}/app.git#next:sub").stdout) == "below"
    assert "none" in cli("build", f"{address}/app.git#none", code=1).stderr


# -- what is shown ---------------------------------------------------------------------------------------------------


def _dockerfile(directory: Path, text: str) -> str:
    (directory / "Dockerfile").write_text(text)
    return str(directory)


def test_files_beside_the_image_and_quiet(cli: Cli, tmp_path: Path) -> None:
    context = _dockerfile(tmp_path, "FROM busybox\nRUN echo noise\n")
    identity, metadata = tmp_path / "id", tmp_path / "metadata"
    words = ["--iidfile", str(identity), "--metadata-file", str(metadata), "-t", "a:1", "-t", "b:2"]
    done = cli("build", "-q", *words, context)
    assert (done.stdout, done.stderr) == (f"{identity.read_text()}\n", "")
    told = json.loads(metadata.read_text())
    assert told["containerimage.config.digest"] == identity.read_text()
    assert told["image.name"] == "a:1,b:2"


def test_raw_json_is_one_status_a_line(cli: Cli, tmp_path: Path) -> None:
    context = _dockerfile(tmp_path, "FROM busybox\nWORKDIR /w\nRUN printf 'a\\nb'; exit 5\n")
    done = cli("build", "--progress", "rawjson", context, code=1)
    *lines, last = [line for line in done.stderr.splitlines() if "|" not in line[:8]]
    assert last.endswith("exit code: 5")
    told = [json.loads(line) for line in lines]
    vertexes = {vertex["digest"]: vertex for line in told for vertex in line.get("vertexes", [])}
    failed = next(vertex for vertex in vertexes.values() if vertex["name"].endswith("exit 5"))
    assert "exit code: 5" in failed["error"]
    assert failed["started"] <= failed["completed"]
    assert vertexes[failed["inputs"][0]]["name"] == "[2/3] WORKDIR /w"
    logs = [log for line in told for log in line.get("logs", []) if log["vertex"] == failed["digest"]]
    assert b"".join(base64.b64decode(log["data"]) for log in logs) == b"a\nb"


def test_terminal_has_a_list_that_is_drawn_anew(cli: Cli, tmp_path: Path) -> None:
    wait = "--mount=type=cache,id=gate,target=/g echo shown while it runs; until [ -e /g/go ]; do sleep 0.05; done"
    context = _dockerfile(tmp_path, f"FROM busybox\nRUN {wait}\nRUN echo $(hostname) > /f\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(cli.command("build", context), env={**cli.env, "TERM": "xterm"}, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal is EIO
        while data := os.read(ours, 65536):
            said += data
            if b" => => # shown while it runs" in said:
                for gate in cli.root.glob("build/mounts/*/0/data"):
                    with contextlib.suppress(FileNotFoundError):
                        (gate / "go").touch()
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    text = said.decode()
    assert " => => # shown while it runs" in text
    assert text.count("[+] Building") > 2
    drawn = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text[text.rindex("[+] Building") :])
    names = [re.sub(r"\s+\d+\.\ds$", "", line) for line in drawn.splitlines()]
    assert names[0].endswith(" FINISHED")
    # As wide as the terminal, no wider.
    assert [name[:17] for name in names if "RUN" in name] == [" => [2/3] RUN --m", " => [3/3] RUN ech"]


# -- what is refused, before anything is built -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--add-host bad", 'bad format for add-host: "bad"'),
        ("--allow all", "unknown entitlement all"),
        ("--builder other", 'no builder "other" found'),
        ("--cache-from type=s3", "type is one of registry, local"),
        ("--cpu-period x", 'invalid argument "x" for "--cpu-period" flag'),
        ("--cpuset-cpus 999", "Requested CPUs are not available"),
        ("--isolation hyperv", "--isolation is not supported on Linux"),
        ("--memory 1k", "Minimum memory limit allowed is 6MB"),
        ("--network nowhere", "network nowhere not found"),
        ("--network container:x", 'network mode "container:x" is not supported by build'),
        ("--output type=none", "type is one of"),
        ("--platform nonsense/", "nonsense"),
        ("--progress fancy", 'invalid progress type "fancy"'),
        ("--progress tty", "stderr is not a terminal"),
        ("--rm=false", "--rm=false is not supported"),
        ("--secret id=s,src=/nowhere", "secret s: /nowhere: no such file"),
        ("--secret id=s,scr=/nowhere", "unexpected scr"),
        ("--security-opt x", "--security-opt is not supported by build"),
        ("--shm-size x", "--shm-size"),
        ("--squash", "--squash is not supported by build"),
        ("--ssh other=/nowhere", "--ssh other: /nowhere: no such file or directory"),
        ("--tag UPPER", "must be lowercase"),
        ("--target bsae", 'target stage "bsae" could not be found (did you mean base?)'),
        ("--timestamp then", "invalid --timestamp then"),
        ("--ulimit nofiles=1", "invalid ulimit type: nofiles"),
        ("--file none", "failed to read dockerfile: open none: no such file or directory"),
    ],
)
def test_option_that_cannot_be_is_refused_even_where_all_is_cached(
    cli: Cli, tmp_path: Path, words: str, message: str
) -> None:
    context = _dockerfile(tmp_path, "FROM busybox AS base\nRUN true\n")
    cli("build", "-q", context)
    done = cli("build", *words.split(), context, code=None)
    # What the flag's own type refuses is a usage error, as Docker's.
    assert done.returncode == (125 if done.stderr.startswith("invalid argument") else 1)
    assert message in done.stderr
    assert "RUN true" not in done.stderr


def test_near_words_are_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    for text, message in (
        ("FROM busybox\nCPOY a b\n", "Dockerfile:2:1: unknown instruction: CPOY (did you mean COPY?)"),
        ("FROM busybox\nCOPY --chwon=1 a b\n", "Dockerfile:2:6: unknown flag: --chwon (did you mean chown?)"),
        ("FROM busybox\nCOPY requirement.txt /\n", "requirements.txt"),
        ("FROM busybox AS x\nCOPY --from=x /a /b\n", "circular dependency detected on stage: x"),
    ):
        said = cli("build", _dockerfile(tmp_path, text), code=1).stderr
        assert message in said
        assert said.count(">>>") == 1
    said = cli("build", str(tmp_path / "nowhere"), code=1).stderr
    assert said == f'pyctr: unable to prepare context: path "{tmp_path}/nowhere" not found\n'


# -- options that a command of RUN can see ---------------------------------------------------------------------------


def test_limits_hosts_and_arguments_reach_run(cli: Cli, tmp_path: Path) -> None:
    context = _dockerfile(
        tmp_path,
        "FROM busybox\nARG A\nRUN echo $A; grep ten /etc/hosts; ulimit -n; df -k /dev/shm | tail -n 1; cat /proc/self/cgroup; ls /sys/class/net\n",
    )
    out = cli(
        "build", "--add-host", "ten:10.0.0.10", "--ulimit", "nofile=77:88", "--shm-size", "3m", "--build-arg", "A=given",
        "--network", "none", "--cgroup-parent", "/pyctr-build-test", "--progress", "plain", context,
    ).stderr  # fmt: skip
    for group in ("pyctr-build-test", "*/pyctr-build-test"):
        for path in Path("/sys/fs/cgroup").glob(group):
            path.rmdir()  # a parent that was asked for is the user's, and empty once RUN has ended
    said = [line.split(" ", 2)[2] for line in out.splitlines() if re.match(r"#3 \d+\.\d+ ", line)]
    assert said[:3] == ["given", "10.0.0.10\tten", "77"]
    assert said[3].split()[1] == "3072"
    assert any("/pyctr-build-test/" in line for line in said)
    assert said[-1] == "lo"


def test_memory_limit_kills_a_command_and_it_is_said(cli: Cli, tmp_path: Path) -> None:
    context = _dockerfile(tmp_path, "FROM busybox\nRUN x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}\n")
    said = cli("build", "--memory", "16m", "--memory-swap", "16m", context, code=1).stderr
    assert "exit code: 137" in said


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["int", "term", "hup"]
)
def test_signal_ends_the_command_and_keeps_what_was_done(cli: Cli, tmp_path: Path, number: int, code: int) -> None:
    context = _dockerfile(tmp_path, "FROM busybox\nRUN echo kept > /kept\nRUN echo begun; sleep 500\n")
    command = cli.command("build", "--progress", "plain", context)
    said = ""
    with subprocess.Popen(command, env=cli.env, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if line.endswith(" begun\n"):
                os.killpg(process.pid, number)  # as a terminal does
    assert process.returncode == code
    assert "Traceback" not in said
    assert said.splitlines()[-1].endswith("CANCELED")
    wait_until(lambda: not list((cli.root / "build/run").iterdir()), "nothing is left of the step")
    again = cli("build", "--target", "kept", _dockerfile(tmp_path, "FROM busybox AS kept\nRUN echo kept > /kept\n"))
    assert "RUN echo kept > /kept\n#3 CACHED" in again.stderr


# -- the same input, the same digest ---------------------------------------------------------------------------------


def test_another_day_directory_umask_and_time_zone_give_the_same_manifest(cli: Cli, tmp_path: Path) -> None:
    faketime = need_tool("faketime")
    first = tmp_path / "first"
    (first / "d").mkdir(parents=True)
    (first / "d/f").write_text("f")
    (first / "t.tgz").write_bytes(gzip.compress(_archive(inside="t"), mtime=0))
    _dockerfile(
        first,
        "FROM busybox AS made\nWORKDIR /work/deep\nCOPY . .\nRUN mkdir new && echo x > new/x && ln -s x new/l && touch -d @9 new/old\n"
        "FROM busybox\nCOPY --from=made /work /work\nADD t.tgz /t/\nRUN --mount=type=cache,target=/c touch /c/x /y\nLABEL a=1\n",
    )
    second = tmp_path / "elsewhere"
    shutil.copytree(first, second, copy_function=shutil.copy)  # modes, but not times
    other = Cli(tmp_path / "other")
    cli("build", "-q", "--metadata-file", str(tmp_path / "m1"), str(first))
    for words in (
        ["image", "bootstrap", "busybox"],
        ["build", "-q", "--metadata-file", str(tmp_path / "m2"), str(second)],
    ):
        subprocess.run(
            [faketime, "2031-05-06 07:08:09", *other.command(*words)],
            env={**other.env, "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}, umask=0o077, capture_output=True, check=True,
        )  # fmt: skip
    assert (tmp_path / "m1").read_bytes() == (tmp_path / "m2").read_bytes()
