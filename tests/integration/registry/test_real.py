"""Debian's docker-registry for real: the tutorial's commands, TLS, passwords, tokens, other tools, killed pulls."""

from __future__ import annotations

import json
import os
import random
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool, needs_root
from tests.fake_registry import FakeRegistry, Layer, tar_of
from tests.integration.registry.conftest import HTPASSWD, Certificates, running_registry
from tests.peers import podman_with, running_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root


def manifest_digest(cli: Cli, name: str) -> str:
    (row,) = [json.loads(line) for line in cli("images", "--digests", "--format", "json", name).stdout.splitlines()]
    return str(row["Digest"])


@pytest.fixture
def pushed(cli: Cli, registry: str) -> str:
    """busybox, pushed to the open registry: its name there."""
    name = f"{registry}/busybox:v1"
    cli("tag", "busybox", name)
    cli("push", "-q", name)
    return name


def test_push_says_what_docker_says(cli: Cli, registry: str) -> None:
    cli("tag", "busybox", f"{registry}/a/one")
    lines = cli("push", f"{registry}/a/one").stdout.splitlines()
    id = lines[2].partition(":")[0]
    assert lines[:2] == ["Using default tag: latest", f"The push refers to repository [{registry}/a/one]"]
    assert lines[2:4] == [f"{id}: Preparing", f"{id}: Pushed"]
    assert lines[4].startswith("latest: digest: sha256:")
    assert lines[4].rpartition(" ")[2].isdigit()
    assert f"{id}: Layer already exists" in cli("push", f"{registry}/a/one").stdout
    cli("tag", "busybox", f"{registry}/b/two")
    assert f"{id}: Mounted from a/one" in cli("push", f"{registry}/b/two").stdout


def test_push_what_is_not_there_is_refused(cli: Cli, registry: str) -> None:
    done = cli("push", f"{registry}/absent", code=1)
    assert done.stderr == f"pyctr: tag does not exist: {registry}/absent:latest\n"


def test_pull_says_what_docker_says(pushed: str, cli: Cli, other: Cli) -> None:
    lines = other("pull", pushed).stdout.splitlines()
    digest = manifest_digest(cli, pushed)
    assert lines[0] == "v1: Pulling from busybox"
    assert lines[1].endswith(": Pulling fs layer")
    assert lines[-3:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {pushed}", pushed]
    assert other("pull", "-q", pushed).stdout == pushed + "\n"
    events = [json.loads(line) for line in other("pull", "--progress", "json", pushed).stdout.splitlines()]
    assert events[0] == {"status": "Pulling from busybox", "id": "v1"}
    assert other("run", "--rm", pushed, "echo", "hi").stdout == "hi\n"


def test_pull_bars_on_a_terminal(pushed: str, other: Cli) -> None:
    out = other("pull", "--progress", "tty", pushed).stdout
    assert "Pull complete" in out
    assert "MB" in out


def test_run_pulls_what_is_missing(pushed: str, other: Cli) -> None:
    done = other("run", "--rm", pushed, "echo", "hi")
    assert done.stdout == "hi\n"
    assert done.stderr.startswith(f"Unable to find image '{pushed}' locally\nv1: Pulling from busybox\n")
    assert "Pulling from" in other("run", "--rm", "--pull", "always", pushed, "true").stderr
    assert other("run", "--rm", "--quiet", pushed, "true").stderr == ""
    done = other("run", "--rm", "--pull", "never", f"{pushed}x", "true", code=125)
    assert "No such image" in done.stderr
    assert "not found: manifest unknown" in other("run", "--rm", f"{pushed}x", "true", code=125).stderr


def test_pull_of_what_is_not_there_is_one_line(registry: str, other: Cli) -> None:
    done = other("pull", f"{registry}/absent", code=1)
    assert (
        done.stderr == f"pyctr: manifest for {registry}/absent:latest not found: manifest unknown: manifest unknown\n"
    )


def test_push_all_tags_and_pull_all_tags(cli: Cli, registry: str, other: Cli) -> None:
    for tag in ("x", "y"):
        cli("tag", "busybox", f"{registry}/all:{tag}")
    assert len([line for line in cli("push", "-a", f"{registry}/all").stdout.splitlines() if "digest:" in line]) == 2
    assert other("pull", "-a", f"{registry}/all").stdout.splitlines()[-2:] == [
        f"Status: Downloaded newer image for {registry}/all", f"{registry}/all",
    ]  # fmt: skip
    assert sorted(other("images", "--format", "{{.Tag}}", f"{registry}/all").stdout.split()) == ["x", "y"]


def test_manifest_inspect_and_search(pushed: str, registry: str, other: Cli) -> None:
    assert json.loads(other("manifest", "inspect", pushed).stdout)["schemaVersion"] == 2
    verbose = json.loads(other("manifest", "inspect", "-v", pushed).stdout)
    assert verbose["Ref"] == pushed
    assert verbose["OCIManifest"]["layers"]
    assert "busybox" in other("search", f"{registry}/busy").stdout


def test_pull_killed_twenty_times_finishes(registry: str, cli: Cli, other: Cli, tmp_path: Path) -> None:
    """kill -9 at random moments; what is left is partial blobs, and the next pull goes on."""
    layers = [Layer(tar_of({f"f{n}": random.Random(n).randbytes(6_000_000)})) for n in range(3)]
    directory = tmp_path / "oci/blobs/sha256"
    directory.mkdir(parents=True)
    fake = FakeRegistry()
    digest = fake.put_image("x", "latest", layers)
    for name, data in [*fake.blobs.items(), (digest, fake.manifests["x", "latest"][1])]:
        (directory / name[7:]).write_bytes(data)
    media_type, data = fake.manifests["x", "latest"]
    index = {"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": digest, "size": len(data)}]}
    (tmp_path / "oci/index.json").write_text(json.dumps(index))
    (tmp_path / "oci/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    skopeo = [need_tool("skopeo"), "copy", "-q", "--dest-tls-verify=false"]
    subprocess.run([*skopeo, f"oci:{tmp_path}/oci", f"docker://{registry}/killed"], check=True, timeout=180)
    chance = random.Random(5)
    for _ in range(20):
        pull = subprocess.Popen(
            other.command("pull", "-q", f"{registry}/killed"), env=other.env, stdout=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.1, 0.45))
        pull.kill()
        pull.wait()
    other("pull", "-q", f"{registry}/killed")
    root = other.root
    assert [name for name in os.listdir(root / "layers") if name.startswith(".")] == []
    assert os.listdir(root / "partial") == []
    for layer in layers:
        assert (root / "blobs/sha256" / layer.digest[7:]).read_bytes() == layer.data
    for n, layer in enumerate(layers):
        assert (root / "layers" / layer.diff_id[7:] / f"f{n}").read_bytes() == random.Random(n).randbytes(6_000_000)


