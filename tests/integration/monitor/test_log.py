"""Log drivers: every byte is there, in Docker's own form, in as many files as were asked for."""

import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from tests.integration.monitor.harness import CGROUP_PARENT
from tests.peers import running_dockerd
from tests.waiting import PATIENCE_S, wait_until

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")


def finish(container, script, **log):
    """Run a script to its end under a log driver; its exit code."""
    container.request["log"] |= log
    container.run(script).spawn(lambda client: client.send(op="wait"))
    container.client.expect("started")
    code = container.client.expect("exited")["code"]
    container.wait_monitor()
    return code


def local_entries(data):
    """Docker's local format, decoded: (stream, time in ns, line, partial message)."""
    entries = []
    while data:
        (size,) = struct.unpack(">I", data[:4])
        message, (again,), data = data[4 : 4 + size], struct.unpack(">I", data[4 + size : 8 + size]), data[8 + size :]
        assert size == again
        fields = {}
        while message:
            key, message = message[0], message[1:]
            value, message = varint(message)
            if key & 7 == 2:
                value, message = message[:value], message[value:]
            fields[key >> 3] = value
        entries.append((fields[1].decode(), fields[2], fields.get(3, b""), fields.get(5)))
    return entries


def varint(data):
    value = shift = 0
    for index, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[index + 1 :]
    raise AssertionError("unfinished number")


def test_json_file_lines_have_dockers_form(container):
    script = r"""printf 'a<b>&"\\\t\r\033\n'; printf 'caf\303\251 \377 \342\200\250\n' >&2; printf last"""
    assert finish(container, script) == 0
    lines = container.log_path.read_bytes().splitlines()
    by_stream = sorted(re.sub(rb'"time":"[^"]*"', b"T", line) for line in lines)
    assert by_stream == sorted(
        [
            rb'{"log":"a\u003cb\u003e\u0026\"\\\u0009\r\u001b\n","stream":"stdout",T}',
            b'{"log":"caf\xc3\xa9 \\ufffd \\u2028\\n","stream":"stderr",T}',
            b'{"log":"last","stream":"stdout",T}',
        ]
    )
    assert all(TIME.fullmatch(json.loads(line)["time"]) for line in lines)
    assert container.log_path.stat().st_mode & 0o777 == 0o640


