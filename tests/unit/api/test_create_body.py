"""The body of a create request becomes the record that was asked for."""

from __future__ import annotations

import pytest

from pyctr.api.create_body import mount_text, parse_create
from pyctr.api.hijack import frame
from pyctr.api.http import Request
from pyctr.api.listen import parse_address
from pyctr.api.router import find, routes, version_of
from pyctr.api.starts import Starts
from pyctr.engine import Engine
from pyctr.engine.options import parse_request
from pyctr.errors import InvalidArgument


def parsed(body: dict[str, object]) -> object:
    asked = parse_create({"Image": "busybox", **body}, name="n", platform="")
    return parse_request(asked.image, asked.command, asked.options)


def test_what_a_client_sends_for_nothing_asked_is_the_default() -> None:
    from pyctr.engine.options.record import new_host_config

    host = new_host_config() | {"NetworkMode": "default", "ConsoleSize": [0, 0], "Runtime": "", "MemorySwappiness": -1}
    request = parsed(
        {"HostConfig": host, "AttachStdout": True, "AttachStderr": True, "NetworkingConfig": {"EndpointsConfig": {}}}
    )
    expected = parse_request("busybox", [], {"name": "n"})
    assert request.host_config == expected.host_config  # type: ignore[attr-defined]
    assert request.config == expected.config  # type: ignore[attr-defined]


def test_networks_in_order_and_the_default_is_the_bridge() -> None:
    endpoints = {"b": {"Aliases": ["x"]}, "a": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}}}
    request = parsed({"HostConfig": {"NetworkMode": "a"}, "NetworkingConfig": {"EndpointsConfig": endpoints}})
    assert list(request.networks) == ["a", "b"]  # type: ignore[attr-defined]
    assert request.networks["a"]["ipv4"] == "10.0.0.2"  # type: ignore[attr-defined]
    plain = parsed({"HostConfig": {"NetworkMode": "default"}})
    assert plain.host_config["NetworkMode"] == "bridge"  # type: ignore[attr-defined]


def test_variables_without_a_value_never_take_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the server")
    assert parsed({"Env": ["SECRET", "A=1"]}).config["Env"] == ["A=1"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}, "type=bind,source=/a,target=/b,readonly"),
        ({"Target": "/b", "VolumeOptions": {"NoCopy": True}}, "type=volume,target=/b,volume-nocopy"),
        ({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o700}}, "type=tmpfs,target=/t,tmpfs-size=4096,tmpfs-mode=700"),
        ({"Type": "bind", "Source": "/a,b", "Target": "/c"}, 'type=bind,"source=/a,b",target=/c'),
    ],
)  # fmt: skip
def test_mounts_as_the_flag_takes_them(mount: dict[str, object], text: str) -> None:
    assert mount_text(mount) == text


def test_ports_and_devices() -> None:
    request = parsed(
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}], "90/tcp": [{"HostIp": "", "HostPort": ""}]},
                        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]}}
    )  # fmt: skip
    assert request.host_config["PortBindings"]["80/tcp"] == [{"HostIp": "::1", "HostPort": "8080"}]  # type: ignore[attr-defined]
    assert request.host_config["PortBindings"]["90/tcp"] == [{"HostIp": "", "HostPort": ""}]  # type: ignore[attr-defined]
    assert request.host_config["Devices"][0]["CgroupPermissions"] == "r"  # type: ignore[attr-defined]


def test_what_has_no_word_is_refused() -> None:
    for body, words in (({"HostConfig": {"Warp": 1}}, "HostConfig.Warp"), ({"Colour": "red"}, "Colour")):
        with pytest.raises(InvalidArgument, match=f"{words} is not supported"):
            parsed(body)


def request(method: str, target: str) -> Request:
    return Request(method, target, {}, Engine("/nonexistent", "/nonexistent"), Starts())


@pytest.mark.parametrize(
    ("method", "path", "handler", "names"),
    [
        (
            "GET",
            "/v1.41/images/registry.example.com:5000/a/b:1/json",
            "inspect",
            {"image": "registry.example.com:5000/a/b:1"},
        ),
        ("GET", "/images/json", "list_images", {}),
        ("DELETE", "/v1.30/images/a%2Fb", "remove", {"image": "a/b"}),
        ("HEAD", "/_ping", "ping", {}),
        ("POST", "/containers/create?name=x", "create", {}),
        ("GET", "/containers/web/json", "inspect", {"id": "web"}),
    ],
)
def test_routes(method: str, path: str, handler: str, names: dict[str, str]) -> None:
    route, found, refused = find(routes(), request(method, path))
    assert refused is None
    assert route is not None
    assert (route.handler.__name__, found) == (handler, names)


def test_versions_and_frames() -> None:
    assert version_of("/v1.24/info") == ((1, 24), "/info")
    assert version_of("/volumes") == (None, "/volumes")
    assert frame(2, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


def test_filters_in_both_of_dockers_forms() -> None:
    assert request("GET", '/x?filters={"label":["a=b"]}').filters() == {"label": ["a=b"]}
    assert request("GET", '/x?filters={"label":{"a=b":true}}').filters() == {"label": ["a=b"]}
    with pytest.raises(InvalidArgument):
        request("GET", "/x?filters=[1").filters()


@pytest.mark.parametrize(
    ("text", "message"),
    [("tcp://127.0.0.1:2375", "TCP is not supported"), ("unix://relative", "invalid address"), ("/run/x", "invalid address"),
     ("unix:///" + "x" * 120, "longer than")],
)  # fmt: skip
def test_addresses_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_address(text, "/run/pyctr")
