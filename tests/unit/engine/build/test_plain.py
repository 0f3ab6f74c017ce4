"""Parts of the build executor that neither root nor images are needed for."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.build.ignore import Matcher
from pyctr.build.plan.git import parse_git
from pyctr.build.request import Request
from pyctr.engine.build.cache import Record, parse_record
from pyctr.engine.build.command import check_consent, container_options
from pyctr.engine.build.contexts import excluded_of, ignored
from pyctr.engine.build.epoch import MINIMUM_S, created_epoch, iso_time, request_epoch
from pyctr.engine.build.git import check_reference, metadata_of
from pyctr.engine.build.keys import key_of
from pyctr.engine.build.layers import Layer, Snapshot
from pyctr.engine.build.schedule import Flag, run_steps
from pyctr.errors import BuildError, InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = "sha256:" + "a" * 64


def _layer(letter: str) -> Layer:
    return Layer("sha256:" + letter * 64, _DIGEST, "type", blob_size=1)


def test_epoch_is_asked_for_or_the_base_images() -> None:
    assert request_epoch(Request()) == (None, False)
    assert request_epoch(Request(source_date_epoch=5)) == (5, False)
    assert request_epoch(Request(source_date_epoch=5, timestamp="7")) == (7, False)
    assert request_epoch(Request(timestamp="now")) == (None, True)
    with pytest.raises(InvalidArgument):
        request_epoch(Request(timestamp="yesterday"))
    assert created_epoch("2024-01-02T03:04:05.123456789Z") == 1704164645
    assert created_epoch("2024-01-02T03:04:05+01:00") == 1704164645 - 3600
    for text in ("", "1970-01-01T00:00:00Z", "no time", "0001-01-01T00:00:00Z"):
        assert created_epoch(text) == MINIMUM_S
    assert iso_time(MINIMUM_S) == "1980-01-01T00:00:00Z"


def test_keys_tell_lists_apart() -> None:
    assert key_of("a", "bc") != key_of("ab", "c") != key_of("abc")
    assert key_of("a", "b") == key_of("a", "b")
    assert Snapshot([_layer("1"), _layer("2")]).key != Snapshot([_layer("2"), _layer("1")]).key
    assert (Snapshot() + None).layers == ()


def test_record_reads_what_it_writes_and_nothing_else() -> None:
    from pyctr._core import json_loads

    for layer in (_layer("1"), None):
        record = Record("0" * 64, layer, description="RUN x")
        again = parse_record(record.key, json_loads(record.to_bytes()))
        assert (again.description, again.layer and again.layer.to_json()) == ("RUN x", layer and layer.to_json())
    value: dict[str, Any] = json_loads(Record("0" * 64, _layer("1")).to_bytes())
    value["layer"]["diff_id"] = "../../etc"
    with pytest.raises(ValueError, match="not a digest"):
        parse_record("0" * 64, value)


def test_ignored_directories_stay_for_what_is_taken_back(tmp_path: Path) -> None:
    for name in ("a/b/keep", "a/b/drop", "a/c/drop", "d/drop", "e"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    matcher = Matcher(("a", "d", "!a/b/keep"))
    assert sorted(ignored(str(tmp_path), matcher)) == ["a/b/drop", "a/c", "d"]
    names = [("x", True), ("x/y", True), ("x/y/z.md", False), ("x/w", False)]
    assert excluded_of(names, Matcher(("x", "!x/w"))) == ["x/y", "x/y/z.md"]


def test_what_is_gits() -> None:
    for text in (
        "git@host:x/y",
        "git://host/x",
        "https://host/x.git",
        "https://host/x.git#v1:sub",
        "github.com/x/y",
        "ssh://g@h/x",
    ):
        assert parse_git(text, context=True), text
    for text in ("https://host/x.tar.gz", "./x.git", "-", "http://host/#x.git"):
        assert not parse_git(text, context=True), text
    with pytest.raises(BuildError):
        check_reference("--upload-pack=x", "")
    with pytest.raises(BuildError):
        check_reference("https://x", "-x")


def test_metadata_of_submodules_is_found(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.git").touch()
    assert sorted(os.path.normpath(name) for name in metadata_of(str(tmp_path))) == [".git", "sub/.git"]


def test_consent_and_options_of_a_run() -> None:
    step: Any = SimpleNamespace(security="sandbox", network="default")
    check_consent(Request(), step)
    request = Request(network="host", add_hosts=(("a", "1.2.3.4"),), shm_size_bytes=5, limits={"memory": "8m"})
    assert container_options(request, step) == {
        "network": "host", "memory": "8m", "add_host": ["a:1.2.3.4"], "shm_size": "5b",
    }  # fmt: skip
    step.network = "none"
    assert container_options(Request(build_args={"BUILDKIT_SANDBOX_HOSTNAME": "me"}), step) == {
        "network": "none", "hostname": "me",
    }  # fmt: skip
    step.security = "insecure"
    with pytest.raises(BuildError, match="not allowed"):
        check_consent(Request(), step)
    check_consent(Request(allow=frozenset(("security.insecure",))), step)


def _steps(edges: dict[str, tuple[str, ...]]) -> Any:
    steps: dict[str, Any] = {}
    for key, below in edges.items():
        steps[key] = SimpleNamespace(key=key, inputs=tuple(steps[name] for name in below))
    return tuple(steps.values())


def test_steps_run_after_their_inputs_and_a_failure_ends_the_rest() -> None:
    steps = _steps({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")})
    done: list[str] = []
    run_steps(steps, lambda step: done.append(step.key), lambda: None)
    assert done[0] == "a"
    assert done[-1] == "d"
    assert len(done) == 4
    over = Flag()

    def work(step: Any) -> None:
        if step.key == "b":
            raise BuildError("b failed")
        while step.key == "c":
            over.pause(0.01)  # until it is cancelled
        done.append(step.key)

    done.clear()
    with pytest.raises(BuildError, match="b failed"):
        run_steps(steps, work, over.set)
    assert done == ["a"]


def test_steps_that_wait_for_each_other_share_a_thread_and_others_run_side_by_side() -> None:
    threads: dict[str, int] = {}
    both = threading.Barrier(2, timeout=60)

    def work(step: Any) -> None:
        threads[step.key] = threading.get_ident()
        if step.key in ("b", "c"):
            both.wait()

    run_steps(_steps({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d",)}), work, lambda: None)
    assert threads["a"] == threads["b"] != threads["c"]
    assert threads["d"] == threads["e"]


def test_no_more_steps_at_once_than_there_may_be_threads() -> None:
    running, most, done = [0], [0], []
    lock = threading.Lock()

    def work(step: Any) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.001)
        with lock:
            running[0] -= 1
            done.append(step.key)

    wide = {"a": (), **{f"b{number}": ("a",) for number in range(20)}}
    run_steps(_steps(wide), work, lambda: None, threads=3)
    assert sorted(done) == sorted(wide)
    assert most[0] <= 3


def test_inputs_that_are_no_steps_are_there_already() -> None:
    first, second = _steps({"a": (), "b": ("a",)})
    done: list[str] = []
    run_steps((second,), lambda step: done.append(step.key), lambda: None)
    run_steps((), lambda step: done.append(step.key), lambda: None)
    assert done == ["b"]
    assert second.inputs == (first,)
