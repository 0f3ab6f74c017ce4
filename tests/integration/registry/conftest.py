"""Debian's docker-registry on loopback: open, or behind TLS and a password; and certificates of a test authority."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyctr.engine import Engine
from tests.conftest import Cli, need_tool, started_at_free_port, wait_monitors
from tests.fake_registry import FakeRegistry
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: htpasswd of me:secret (bcrypt, the only kind the registry takes).
HTPASSWD = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@contextlib.contextmanager
def running_registry(directory: Path, *, extra: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """docker-registry with its data below a directory; its host and port."""
    program = need_tool("docker-registry")
    directory.mkdir(exist_ok=True)
    secure = f"\n  tls: {{certificate: {tls[0]}, key: {tls[1]}}}" if tls else ""

    def start(port: int) -> subprocess.Popen[bytes]:
        (directory / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {directory}/data}}\n  delete: {{enabled: true}}\n"
            f"http:\n  addr: 127.0.0.1:{port}{secure}\n{extra}"
        )
        with open(directory / "log", "wb") as log:
            return subprocess.Popen([program, "serve", str(directory / "config.yml")], stdout=log, stderr=log)

    def answers(port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            return True
        return False

    port, process = started_at_free_port(start, answers)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


class Certificates:
    """A certificate authority, and what it signs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.openssl = need_tool("openssl")
        self.ca, self.ca_key = self.make("ca", "-x509", "-subj", "/CN=test authority")

    def make(self, name: str, *options: str) -> tuple[Path, Path]:
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}-key.pem"
        subprocess.run(
            [self.openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch",
             "-keyout", key, "-out", certificate, *options],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key

    def signed(self, name: str, *, expired: bool = False, host: str = "localhost") -> tuple[Path, Path]:
        """A certificate of 127.0.0.1 and localhost."""
        request, key = self.make(name, "-subj", f"/CN={name}")
        certificate = self.directory / f"{name}-signed.pem"
        base = self.directory / name
        base.mkdir()
        (base / "index").touch()
        (base / "config").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index\nnew_certs_dir={base}\nrand_serial=yes\ndefault_md=sha256\n"
            "policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n"
            f"[e]\nsubjectAltName=IP:127.0.0.1,DNS:{host}\n"
        )
        period = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"] if expired else ["-days", "2"]
        subprocess.run(
            [self.openssl, "ca", "-batch", "-notext", "-config", base / "config", "-cert", self.ca, "-keyfile", self.ca_key,
             "-in", request, "-out", certificate, *period],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An open registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Cli]:
    """A second engine with nothing in it, and its own credentials."""
    cli = Cli(tmp_path / "other")
    (tmp_path / "other").mkdir()
    cli.env["DOCKER_CONFIG"] = str(tmp_path / "docker")
    cli.env["PYCTR_CONFIG"] = str(tmp_path / "daemon.json")
    (tmp_path / "daemon.json").write_text("{}")
    yield cli
    wait_monitors(cli)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry that does as it is told, and is asked again without a pause."""
    monkeypatch.setattr("pyctr.registry.transport._FIRST_WAIT_S", 0.001)
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An empty store, nobody logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "daemon.json").write_text("{}")
    return Engine(str(tmp_path / "root"), str(tmp_path / "run"), config_file=str(tmp_path / "daemon.json"))
