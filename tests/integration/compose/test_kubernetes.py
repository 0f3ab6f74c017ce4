"""`compose export --format kubernetes`: manifests that Kubernetes' own strict schemas accept, and nothing dropped in silence."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.cli.main import main
from pyctr.compose import load
from pyctr.compose.document import parse
from pyctr.compose.errors import ComposeError, Places
from pyctr.compose.kubernetes import export
from pyctr.errors import Conflict
from tests.integration.compose.oracle import HERE, VARIABLES

if TYPE_CHECKING:
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

KUBERNETES = "1.33"
GOOD = sorted(path.name for path in (HERE / "good").iterdir() if path.suffix == ".yaml")
#: Names that are two in compose and one in Kubernetes, files that are not there.
REFUSED = {"keys-order.yaml": Conflict}


def documents(text: str) -> list[dict[str, Any]]:
    return [document.tree for document in parse(text.encode(), "manifests", Places())]


@pytest.mark.parametrize("name", GOOD)
def test_manifests_of_every_project_validate(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(HERE / "good")
    project = load([name], environment=VARIABLES, profiles=["p", "debug"] if "unchecked" not in name else ())
    for kind in ("secrets", "configs"):
        for entry in (project.model.get(kind) or {}).values():
            if "file" in entry:
                entry["file"] = str(tmp_path / "content")
                (tmp_path / "content").write_text("text")
    if name in REFUSED:
        with pytest.raises(REFUSED[name]):
            export(project)
        return
    for manifest in documents(export(project).text()):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def exported(tmp_path: Path, text: str) -> tuple[dict[tuple[str, str], dict[str, Any]], tuple[str, ...]]:
    (tmp_path / "compose.yaml").write_text(text)
    made = export(load([str(tmp_path / "compose.yaml")], environment={}, project_name="p"))
    objects = {(each["kind"], each["metadata"]["name"]): each for each in documents(made.text())}
    for each in objects.values():
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    return objects, made.lost


def test_flask_and_redis_are_two_deployments_that_find_each_other(tmp_path: Path) -> None:
    objects, lost = exported(
        tmp_path, "services:\n  web:\n    image: web\n    ports: ['8000:5000']\n    environment: {A: '$$(B)'}\n  redis: {image: redis, expose: ['6379']}\n"
    )  # fmt: skip
    assert lost == ()
    web = objects["Deployment", "web"]["spec"]["template"]["spec"]["containers"][0]
    assert web["ports"] == [{"containerPort": 5000, "protocol": "TCP"}]
    # Kubernetes would take $(B) for a variable.
    assert web["env"] == [{"name": "A", "value": "$$(B)"}]
    assert objects["Service", "redis"]["spec"]["ports"][0]["port"] == 6379
    assert objects["Service", "web-published"]["spec"]["ports"][0] | {"name": ""} == {
        "name": "", "port": 8000, "targetPort": 5000, "protocol": "TCP",
    }  # fmt: skip


def test_every_key_that_is_not_carried_is_named(tmp_path: Path) -> None:
    _, lost = exported(
        tmp_path,
        "services:\n  a:\n    image: x\n    init: true\n    container_name: name\n    ulimits: {nofile: 5}\n    x-own: 1\n"
        "    logging: {driver: none}\n    user: www\n    depends_on: [b]\n    healthcheck: {test: x, start_interval: 1s}\n"
        "    deploy: {placement: {constraints: [node.role == manager]}}\n  b: {image: x}\n",
    )
    keys = {line.split(":")[0] for line in lost}
    assert keys == {
        "services.a.init", "services.a.container_name", "services.a.ulimits", "services.a.x-own", "services.a.logging",
        "services.a.user", "services.a.depends_on", "services.a.healthcheck.start_interval",
        "services.a.deploy.placement.constraints.node.role == manager",
    }  # fmt: skip


def test_what_is_not_to_restart_is_a_job_and_what_is_global_a_daemon_set(tmp_path: Path) -> None:
    objects, lost = exported(
        tmp_path, "services:\n  a: {image: x, restart: 'no'}\n  b: {image: x, restart: 'on-failure:3'}\n  c: {image: x, deploy: {mode: global}}\n"
    )  # fmt: skip
    assert lost == ()
    assert objects["Job", "a"]["spec"]["backoffLimit"] == 0
    assert objects["Job", "b"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert ("DaemonSet", "c") in objects


def test_secrets_and_volumes_are_objects_that_the_pod_mounts(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_bytes(b"\x00secret")
    objects, lost = exported(
        tmp_path, "services:\n  a: {image: x, secrets: [s], volumes: ['data:/data', '/anon'], tmpfs: /t}\nsecrets: {s: {file: ./s.txt}}\nvolumes: {data: }\n"
    )  # fmt: skip
    assert lost == ()
    assert objects["Secret", "p-s"]["data"] == {"s": "AHNlY3JldA=="}
    assert objects["PersistentVolumeClaim", "p-data"]["spec"]["resources"]["requests"]["storage"] == "1Gi"
    pod = objects["Deployment", "a"]["spec"]["template"]["spec"]
    assert {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]} == {
        "/data",
        "/anon",
        "/t",
        "/run/secrets/s",
    }


def test_several_networks_are_policies(tmp_path: Path) -> None:
    objects, _ = exported(
        tmp_path, "services:\n  a: {image: x, networks: [f], ports: ['80:80']}\n  b: {image: x, networks: [f, g]}\nnetworks: {f: , g: }\n"
    )  # fmt: skip
    labels = objects["Deployment", "b"]["spec"]["template"]["metadata"]["labels"]
    assert labels["pyctr.network/f"] == labels["pyctr.network/g"] == "true"
    assert {name for kind, name in objects if kind == "NetworkPolicy"} == {"p-f", "p-g", "a-published"}


def test_a_missing_secret_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match=r"secrets.s: open .*none: no such file"):
        exported(tmp_path, "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {file: ./none}}\n")


@pytest.mark.parametrize(("body", "code"), [("image: x", 0), ("image: x, init: true", 2)])
def test_exit_code_says_whether_everything_was_carried(
    tmp_path: Path, body: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose.yaml").write_text(f"services: {{a: {{{body}}}}}")
    monkeypatch.chdir(tmp_path)
    assert main(["compose", "export", "--format", "kubernetes", "-o", "out.yaml"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("not carried: services.a.init\n" if code else "")
    assert [each["kind"] for each in documents((tmp_path / "out.yaml").read_text())] == ["Deployment", "Service"]


def test_another_format_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "export", "--format", "helm"]) == 1
    assert 'unsupported format "helm"' in capsys.readouterr().err