# TLS and who one is


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """A registry behind TLS of the test authority, and a password. By its network address: loopback is never secure."""
    base = tmp_path_factory.mktemp("secure")
    (base / "htpasswd").write_text(HTPASSWD)
    extra = f"auth:\n  htpasswd: {{realm: test, path: {base}/htpasswd}}\n"
    with running_registry(base, extra=extra, tls=certificates.signed("server")) as address:
        yield address


def trust(cli: Cli, certificates: Certificates, address: str, tmp_path: Path) -> None:
    """certs.d beside the configuration file."""
    directory = tmp_path / "certs.d" / address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(certificates.ca.read_bytes())


def test_login_keeps_and_logout_forgets(secure: str, other: Cli, tmp_path: Path) -> None:
    config = tmp_path / "docker/config.json"
    done = other("login", "-u", "me", "--password-stdin", secure, input="wrong\n", code=1)
    assert done.stderr == f"pyctr: login attempt to https://{secure}/v2/ failed with status: 401 Unauthorized\n"
    assert not config.exists()
    done = other("login", "-u", "me", "--password-stdin", secure, input="secret\n")
    assert done.stdout == "Login Succeeded\n"
    assert json.loads(config.read_text())["auths"] == {secure: {"auth": "bWU6c2VjcmV0"}}
    assert config.stat().st_mode & 0o777 == 0o600
    assert other("logout", secure).stdout == f"Removing login credentials for {secure}\n"
    assert other("logout", secure).stdout == f"Removing login credentials for {secure}\n"
    assert json.loads(config.read_text())["auths"] == {}


def test_push_and_pull_with_a_password_over_tls(secure: str, cli: Cli, other: Cli) -> None:
    name = f"{secure}/private"
    other("image", "bootstrap", "busybox")
    other("tag", "busybox", name)
    assert "no basic auth credentials" in other("push", name, code=1).stderr
    other("login", "-u", "me", "--password-stdin", secure, input="secret")
    other("push", name)
    assert "Image is up to date" in other("pull", name).stdout
    other("logout", secure)
    assert other("pull", name, code=1).stderr == f"pyctr: no basic auth credentials\npyctr login {secure}\n"


def reach_by_name(cli: Cli, address: str) -> list[str]:
    """A command line in a network-less view of /etc/hosts where registry.test is this machine: not a loopback name."""
    script = 'mount --bind "$1" /etc/hosts; shift; exec "$@"'
    hosts = cli.root.parent / "hosts"
    hosts.parent.mkdir(exist_ok=True)
    hosts.write_text("127.0.0.1 localhost registry.test\n")
    return ["unshare", "-m", "--propagation", "slave", "sh", "-c", script, "sh", str(hosts)]


