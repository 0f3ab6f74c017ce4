"""The host's git, on remotes that somebody else wrote down: no hooks, no configuration but the user's, few protocols."""

from __future__ import annotations

import os
import re
import subprocess

from pyctr.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT_S = 600
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HIDDEN = re.compile(r"(\w+://)[^/@\s]*@|[^/@\s:]+:[^/@\s]+@")


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git",
        "LC_ALL": "C",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    }


def _git(arguments: list[str], *, directory: str | None = None, output: Callable[[bytes], None] | None = None) -> str:
    """Run git; its stdout. Raises BuildError with its last word, without what an address says of a user."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "safe.directory=*"]
    try:
        done = subprocess.run(
            [*command, *arguments], cwd=directory, env=_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=_TIMEOUT_S, check=False, umask=0o022,
        )  # fmt: skip
    except FileNotFoundError:
        raise BuildError("a git source needs the program git, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"git {arguments[0]}: no end after {_TIMEOUT_S} s") from None
    if output is not None and done.stderr:
        output(done.stderr)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = next(
            (line for line in reversed(lines) if line.startswith(("fatal:", "error:"))),
            lines[-1] if lines else "failed",
        )
        raise BuildError(f"git {arguments[0]}: {_HIDDEN.sub(chr(92) + '1', reason.partition(': ')[2] or reason)}")
    return done.stdout.decode(errors="replace")


def check_reference(remote: str, reference: str) -> None:
    """Refuse what git would take for an option."""
    for text in (remote, reference):
        if text.startswith("-") or "\0" in text:
            raise BuildError(f"git: invalid address or reference {text!a}")


def resolve(remote: str, reference: str) -> str:
    """The commit a branch, tag or ref of a remote is at now; a commit is itself."""
    check_reference(remote, reference)
    if _COMMIT.fullmatch(reference):
        return reference
    wanted = reference or "HEAD"
    found = {}
    for line in _git(["ls-remote", "--", remote]).splitlines():
        commit, _, name = line.partition("\t")
        found[name] = commit
    for name in (wanted, f"refs/heads/{wanted}", f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}", f"refs/{wanted}"):
        if name in found:
            return found[name]
    raise BuildError(f"repository does not contain ref {wanted}, {_HIDDEN.sub(chr(92) + '1', remote)}")


def resolve_checked(remote: str, reference: str, checksum: str) -> str:
    """As `resolve`; what is found must begin as the checksum says, if there is one."""
    commit = resolve(remote, reference)
    if not commit.startswith(checksum):
        raise BuildError(f"expected checksum to match {checksum}, got {commit}")
    return commit


def check_out(
    remote: str, reference: str, commit: str, directory: str, *, submodules: bool, output: Callable[[bytes], None]
) -> None:
    """Fetch one commit, with its submodules if they are wanted, into an empty directory."""
    _git(["init", "-q", "--initial-branch=main", "--", directory])
    _git(["remote", "add", "origin", remote], directory=directory)
    try:
        _git(["fetch", "-q", "--depth=1", "--no-tags", "origin", commit], directory=directory)
    except BuildError:
        # A server that gives out no commit by its digest: what leads to it, whole.
        _git(["fetch", "-q", "--tags", "origin", reference or "HEAD"], directory=directory, output=output)
    _git(["checkout", "-q", "--detach", commit], directory=directory, output=output)
    if submodules and os.path.exists(f"{directory}/.gitmodules"):
        _git(["submodule", "update", "-q", "--init", "--recursive", "--depth=1"], directory=directory, output=output)


def metadata_of(directory: str) -> list[str]:
    """What of a checkout is git's: `.git`, those of submodules too."""
    found: list[str] = []
    for parent, directories, files in os.walk(directory):
        if ".git" in (*directories, *files):
            found.append(os.path.relpath(f"{parent}/.git", directory))
        if ".git" in directories:
            directories.remove(".git")
    return found
