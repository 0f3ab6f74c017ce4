"""Security options in their effect on a real container."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Cli, needs_root

pytestmark = needs_root


def profile(path: Path, **fields: object) -> str:
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", **fields}))
    return f"seccomp={path}"


def test_seccomp_profile_of_a_file_denies_with_its_errno(cli: Cli, tmp_path: Path) -> None:
    denied = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    option = profile(tmp_path / "profile", syscalls=[denied])
    done = cli("run", "--rm", "--security-opt", option, "busybox", "mkdir", "/made", code=1)
    assert "Function not implemented" in done.stderr


def test_seccomp_profile_conditions_follow_the_capabilities(cli: Cli, tmp_path: Path) -> None:
    unless_admin = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}
    option = profile(tmp_path / "profile", syscalls=[unless_admin])
    cli("run", "--rm", "--security-opt", option, "busybox", "mkdir", "/made", code=1)
    cli("run", "--rm", "--security-opt", option, "--cap-add", "SYS_ADMIN", "busybox", "mkdir", "/made")


def test_monitor_has_no_variable_of_its_caller(cli: Cli) -> None:
    """They may be credentials, and /proc shows them for as long as the container runs."""
    env = {**cli.env, "REGISTRY_PASSWORD": "secret"}
    container = cli("run", "-d", "--network", "none", "busybox", "sleep", "1000", env=env).stdout.strip()
    state = json.loads((cli.root / "containers" / container / "state.json").read_text())
    assert Path(f"/proc/{state['monitor_pid']}/environ").read_bytes() == b""
    assert "secret" not in cli("exec", container, "cat", "/proc/1/environ", env=env).stdout
    cli("rm", "-f", container)


def test_seccomp_profile_that_is_none_is_refused_and_nothing_stays(cli: Cli, tmp_path: Path) -> None:
    option = profile(tmp_path / "profile", defaultAction="SCMP_ACT_MAYBE")
    done = cli("run", "--rm", "--security-opt", option, "busybox", "true", code=125)
    assert done.stderr == 'pyctr: read seccomp profile: defaultAction: unknown action "SCMP_ACT_MAYBE"\n'
    assert cli("ps", "-aq").stdout == ""


def test_programs_of_root_in_layers_volumes_and_containers_are_out_of_other_users_reach(cli: Cli) -> None:
    run = cli("run", "-d", "--network", "none", "-v", "reach:/v", "busybox", "sleep", "1000").stdout.strip()
    try:
        volume = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "reach").stdout.strip()
        layers = ("{{.GraphDriver.Data.LowerDir}}", "{{.GraphDriver.Data.UpperDir}}")
        lower, upper = (cli("inspect", "-f", form, run).stdout.strip() for form in layers)
        for path in (volume, *lower.split(":"), upper):
            below = [place for place in (Path(path), *Path(path).parents) if place.is_relative_to(cli.root)]
            assert len(below) > 2
            assert any(not place.stat().st_mode & 0o001 for place in below[:-1]), path
    finally:
        cli("rm", "-f", run)
        cli("volume", "rm", "reach")
