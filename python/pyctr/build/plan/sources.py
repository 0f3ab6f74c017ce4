"""`--build-context NAME=…`: where a named context's files come from."""

from __future__ import annotations

from pyctr.build.plan.git import parse_git
from pyctr.build.plan.step import GitSource, LocalContext, Where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.plan.step import Step


def named_context(name: str, value: str, platform: str) -> Step:
    """A directory's path, or a git URL (`docker-image://` is the caller's)."""
    git = parse_git(value, context=True)
    where = Where("internal", f"[context {name}] load from {'git' if git else 'client'}", first_line=0, last_line=0)
    if git is None:
        return LocalContext(name, where=where, platform="")
    return GitSource(
        git.remote, reference=git.reference, subdirectory=git.subdirectory, keep_git_dir=bool(git.keep_git_dir), checksum=git.checksum,
        submodules=git.submodules, where=where, platform=platform,
    )  # fmt: skip
