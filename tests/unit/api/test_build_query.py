"""The query of `POST /build` as the options of a build."""

from __future__ import annotations

import pytest

from pyctr.api.http import Request
from pyctr.api.routes.build import build, build_options
from pyctr.api.starts import Starts
from pyctr.engine import Engine
from pyctr.errors import InvalidArgument


def request(query: str) -> Request:
    return Request("POST", f"/build?{query}", {}, Engine("/nonexistent", "/nonexistent"), Starts())


def test_what_the_client_sends_for_nothing_asked_asks_nothing() -> None:
    query = (
        "buildargs=%7B%7D&cachefrom=%5B%5D&cgroupparent=&cpuperiod=0&cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0&dockerfile="
        "Dockerfile&labels=%7B%7D&memory=0&memswap=0&networkmode=default&rm=1&shmsize=0&target=&ulimits=%5B%5D&version=1"
    )
    assert build_options(request(query)) == {"file": "Dockerfile", "network": "default"}


def test_options_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "secret")
    query = (
        't=a:1&t=b&buildargs={"A":"1","OURS":null}&labels={"l":"m"}&nocache=1&pull=1&target=last&platform=linux/amd64'
        '&ulimits=[{"Name":"nofile","Soft":1,"Hard":2}]'
    )
    assert build_options(request(query)) == {
        "tag": ["a:1", "b"], "build_arg": ["A=1"], "label": ["l=m"], "no_cache": True, "pull": True, "target": "last",
        "platform": ["linux/amd64"], "ulimit": ["nofile=1:2"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "message"),
    [("buildargs=[1]", "buildargs: an object"), ("labels={", "invalid labels"), ("ulimits={}x", "invalid ulimits"),
     ("remote=/etc", "invalid remote /etc"), ("version=2", "BuildKit's protocol")],
)  # fmt: skip
def test_refusals(query: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        build(request(query))
