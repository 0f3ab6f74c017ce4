"""Stages to steps: pruning, scopes, keys, the image config. No root, no network, no image."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.build.plan.config import duration_text, go_quote, parse_exposed
from pyctr.build.plan.graph import plan_build
from pyctr.build.plan.render import render_plan
from pyctr.build.plan.step import Copy, Plan, Run, Step
from pyctr.build.request import Request
from pyctr.errors import BuildError, InvalidArgument, NotFound

BASE = {
    "os": "linux", "architecture": "amd64", "docker_version": "1",
    "config": {"Env": ["A=base"], "Cmd": ["sh"], "Hostname": "x", "OnBuild": ["RUN echo trigger"]},
    "history": [{"created_by": "base"}],
}  # fmt: skip


def resolve(reference: str, platform: str) -> tuple[str, dict[str, Any]]:
    if "missing" in reference:
        raise NotFound(f"No such image: {reference}")
    image = dict(BASE, architecture=platform.split("/")[1])
    if "trigger" not in reference:
        image["config"] = {key: value for key, value in BASE["config"].items() if key != "OnBuild"}  # type: ignore[attr-defined]
    return "sha256:" + "0" * 64, image


def plan(text: str, **values: Any) -> Plan:
    return plan_build(text, Request(**{"context": "/c", "platforms": ("linux/amd64",), **values}), resolve)


def names(text: str, **values: Any) -> list[str]:
    return [step.where.name for step in plan(text, **values).steps]


def last_run(text: str, **values: Any) -> Run:
    step = plan(text, **values).results[0].step
    assert isinstance(step, Run)
    return step


def test_stages_nobody_needs_are_not_in_the_plan() -> None:
    text = "FROM missing AS a\nRUN x\nFROM x AS b\nRUN y\nFROM x\nCOPY --from=b /y /z\n"
    assert names(text) == [
        "[stage-2 1/2] FROM docker.io/library/x:latest",
        "[b 2/2] RUN y",
        "[stage-2 2/2] COPY --from=b /y /z",
    ]
    assert names(text, target="B") == ["[b 1/2] FROM docker.io/library/x:latest", "[b 2/2] RUN y"]


def test_arguments_are_seen_from_where_they_are_declared() -> None:
    text = (
        "ARG G=global\nARG P=$G-x\nFROM x:$P AS s\nRUN echo\nARG G\nARG L=$G\nARG TARGETARCH\nENV E=$L\nRUN echo $E\n"
    )
    run = last_run(text, build_args={"L": "given"})
    assert run.base.inputs[0].inputs == ()
    assert set(run.environment) >= {"G=global", "L=given", "TARGETARCH=amd64", "E=given"}
    history = plan(text, build_args={"L": "given"}).results[0].config["history"]
    assert history[-1]["created_by"] == "RUN |3 G=global L=given TARGETARCH=amd64 /bin/sh -c echo $E # buildkit"
    first = plan(text).steps[0]
    assert first.where.name.endswith("x:global-x")


def test_values_of_one_env_do_not_see_each_other() -> None:
    assert "B=base" in last_run("FROM x\nENV A=new B=$A\nRUN true").environment


def test_proxies_are_no_part_of_any_key() -> None:
    plain, proxied = last_run("FROM x\nRUN a"), last_run("FROM x\nRUN a", build_args={"http_proxy": "http://p"})
    assert proxied.secret_environment == ("http_proxy=http://p", "HTTP_PROXY=http://p")
    assert plain.key == proxied.key


def test_names_lines_and_no_cache_are_no_part_of_any_key() -> None:
    assert last_run("FROM x\nRUN a").key == last_run("# c\nFROM docker.io/library/x AS q\n\nRUN   a", no_cache=True).key
    assert last_run("FROM x\nRUN a").key != last_run("FROM x\nENV B=1\nRUN a").key
    assert last_run("FROM x\nRUN a").key != last_run("FROM x\nWORKDIR /\nUSER u\nRUN a").key


def test_stages_that_begin_alike_share_their_steps() -> None:
    steps = plan("FROM x AS a\nRUN same\nFROM x AS b\nRUN same\nFROM x\nCOPY --from=a / /1\nCOPY --from=b / /2").steps
    assert [step.kind for step in steps] == ["imagesource", "run", "copy", "copy"]


def test_triggers_of_the_base_run_first_and_do_not_stay() -> None:
    result = plan("FROM trigger\nRUN own\nONBUILD RUN later").results[0]
    assert [step.where.name for step in result.layers] == ["[2/3] ONBUILD RUN echo trigger", "[3/3] RUN own"]
    assert result.config["config"]["OnBuild"] == ["RUN later"]


def test_config_is_what_docker_writes() -> None:
    text = (
        'FROM x\nLABEL a=1\nEXPOSE 80 53-54/udp\nVOLUME /v\nUSER u\nWORKDIR w\nSTOPSIGNAL 9\nSHELL ["/bin/ash","-c"]\n'
        "HEALTHCHECK --interval=90s --retries=2 CMD true\nENTRYPOINT e\nMAINTAINER me\n"
    )
    result = plan(text, labels={"b": "2"}).results[0]
    assert result.config["config"] == {
        "User": "u", "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "54/udp": {}},
        "Env": ["A=base", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Entrypoint": ["/bin/ash", "-c", "e"], "Volumes": {"/v": {}}, "WorkingDir": "/w", "Labels": {"a": "1", "b": "2"},
        "StopSignal": "9", "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000, "Retries": 2},
        "Shell": ["/bin/ash", "-c"],
    }  # fmt: skip
    assert result.config["author"] == "me"
    assert "docker_version" not in result.config
    assert [entry["created_by"] for entry in result.config["history"] if not entry.get("empty_layer")] == [
        "base",
        "WORKDIR /w",
    ]


def test_scripts_in_here_documents_are_run_or_given_to_the_shell() -> None:
    assert last_run("FROM x\nRUN <<E\na $B\nE\n").arguments == ("/bin/sh", "-c", "a $B\n")
    assert last_run("FROM x\nRUN cat <<E\na\nE\n").arguments == ("/bin/sh", "-c", "cat <<E\na\nE")
    script = last_run("FROM x\nRUN <<E\n#!/bin/awk\nE\n")
    assert script.arguments == ("/bin/sh", "-c", "/dev/pipes/E")
    assert script.mounts[0].target == "/dev/pipes"


def test_mounts_have_buildkits_defaults() -> None:
    text = (
        "FROM x AS s\nFROM x\nWORKDIR /w\nRUN --mount=target=src --mount=type=cache,target=/c,sharing=locked,from=s,uid=5 "
        "--mount=type=secret,id=a/b,required --mount=type=ssh --mount=type=tmpfs,dst=/t,size=2m --mount=type=secret,id=k,env=K x"
    )
    bind, cache, secret, ssh, tmpfs, variable = last_run(text).mounts
    assert (bind.kind, bind.target, bind.read_only, bind.source) == ("bind", "/w/src", True, "/")
    assert (cache.identity, cache.sharing, cache.uid, cache.read_only) == ("/c", "locked", 5, False)
    assert (secret.target, secret.required, ssh.identity, ssh.required) == ("/run/secrets/b", True, "default", False)
    assert (tmpfs.target, tmpfs.size_bytes, variable.target, variable.environment) == ("/t", 2 << 20, "", "K")


def test_copy_knows_its_sources() -> None:
    text = (
        "FROM x\nWORKDIR /w\nADD --checksum=sha256:" + "a" * 64 + " https://h/p/f.tgz ./\nADD git@h:o/r.git#v1:sub g\n"
        "COPY --parents a/./b/c* ../d /x\nCOPY <<E f\n$A\nE\n"
    )
    steps = [step for step in plan(text).steps if isinstance(step, Copy)]
    http, git, parents, inline = steps
    assert (http.destination, http.destination_is_directory, http.items[0].pattern, http.items[0].unpack) == (
        "/w",
        True,
        "/f.tgz",
        False,
    )
    assert (git.destination, git.items[0].source_step.reference) == ("/w/g", "v1")  # type: ignore[attr-defined]
    assert [(item.pattern, item.pivot) for item in parents.items] == [("/a", "b/c*"), ("/", "d")]
    assert inline.items[0].source_step.files == (("E", "base\n"),)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM missing", "Dockerfile:1:6: No such image"),
        ("ARG VERSION=1\nFROM $VERSOIN", "Dockerfile:2:6: base name ($VERSOIN) should not be blank (did you mean VERSION?)"),
        ("FROM x AS a\nCOPY --from=a /x /y", "circular dependency detected on stage: a"),
        ("FROM x AS a\nCOPY --from=b /x /y\nFROM x AS b\nCOPY --from=a /x /y", "circular dependency detected on stage: a"),
        ("FROM x AS a\nCOPY --from=b /x /y\nFROM a AS b\n", "circular dependency detected on stage: a"),
        ("FROM x AS a\nCOPY --from=7 /x /y", "Dockerfile:2:13: invalid stage index 7"),
        ("FROM x\nARG S=x\nCOPY --from=$S /x /y", "variable expansion is not supported for --from"),
        ("FROM x\nCOPY http://h/x /y", "source can't be a URL for COPY"),
        ("FROM x\nADD --checksum=sha256:aa a /y", "checksum requires HTTP(S) or Git sources"),
        ("FROM x\nCOPY --chmod=999 a /y", "invalid chmod parameter: '999'"),
        ("FROM x\nRUN --mount=type=cache,targte=/x y", "unexpected key 'targte' in 'targte=/x' (did you mean target?)"),
        ("FROM x\nRUN --mount=type=bind,uid=1,target=/x y", "unexpected key 'uid' for mount type 'bind'"),
        ("FROM x\nRUN --mount=type=tmpfs,target=/ y", 'invalid mount target "/"'),
        ("FROM x\nRUN --network=host y", "network.host is not allowed"),
        ("FROM x\nRUN --security=insecure y", "security.insecure is not allowed"),
        ("FROM x\nEXPOSE 99999", "invalid containerPort: 99999"),
        ("FROM x\nSTOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"),
        ("FROM --platform=nonsense x", "nonsense"),
    ],
)  # fmt: skip
def test_refusals_show_the_line(text: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        plan(text)
    assert message in str(caught.value)
    assert ">>> " in caught.value.excerpt


@pytest.mark.parametrize(
    ("flag", "right"), [("--network=host", "network.host"), ("--security=insecure", "security.insecure")]
)
def test_rights_beyond_the_container_need_consent_and_the_line_is_named(flag: str, right: str) -> None:
    text = f"# syntax=docker/dockerfile:1-labs\nFROM busybox\nRUN {flag} true\n"
    with pytest.raises(BuildError, match=f"{right} is not allowed") as caught:
        plan(text)
    assert caught.value.line == 3
    plan(text, allow=frozenset((right,)))


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(BuildError, match=r'target stage "biuld" could not be found \(did you mean build\?\)'):
        plan("FROM x AS build", target="biuld")


def test_build_arguments_nobody_declares_are_told() -> None:
    told = plan("FROM x", build_args={"Q": "1", "no_proxy": "h"}).findings
    assert [str(finding) for finding in told] == ["One or more build-args [Q] were not consumed"]


def test_render_shows_every_step() -> None:
    text = render_plan(plan("FROM x\nCOPY a /b/\nRUN --mount=type=cache,target=/c true"))
    assert "copy" in text
    assert "a -> /b/" in text
    assert "mount cache /c /c" in text
    assert text.count("\n#") == 3


def test_every_platform_has_its_own_steps() -> None:
    both = plan_build(
        "FROM x\nARG TARGETARCH\nRUN $TARGETARCH", Request(platforms=("linux/amd64", "linux/arm64")), resolve
    )
    assert [result.config["architecture"] for result in both.results] == ["amd64", "arm64"]
    assert both.results[0].step.where.name == "[linux/amd64 2/2] RUN amd64"
    assert len(both.steps) == 4


def test_steps_are_set_once() -> None:
    step: Step = plan("FROM x").steps[0]
    with pytest.raises(AttributeError):
        step.platform = "other"


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (2_000_000, "2ms"),
        (90_000_000_000, "1m30s"),
        (3_600_500_000_000, "1h0m0.5s"),
    ],
)
def test_durations_are_gos(time_ns: int, text: str) -> None:
    assert duration_text(time_ns) == text


def test_quotes_are_gos() -> None:
    assert go_quote('a"\n\x01é\\') == '"a\\"\\n\\x01é\\\\"'


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ["80/tcp"]),
        ("1-3/UDP", ["1/udp", "2/udp", "3/udp"]),
        ("8080:80", ["80/tcp"]),
        ("127.0.0.1:8080:80", ["80/tcp"]),
    ],
)
def test_exposed_ports(text: str, ports: list[str]) -> None:
    assert parse_exposed(text) == ports


@pytest.mark.parametrize("text", ["x", "3-1", "80/foo", "", "/tcp"])
def test_exposed_ports_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_exposed(text)