def test_json_file_hundred_megabytes_same_digest(container):
    script = "yes 'The quick brown fox jumps over the lazy dog' | head -c 100000000"
    assert finish(container, script) == 0
    digest, size = hashlib.sha256(), 0
    with open(container.log_path, "rb") as file:
        for line in file:
            text = json.loads(line)["log"].encode()
            digest.update(text)
            size += len(text)
    line = b"The quick brown fox jumps over the lazy dog\n"
    expected = (line * (100_000_000 // len(line) + 1))[:100_000_000]
    assert (size, digest.hexdigest()) == (100_000_000, hashlib.sha256(expected).hexdigest())


def test_json_file_silent_container_has_none(container):
    finish(container, "true")
    assert not container.log_path.exists()


def test_json_file_next_life_appends(container):
    finish(container, "echo one")
    finish(container, "echo two")
    assert [entry["log"] for entry in container.log()] == ["one\n", "two\n"]


def rotated(container):
    return sorted(path.name.removeprefix(container.log_path.name) for path in container.dir.glob("*-json.log*"))


def test_json_file_rotation_keeps_exactly_the_last_files(container):
    finish(container, "seq 1 5000", options={"max-size": "10k", "max-file": "3"})
    assert rotated(container) == ["", ".1", ".2"]
    paths = [container.log_path.with_name(container.log_path.name + end) for end in (".2", ".1", "")]
    numbers = [int(entry["log"]) for entry in container.log(*paths)]
    assert numbers == list(range(numbers[0], 5001))
    for path in paths[:2]:
        lines = path.read_bytes().splitlines(keepends=True)
        size = path.stat().st_size
        # As Docker does: the entry that reaches the limit is the file's last.
        assert size >= 10240 > size - len(lines[-1])


def test_json_file_compressed_rotation_reads_back(container):
    finish(container, "seq 1 5000", options={"max-size": "10k", "max-file": "3", "compress": "true"})
    assert rotated(container) == ["", ".1.gz", ".2.gz"]
    numbers = []
    for end in (".2.gz", ".1.gz"):
        text = gzip.decompress(container.log_path.with_name(container.log_path.name + end).read_bytes())
        numbers += [int(json.loads(line)["log"]) for line in text.splitlines()]
    numbers += [int(entry["log"]) for entry in container.log()]
    assert numbers == list(range(numbers[0], 5001))


def test_json_file_compression_does_not_stop_the_monitor(container):
    """Large files: while one is compressed, clients are heard."""
    container.request["log"]["options"] = {"max-size": "20m", "max-file": "2", "compress": "true"}
    container.run("while :; do seq 1 100000000; done").spawn()
    container.client.expect("started")
    wait_until(lambda: container.log_path.with_name(container.log_path.name + ".1").exists(), "a rotation")
    for _ in range(20):
        assert container.kill(0) == {"event": "ok"}
    container.kill(9)
    container.wait_monitor()


def test_json_file_full_disk_loses_log_not_the_container(container, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
    try:
        log = small / "log"
        container.request["log"]["path"] = str(log)
        out, _ = container.run("seq 1 10; until [ -e /go ]; do sleep 0.05; done; seq 11 20000; exit 3").start()
        wait_until(lambda: len(log.read_bytes().splitlines()) == 10, "the first lines, for which there is room")
        Path(f"/proc/{container.state()['pid']}/root/go").touch()
        assert container.client.expect("exited")["code"] == 3
        assert out.result().splitlines()[-1] == b"20000"
        container.wait_monitor()
        numbers = [int(json.loads(line)["log"]) for line in log.read_bytes().splitlines()]
        assert numbers, "what there was room for"
        assert numbers == sorted(set(numbers)), "whole entries only"
        assert container.state()["log_lost"] > 0
    finally:
        subprocess.run(["umount", small], check=True)


def test_none_writes_nothing(container):
    assert finish(container, "echo one", driver="none") == 0
    assert not container.log_path.exists()


def test_local_format_is_dockers(container):
    path = container.dir / "local-logs-container.log"
    finish(
        container, "echo one; head -c 20000 /dev/zero | tr '\\0' x; echo; echo two >&2", driver="local", path=str(path)
    )
    entries = sorted(local_entries(path.read_bytes()), key=lambda entry: (entry[0], entry[1]))
    assert [(stream, len(line), bool(partial)) for stream, _, line, partial in entries] == [
        ("stderr", 3, False),
        ("stdout", 3, False),
        ("stdout", 16384, True),
        ("stdout", 3616, True),
    ]
    assert entries[2][1] == entries[3][1], "pieces have the time of the first"


def test_local_rotates_and_compresses_by_itself(container):
    path = container.dir / "container.log"
    finish(container, "seq 1 3000", driver="local", path=str(path), options={"max-size": "20k"})
    names = sorted(entry.name for entry in container.dir.glob("container.log*"))
    assert names[0] == "container.log"
    assert all(name.endswith(".gz") for name in names[1:])
    assert 1 < len(names) <= 5
    data = [gzip.decompress((container.dir / name).read_bytes()) for name in reversed(names[1:])]
    lines = [int(line) for part in [*data, path.read_bytes()] for _, _, line, _ in local_entries(part)]
    assert lines == list(range(lines[0], 3001))


@pytest.mark.parametrize("transport", ["udp", "tcp", "unixgram", "unix"])
def test_syslog_lines_arrive(container, transport):
    path = f"/tmp/{container.id[:16]}.sock"  # an address is short, a test's own directory may not be
    is_unix, is_stream = transport.startswith("unix"), transport in ("tcp", "unix")
    family = socket.AF_UNIX if is_unix else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(PATIENCE_S)
        daemon.bind(path if is_unix else ("127.0.0.1", 0))
        if is_stream:
            daemon.listen()
        target = path if is_unix else f"127.0.0.1:{daemon.getsockname()[1]}"
        options = {"syslog-address": f"{transport}://{target}", "syslog-format": "rfc5424", "tag": "{{.Name}}"}
        try:
            finish(container, "echo one; echo two >&2; printf three", driver="syslog", options=options)
        finally:
            if is_unix:
                os.unlink(path)
        if is_stream:
            connection, _ = daemon.accept()
            with connection:
                received = b"".join(iter(lambda: connection.recv(65536), b"")).splitlines()
        else:
            received = [daemon.recv(65536).rstrip(b"\n") for _ in range(3)]
    texts = sorted(re.sub(rb"^<(\d+)>1 \S+Z \S+ test \d+ test - ", rb"\1 ", line) for line in received)
    assert texts == [b"27 two", b"30 one", b"30 three"]


def test_syslog_nobody_listens_container_runs(container):
    assert finish(container, "echo one; exit 4", driver="syslog", options={"syslog-address": "tcp://127.0.0.1:1"}) == 4


@pytest.mark.skipif(not (shutil.which("dockerd") and shutil.which("docker")), reason="needs docker and dockerd")
def test_json_file_is_what_docker_writes(container):
    """The same bytes through Docker's own driver: equal but for the times."""
    script = r"""printf 'a<b>&"\\\t\r\033\177\n\000x\n'
        printf 'caf\303\251 \377\376 \342\200\250 \342\200 \355\240\200 \360\237\230\200\n\n'
        head -c 40000 /dev/zero | tr '\0' y; echo; printf end"""
    theirs = docker_log(container.request["overlay"]["lower"][0], script)
    finish(container, script)
    strip = re.compile(rb'"time":"[^"]*"')
    assert strip.sub(b"", container.log_path.read_bytes()) == strip.sub(b"", theirs)


def docker_log(layer, script):
    """What dockerd's json-file driver makes of a script's output."""
    with running_dockerd("--storage-driver", "vfs") as docker:
        layer = subprocess.run(["tar", "-C", layer, "-c", "."], capture_output=True, check=True).stdout
        docker("import", "-", "box", input=layer)
        how = ["-d", "--network", "none", "--cgroup-parent", CGROUP_PARENT, "-e", "PATH=/bin"]
        made = docker.run("run", *how, "box", "/bin/sh", "-c", script)
        if made.returncode:
            pytest.skip("docker runs no container here: " + made.stderr.decode())
        container_id = made.stdout.decode().strip()
        docker("wait", container_id)
        return Path(docker.directory, f"data/containers/{container_id}/{container_id}-json.log").read_bytes()
