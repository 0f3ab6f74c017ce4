"""The configuration file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.engine.config import Config, load_config, with_defaults
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, value: Any) -> Config:
    path = tmp_path / "daemon.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return load_config(str(path))


def test_load_config_missing_default_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYCTR_CONFIG", raising=False)
    monkeypatch.setattr("pyctr.engine.config.DEFAULT_PATH", str(tmp_path / "none"))
    assert load_config().registry_mirrors == []


def test_load_config_missing_file_that_was_named_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYCTR_CONFIG", str(tmp_path / "none"))
    with pytest.raises(InvalidArgument, match="none: no such file or directory"):
        load_config()


def test_load_config_every_key_is_typed(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "registry-mirrors": ["https://m"], "insecure-registries": ["r:5000", "10.0.0.0/8"], "dns": ["1.1.1.1"],
            "dns-search": ["a"], "dns-opts": ["ndots:1"], "log-driver": "local", "log-opts": {"max-size": "1m"},
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}}, "bip": "10.9.0.1/24", "mtu": 1400,
            "default-shm-size": "1g", "default-address-pools": [{"base": "10.8.0.0/16", "size": 24}], "init": True,
            "max-concurrent-downloads": 1, "default-runtime": "runc", "debug": False, "ip": "127.0.0.1",
        },
    )  # fmt: skip
    assert config.insecure_registries == ["r:5000", "10.0.0.0/8"]
    assert config.ulimits == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert (config.mtu, config.bip, config.shm_size_bytes) == (1400, "10.9.0.1/24", 1 << 30)
    assert config.address_pools == [("10.8.0.0/16", 24)]
    assert config.max_concurrent_downloads == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", "not a JSON object"),
        ("{", "line 1"),
        ({"no-such-key": 1}, "no-such-key: unknown key"),
        ({"hosts": ["tcp://"]}, "hosts: there is no daemon"),
        ({"data-root": "/x"}, "data-root: use --root"),
        ({"default-runtime": "kata"}, "runtime kata is not supported"),
        ({"mtu": "1500"}, "mtu: must be a number"),
        ({"mtu": True}, "mtu: must be a number"),
        ({"mtu": -1}, "out of range"),
        ({"max-concurrent-downloads": 0}, "out of range"),
        ({"dns": "1.1.1.1"}, "dns: must be a list of strings"),
        ({"registry-mirrors": ["m.example"]}, "not a URL"),
        ({"registry-mirrors": ["https://u:secret@m"]}, "more than a host"),
        ({"insecure-registries": ["http://r"]}, "insecure registry http://r is not valid"),
        ({"default-shm-size": "x"}, "invalid size"),
        ({"default-ulimits": {"nofile": {"Soft": 3, "Hard": 2}}}, "soft limit must be less"),
        ({"default-ulimits": {"nope": {"Soft": 3, "Hard": 4}}}, "invalid ulimit type"),
        ({"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}, "no subnets of size 8"),
        ({"exec-opts": ["native.cgroupdriver=x"]}, "neither systemd nor cgroupfs"),
        ({"exec-opts": ["isolation=x"]}, "exec-opts: unknown option isolation"),
        ({"log-opts": {"max-size": 1}}, "must be an object of strings"),
    ],
)
def test_load_config_what_is_wrong_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        load(tmp_path, value)
    assert "daemon.json" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_with_defaults_fills_what_was_not_said(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "log-driver": "local", "log-opts": {"max-size": "1m"}, "default-shm-size": "2m", "init": True,
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}},
        },
    )  # fmt: skip
    assert with_defaults(config, {"tty": True}) == {
        "tty": True, "log_driver": "local", "log_opt": ["max-size=1m"], "shm_size": "2097152b", "init": True,
        "ulimit": ["nofile=10:20"],
    }  # fmt: skip
    said = {
        "log_driver": "json-file",
        "log_opt": ["max-size=2m"],
        "shm_size": "1m",
        "init": False,
        "ulimit": ["nofile=1"],
    }
    merged = with_defaults(config, said)
    assert (merged["log_driver"], merged["log_opt"]) == ("json-file", ["max-size=2m"])
    assert (merged["shm_size"], merged["init"], merged["ulimit"]) == ("1m", False, ["nofile=10:20", "nofile=1"])


def test_with_defaults_without_a_file_changes_nothing() -> None:
    options = {"tty": True}
    assert with_defaults(Config("x"), options) is options
