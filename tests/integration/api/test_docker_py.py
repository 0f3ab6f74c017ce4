"""docker-py against `pyctr serve`, and the raw protocol where no client shows it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

from tests.waiting import PATIENCE_S, wait_equal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.api.conftest import Api

#: docker-py leaves the sockets of its streams to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def client(api: Api) -> Iterator[Any]:
    client = docker.DockerClient(base_url=api.url)
    yield client
    client.close()


def test_run_and_its_failure(client: Any) -> None:
    assert client.ping()
    assert client.containers.run("busybox", ["echo", "hi"], remove=True, network_mode="none") == b"hi\n"
    with pytest.raises(ContainerError):
        client.containers.run("busybox", ["sh", "-c", "exit 3"], remove=True, network_mode="none")
    with pytest.raises(ImageNotFound):
        client.images.get("nothing:here")
    with pytest.raises(NotFound):
        client.containers.get("nothing")


def test_options_arrive(client: Any) -> None:
    box = client.containers.create(
        "busybox",
        ["sleep", "1000"],
        environment={"A": "b"},
        mem_limit="64m",
        nano_cpus=500_000_000,
        cap_add=["NET_ADMIN"],
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        tmpfs={"/scratch": "size=1m"},
        ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=200)],
        healthcheck={"test": ["CMD", "true"], "interval": 10**9},
        mounts=[docker.types.Mount("/m", "apivolume", labels={"of": "mount"})],
        entrypoint=["sh", "-c"],
        network_mode="none",
    )
    host, config = box.attrs["HostConfig"], box.attrs["Config"]
    assert (host["Memory"], host["NanoCpus"]) == (64 << 20, 500_000_000)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert config["Entrypoint"] == ["sh", "-c"]
    assert config["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 10**9}
    assert client.volumes.get("apivolume").attrs["Labels"] == {"of": "mount"}
    box.remove()
    client.volumes.get("apivolume").remove()


def test_exec_demux_stream_and_archives(client: Any) -> None:
    box = client.containers.run("busybox", ["sleep", "1000"], detach=True, network_mode="none")
    assert box.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output == (b"out\n", b"err\n")
    assert b"".join(box.exec_run("echo streamed", stream=True).output) == b"streamed\n"
    chunks, status = box.get_archive("/etc/hostname")
    assert status["name"] == "hostname"
    assert b"hostname" in b"".join(chunks)
    # What an exec ran is counted until it is reaped, which may be after its output has ended.
    wait_equal(lambda: box.stats(stream=False)["pids_stats"]["current"], 1, "one process")
    box.stop(timeout=0)
    assert box.wait()["StatusCode"] == 137
    box.remove()


def raw(api: Api, request: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a request as it is written."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(api.path)
        connection.sendall(request.replace("\n", "\r\n").encode())
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("GET /v1.99/version", 400, "client version 1.99 is too new. Maximum supported API version is 1.47"),
        ("GET /v1.10/version", 400, "client version 1.10 is too old. Minimum supported API version is 1.24"),
        ("GET /nowhere", 404, "page not found"),
        ("DELETE /version", 405, "not allowed"),
        ("GET /swarm", 501, "not supported"),
        ("GET /containers/json?filters=nonsense", 400, "invalid filters"),
        ("GET /containers/json?limit=many", 400, "limit"),
        ("GET /containers/no-such/json", 404, "No such container: no-such"),
        ("GET /containers/..%2f..%2fetc/json", 404, "No such container"),
        ("POST /containers/no-such/wait?condition=never", 404, "No such container"),
        ("GET /exec/none/json", 404, "No such exec instance"),
    ],
)
def test_refusals(api: Api, line: str, status: int, words: str) -> None:
    found, headers, body = raw(api, f"{line} HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert (found, headers["content-type"]) == (status, "application/json")
    assert words in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "invalid JSON"),
        ("[]", "an object is expected"),
        ("{}", "no image specified"),
        ('{"Image": "busybox", "HostConfig": {"Memory": 1}}', "Minimum memory limit"),
        ('{"Image": "busybox", "HostConfig": {"Warp": 9}}', "HostConfig.Warp is not supported"),
        ('{"Image": "busybox", "HostConfig": {"PortBindings": 5}}', "invalid create request"),
    ],
)
def test_create_refuses_and_leaves_nothing(api: Api, body: str, words: str) -> None:
    request = (
        f"POST /v1.47/containers/create HTTP/1.1\nHost: x\nConnection: close\nContent-Length: {len(body)}\n\n{body}"
    )
    status, _, answer = raw(api, request)
    assert status == 400
    assert words in json.loads(answer)["message"]
    assert api.cli("ps", "-aq").stdout == ""


def test_body_without_end_is_refused(api: Api) -> None:
    body = '{"Image": "' + "x" * (17 << 20) + '"}'
    request = f"POST /containers/create HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n{body}"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(api.path)
        try:
            connection.sendall(request.replace("\n", "\r\n").encode())
            answer = connection.recv(200)
        except ConnectionError:  # it has said so and closed before all was sent
            answer = connection.recv(200)
    assert b"413" in answer


def test_many_followers_keep_nobody_from_starting(api: Api, client: Any) -> None:
    box = client.containers.run("busybox", ["sleep", "1000"], detach=True, network_mode="none")
    followers = []
    try:
        for _ in range(150):  # more than there are threads for calls
            follower = socket.socket(socket.AF_UNIX)
            follower.connect(api.path)
            follower.sendall(f"GET /containers/{box.id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            followers.append(follower)
        assert client.containers.run("busybox", ["echo", "hi"], remove=True, network_mode="none") == b"hi\n"
    finally:
        for follower in followers:
            follower.close()
        box.remove(force=True)


def test_garbage_does_not_hurt_others(api: Api) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(api.path)
        connection.sendall(b"\x16\x03\x01 this is no request\r\n\r\n")
        connection.settimeout(PATIENCE_S)
        assert connection.recv(100) == b""
    assert raw(api, "GET /_ping HTTP/1.1\nHost: x\nConnection: close\n\n")[2] == b"OK"


def test_refused_requests_keep_their_type(client: Any) -> None:
    with pytest.raises(APIError) as caught:
        client.containers.create("busybox", mem_limit="1m")
    assert caught.value.status_code == 400