def test_tls_authority_of_certs_d_is_trusted_and_no_other(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, other: Cli
) -> None:
    certificates_of = {
        "good": certificates.signed("good"),
        "expired": certificates.signed("expired", expired=True, host="registry.test"),
    }

    def pull(address: str) -> str:
        name = f"registry.test:{address.rpartition(':')[2]}/x"
        command = [*reach_by_name(other, address), *other.command("pull", name)]
        done = subprocess.run(command, env=other.env, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 1
        return done.stderr

    with running_registry(tmp_path_factory.mktemp("good"), tls=certificates_of["good"]) as address:
        host = f"registry.test:{address.rpartition(':')[2]}"
        assert "tls: failed to verify certificate: unable to get local issuer certificate" in pull(address)
        trust(other, certificates, host, tmp_path)
        # The certificate is not of this name; once it is, there is only no such image.
        assert "tls: failed to verify certificate: hostname mismatch" in pull(address)
        (tmp_path / "daemon.json").write_text(json.dumps({"insecure-registries": [host]}))
        assert "manifest unknown" in pull(address)
    (tmp_path / "daemon.json").write_text("{}")
    with running_registry(tmp_path_factory.mktemp("expired"), tls=certificates_of["expired"]) as address:
        trust(other, certificates, f"registry.test:{address.rpartition(':')[2]}", tmp_path)
        assert "tls: failed to verify certificate: certificate has expired" in pull(address)
    with running_registry(tmp_path_factory.mktemp("plain")) as address:
        stderr = pull(address)
        assert "http: server gave HTTP response to HTTPS client" in stderr
        assert "insecure-registries" in stderr
        (tmp_path / "daemon.json").write_text(
            json.dumps({"insecure-registries": [f"registry.test:{address.rpartition(':')[2]}"]})
        )
        assert "manifest unknown" in pull(address)


def test_client_certificate_of_certs_d_is_shown(tmp_path: Path, certificates: Certificates, other: Cli) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.signed("mutual"))
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with FakeRegistry().serving(context) as fake:
        fake.put_image("x", "latest", [Layer(tar_of({"a": b"b"}))])
        assert other("pull", f"{fake.address}/x", code=1).stderr.count("\n") == 1
        directory = tmp_path / "certs.d" / fake.address
        directory.mkdir(parents=True)
        certificate, key = certificates.signed("client")
        (directory / "client.cert").write_bytes(certificate.read_bytes())
        assert "missing key client.key" in other("pull", f"{fake.address}/x", code=1).stderr
        (directory / "client.key").write_bytes(key.read_bytes())
        other("pull", f"{fake.address}/x")


def test_mirror_of_the_configuration_serves_the_hub(
    pushed: str, registry: str, cli: Cli, other: Cli, tmp_path: Path
) -> None:
    cli("tag", "busybox", f"{registry}/library/mirrored")
    cli("push", "-q", f"{registry}/library/mirrored")
    (tmp_path / "daemon.json").write_text(json.dumps({"registry-mirrors": [f"http://{registry}"]}))
    lines = other("pull", "mirrored").stdout.splitlines()
    assert lines[1] == "latest: Pulling from library/mirrored"
    assert lines[-1] == "docker.io/library/mirrored:latest"


def test_unknown_key_of_the_configuration_is_named(other: Cli, tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"mirrors": []}')
    assert other("pull", "x", code=1).stderr == f"pyctr: read {tmp_path}/daemon.json: mirrors: unknown key\n"


# Other tools


def test_round_trip_with_skopeo_keeps_digests(pushed: str, cli: Cli, registry: str, other: Cli, tmp_path: Path) -> None:
    skopeo = need_tool("skopeo")
    oci, back = f"oci:{tmp_path}/oci:latest", f"docker://{registry}/skopeo"
    for source, target in ((f"docker://{pushed}", oci), (oci, back)):
        done = subprocess.run(
            [skopeo, "copy", "-q", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", source, target],
            check=False, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    other("pull", f"{registry}/skopeo")
    assert manifest_digest(other, f"{registry}/skopeo") == manifest_digest(cli, pushed)


def test_round_trip_with_podman_keeps_the_image(pushed: str, registry: str, cli: Cli, other: Cli) -> None:
    with podman_with("--storage-driver", "vfs") as podman:
        podman("pull", "-q", "--tls-verify=false", pushed)
        podman("push", "-q", "--tls-verify=false", pushed, f"{registry}/podman:v1")
        podman("rmi", "-af", code=None)
    other("pull", f"{registry}/podman:v1")
    ids = {
        json.loads(c("image", "inspect", name).stdout)[0]["RootFS"]["Layers"][0]
        for c, name in ((cli, pushed), (other, f"{registry}/podman:v1"))
    }
    assert len(ids) == 1


def test_round_trip_with_docker_keeps_the_id(pushed: str, registry: str, cli: Cli, other: Cli) -> None:
    with running_dockerd() as docker:
        said = docker("pull", pushed)
        digest = manifest_digest(cli, pushed)
        assert f"Digest: {digest}" in said
        docker("tag", pushed, f"{registry}/docker:v1")
        docker("push", f"{registry}/docker:v1")
        # The very same lines, but for those that tell of progress.
        kept = ("Pulling from", "Digest:", "Status:", registry)
        assert [line for line in said.splitlines() if any(word in line for word in kept)] == [
            line for line in other("pull", pushed).stdout.splitlines() if any(word in line for word in kept)
        ]
    other("pull", f"{registry}/docker:v1")
    first = json.loads(other("image", "inspect", f"{registry}/docker:v1").stdout)[0]
    assert first["RootFS"] == json.loads(cli("image", "inspect", pushed).stdout)[0]["RootFS"]
