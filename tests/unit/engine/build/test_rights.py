"""What a build does only with consent, and what git is not let to do with an address that somebody else wrote down."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pyctr.engine.build import git
from pyctr.engine.build.command import check_consent
from pyctr.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def consent(*, security: str = "sandbox", network: str = "default", allow: tuple[str, ...] = ()) -> None:
    step, request = SimpleNamespace(security=security, network=network), SimpleNamespace(network="default", allow=allow)
    check_consent(cast("Any", request), cast("Any", step))


def test_rights_beyond_the_container_need_consent_when_a_step_is_carried_out_too() -> None:
    for right, wanted in (("security.insecure", {"security": "insecure"}), ("network.host", {"network": "host"})):
        with pytest.raises(BuildError, match=f"{right} is not allowed"):
            consent(**wanted)  # type: ignore[arg-type]
        consent(allow=(right,), **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(("remote", "reference"), [("--upload-pack=x", ""), ("git://h/x", "--exec=x"), ("a\0b", "")])
def test_git_address_that_is_an_option_is_refused(remote: str, reference: str) -> None:
    with pytest.raises(BuildError, match="invalid address or reference"):
        git.resolve(remote, reference)


@needs_git
@pytest.mark.parametrize("scheme", ["file://", "ext::sh -c touch% "])
def test_git_protocol_that_reads_this_machine_or_runs_something_is_refused(tmp_path: Path, scheme: str) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "repository")], check=True)
    with pytest.raises(BuildError, match="not allowed"):
        git.resolve(f"{scheme}{tmp_path}/repository", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository"]


@needs_git
@pytest.mark.parametrize("scheme", ["http", "git"])
def test_git_failure_says_no_password_of_an_address(scheme: str) -> None:
    with pytest.raises(BuildError) as caught:
        git.resolve(f"{scheme}://me:secret@127.0.0.1:1/x.git", "")
    assert "secret" not in str(caught.value)
