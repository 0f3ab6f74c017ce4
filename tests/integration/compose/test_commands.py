"""The other commands, on one small project."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.conftest import Cli, needs_root, sockets_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.integration.compose.conftest import Compose

pytestmark = needs_root


TEXT = """
services:
  web:
    image: busybox
    SLEEP
    ports: ["127.0.0.1::80"]
    depends_on: [db]
    volumes: ["data:/data"]
  db: {image: busybox, command: ["sh", "-c", "trap exit TERM; echo ready; while :; do sleep 0.1; done"]}
volumes: {data: }
"""


def test_commands_about_what_runs(cli: Cli, compose: Callable[[str], Compose]) -> None:
    project = compose(TEXT)
    project("up", "-d")
    header = project("ps").stdout.splitlines()[0].split()
    assert header == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    wait_until(lambda: project("logs", "db").stdout == "db-1  | ready\n", "what it says")
    assert project("logs", "--no-log-prefix", "-n", "1", "db").stdout == "ready\n"
    assert project("port", "web", "80").stdout.startswith("127.0.0.1:")
    assert "no port 81/tcp for container" in project("port", "web", "81", code=1).stderr
    assert project("images").stdout.splitlines()[1].split()[:3] == [
        project.container(service="db"),
        "busybox",
        "latest",
    ]
    listed = json.loads(project("ls", "--format", "json").stdout)
    assert {
        "Name": project.name,
        "Status": "running(2)",
        "ConfigFiles": str(project.directory / "compose.yaml"),
    } in listed
    assert f"local     {project.name}_data" in project("volumes").stdout
    assert project("top", "db").stdout.splitlines()[0].split()[:3] == ["SERVICE", "#", "UID"]
    assert len(project("stats", "--no-stream").stdout.splitlines()) == 3
    assert project("exec", "-T", "-e", "A=b", "-w", "/data", "web", "sh", "-c", "echo $A $PWD").stdout == "b /data\n"
    assert project("exec", "gone", "true", code=1).stderr == 'pyctr: service "gone" is not running\n'
    (project.directory / "file").write_text("content")
    project("cp", "file", "web:/data/file")
    assert project.inside("web", "cat /data/file") == "content"
    project("cp", "web:/data/file", "back")
    assert (project.directory / "back").read_text() == "content"
    project("commit", "web", f"{project.name}-made")
    project("export", "-o", "tree.tar", "web")
    assert (project.directory / "tree.tar").stat().st_size > 1_000_000
    said = [
        json.loads(line)["action"]
        for line in project("events", "--json", "--since", "1h", "--until", "0s").stdout.splitlines()
    ]
    assert said[:1] == ["create"]
    assert "start" in said
    cli("rmi", f"{project.name}-made")
    project("down", "-v")
    assert f"{project.name}_data" not in cli("volume", "ls").stdout


def test_commands_that_change_what_runs(compose: Callable[[str], Compose]) -> None:
    project = compose(TEXT)
    project("create")
    assert project("ps", "--status", "created", "--services").stdout.split() == ["db", "web"]
    started = project.events("start", "web")
    assert started == [
        "Container db-1  Starting", "Container db-1  Started", "Container web-1  Starting", "Container web-1  Started",
    ]  # fmt: skip
    assert project.events("pause", "db") == ["Container db-1  Paused"]
    assert project("ps", "--status", "paused", "--services").stdout == "db\n"
    assert project.events("unpause", "db") == ["Container db-1  Unpaused"]
    assert project.events("restart", "db") == ["Container db-1  Restarting", "Container db-1  Started"]
    wait_until(lambda: project("logs", "db").stdout.count("ready") == 2, "its second life hears signals")
    before = sockets_of(project.cli, project.container(service="db"))
    waiting = project.start("wait", "db")
    wait_until(lambda: sockets_of(project.cli, project.container(service="db")) > before, "it is connected")
    assert project.events("kill", "-s", "TERM", "db") == ["Container db-1  Killing", "Container db-1  Killed"]
    code, out, _ = waiting.end()
    assert code in (0, 143)
    assert "exited with status code" in out
    assert "Going to remove" in project("rm", "-f", "db").stdout
    assert project("ps", "-a", "--services").stdout == "web\n"
    assert project("start", code=1).stderr == 'pyctr: service "db" has no container to start\n'
    project("down", "-t", "0")
    assert project("kill").stderr == "no container to kill\n"


def test_wrong_flags_are_refused_though_there_is_nothing_to_show(compose: Callable[[str], Compose]) -> None:
    project = compose(TEXT)
    assert project("ps", "--filter", "x=y", code=1).stderr == "pyctr: unknown filter x\n"
    assert "should be in form KEY=VAL" in project("ps", "--filter", "status", code=1).stderr
    assert 'invalid argument "x" for "--parallel" flag' in project("--parallel", "x", "ps", code=1).stderr
    assert "unknown flag: --bogus\nSee 'pyctr compose --help'." in project("--bogus", "ps", code=1).stderr


def test_run_is_a_container_of_its_own(compose: Callable[[str], Compose]) -> None:
    project = compose(TEXT)
    done = project("run", "--rm", "-T", "-e", "A=b", "web", "sh", "-c", "echo $A; exit 5", code=5)
    assert done.stdout == "b\n"
    assert project("ps", "--services").stdout == "db\n", "the dependency runs"
    assert project("ps", "-aq").stdout.count("\n") == 1, "the one-off is gone"
    identity = project("run", "-d", "web", "sleep", "1000").stdout.strip()
    assert f"{project.name}-web-run-" in project("ps", "-a").stdout
    assert project("ps", "-q").stdout.count(identity) == 0
    assert f"{project.name}-web-run-" in project("down", "--remove-orphans").stderr


def test_named_project_is_found_without_its_files(compose: Callable[[str], Compose], tmp_path_factory: Any) -> None:
    project = compose(TEXT)
    project("up", "-d")
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def there(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return project.cli("compose", "-p", project.name, *words, code=code, cwd=elsewhere)

    assert there("ps", "--services").stdout.split() == ["db", "web"]
    wait_until(lambda: there("logs", "db").stdout == "db-1  | ready\n", "what it says")
    said = there("stop").stderr
    assert said.index("web-1  Stopped") < said.index("db-1  Stopping"), "the order is in the labels"
    said = there("start", "web").stderr
    assert said.index("db-1  Started") < said.index("web-1  Starting")
    assert there("exec", "-T", "web", "echo", "hi").stdout == "hi\n"
    assert there("up", "-d", code=1).stderr == "pyctr: no configuration file provided: not found\n"
    said = there("down", "-v", "-t", "0").stderr
    assert f"Volume {project.name}_data  Removed" in said
    assert f"Network {project.name}_default  Removed" in said
    assert there("down").stderr == f'WARNING: No resource found to remove for project "{project.name}".\n'


def test_index_names_one_of_several_containers(compose: Callable[[str], Compose]) -> None:
    project = compose("services: {web: {image: busybox, SLEEP, scale: 2}}")
    project("up", "-d")
    one, two = (project.container(number) for number in (1, 2))
    (project.directory / "file").write_text("all")
    assert project("cp", "file", "web:/file").stderr.count("Copied") == 2
    (project.directory / "file").write_text("one")
    said = project("cp", "--index", "2", "file", "web:/file").stderr
    assert said == f" {two} copy file to {two}:/file Copying\n {two} copy file to {two}:/file Copied\n"
    for index, content in (("1", "all"), ("2", "one")):
        assert project("exec", "-T", "--index", index, "web", "cat", "/file").stdout == content
        project("cp", "--index", index, "web:/file", f"back{index}")
        assert (project.directory / f"back{index}").read_text() == content
    project("commit", "--index", "2", "web", f"{project.name}-made")
    project("export", "--index", "1", "-o", "tree.tar", "web")
    with tarfile.open(project.directory / "tree.tar") as tree:
        kept = tree.extractfile("file")
        assert kept is not None
        assert kept.read() == b"all"
    assert project.cli("run", "--rm", f"{project.name}-made", "cat", "/file").stdout == "one"
    project.cli("rmi", f"{project.name}-made")
    for words in (["cp", "web:/file", "x"], ["commit", "web"], ["export", "-o", "x", "web"], ["exec", "web", "true"]):
        command, *rest = words
        refused = 'pyctr: service "web" is not running container #3\n'
        assert project(command, "--index", "3", *rest, code=1).stderr == refused
    started = project("run", "-d", "web", "sleep", "1000").stdout.strip()
    assert project("cp", "--all", "file", "web:/file").stderr.count("Copied") == 3
    project.cli("rm", "-f", started)
    assert one in project("ps").stdout


def test_watch_brings_changed_files_in(compose: Callable[[str], Compose]) -> None:
    project = compose("""
services:
  web:
    image: busybox
    SLEEP
    develop: {watch: [{path: ./src, action: sync, target: /app, ignore: ["*.tmp"]}]}
""")
    source = project.directory / "src"
    source.mkdir()
    (source / "old").write_text("old")
    project("up", "-d")
    process = project.start("watch", "--no-up")
    process.until("Watch enabled\n")
    (source / "a").write_text("one")
    (source / "b.tmp").write_text("never")
    process.until("Syncing")
    wait_until(
        lambda: project("exec", "-T", "web", "ls", "/app", code=None).stdout == "a\n", "the file is there, and it alone"
    )
    (source / "a").unlink()
    wait_until(lambda: project.inside("web", "ls /app") == "", "the file is gone")
    process.signal()
    assert process.end()[0] == 0
    assert project.inside("web", "ls /app") == ""
