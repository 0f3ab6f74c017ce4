"""`pyctr logs` over every driver that can be read back."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Cli, needs_root

pytestmark = needs_root


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_logs_are_every_byte_through_rotation_and_compression(cli: Cli, driver: str) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf 'no newline'"
    limits = ["--log-opt", "max-size=100k", "--log-opt", "max-file=20", "--log-opt", "compress=true"]
    name = f"log-{driver}"
    cli("run", "--name", name, "--log-driver", driver, *limits, "busybox", "sh", "-c", script)
    expected = "".join(f"line {number}\n" for number in range(20000)) + "no newline"
    assert cli("logs", name).stdout == expected
    assert cli("logs", "-n", "3", name).stdout == "line 19998\nline 19999\nno newline"
    assert cli("logs", "-f", "-n", "15000", name).stdout == "".join(expected.splitlines(keepends=True)[-15000:])
    path = Path(cli("inspect", "-f", "{{.LogPath}}", name).stdout.strip())
    assert list(path.parent.glob(path.name + ".*.gz"))


def test_logs_large_binary_free_output_is_unharmed(cli: Cli) -> None:
    digest = cli("run", "--name", "large", "busybox", "sh", "-c", "seq 1 3000000 | tee /dev/stderr | sha256sum >/sum")
    assert digest.returncode == 0
    done = subprocess.run(cli.command("logs", "large"), env=cli.env, capture_output=True, check=True)
    expected = "".join(f"{number}\n" for number in range(1, 3000001)).encode()
    assert hashlib.sha256(done.stderr).hexdigest() == hashlib.sha256(expected).hexdigest()


def test_logs_details_show_labels_and_variables_asked_for(cli: Cli) -> None:
    chosen = ["--log-opt", "labels=team", "--log-opt", "env-regex=^V", "--log-opt", "tag={{.Name}}"]
    cli("run", "--name", "detailed", "-l", "team=a b", "-e", "V1=x", "-e", "W=y", *chosen, "busybox", "echo", "hi")
    assert cli("logs", "--details", "detailed").stdout == "V1=x,tag=detailed,team=a+b hi\n"
    assert cli("logs", "detailed").stdout == "hi\n"


def test_logs_of_syslog_are_refused(cli: Cli) -> None:
    cli("create", "--name", "syslog", "--log-driver", "syslog", "busybox", "true")
    done = cli("logs", "syslog", code=1)
    assert done.stderr == "pyctr: configured logging driver does not support reading\n"
