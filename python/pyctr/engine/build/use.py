"""The use case: options and a context to a plan, and the plan to images. CLI, API and compose begin here."""

from __future__ import annotations

import contextlib
import os

from pyctr.build.ignore import read_patterns
from pyctr.build.plan.graph import located, plan_build
from pyctr.engine.build.command import check_options
from pyctr.engine.build.opening import open_context
from pyctr.engine.build.options import parse_request
from pyctr.errors import BuildError, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.build.plan.step import Plan
    from pyctr.build.report import Report
    from pyctr.build.request import Request
    from pyctr.engine import Engine
    from pyctr.engine.build.export import Built

_DEFINITION = "[internal] load build definition from"
#: Build argument of BuildKit's.
_KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_DOCKERFILE_MAX_BYTES = 2 << 20
#: BuildKit's own frontend, and `-upstream`: what we read ourselves.
_FRONTEND = "docker/dockerfile"


def build(engine: Engine, context: str, options: dict[str, Any], report: Report, *, stdin: int = 0) -> Built:
    """Build what a context holds. Raises BuildError with line and excerpt, InvalidArgument for options."""
    from pyctr.engine.build.execute import execute

    with planned(engine, context, options, report, stdin=stdin) as (plan, request, text):
        for finding in plan.findings:
            report.advise(finding)
        if plan.refusal:
            raise BuildError(plan.refusal)
        try:
            return execute(engine, plan, request, report)
        except BuildError as error:
            shown = located(error, text, request.dockerfile_name)
            if shown is not error:
                shown.step, shown.output = error.step, error.output
            raise shown from None


def plan_only(engine: Engine, context: str, options: dict[str, Any], report: Report, *, stdin: int = 0) -> Plan:
    """What `build` would do. Base images are looked up, and pulled if they are not here."""
    with planned(engine, context, options, report, stdin=stdin) as (plan, _, _):
        return plan


@contextlib.contextmanager
def planned(
    engine: Engine, context: str, options: dict[str, Any], report: Report, *, stdin: int
) -> Iterator[tuple[Plan, Request, str]]:
    """A plan, what it was asked for, and the Dockerfile's text, while the context is open."""
    from pyctr.engine.build.sources import resolve_image

    file = options.get("file", "")
    if file == "-" and context == "-":
        raise InvalidArgument("invalid argument: can't use stdin for both build context and dockerfile")
    # Before anything is fetched.
    asked = parse_request(options, context="", environment=os.environ)
    check_options(engine, asked)
    keep_git_dir = asked.build_args.get(_KEEP_GIT_DIR, "").lower() in ("1", "t", "true")
    with open_context(engine, context, report=report, stdin=stdin, keep_git_dir=keep_git_dir) as opened:
        path, name = _dockerfile_path(opened.path, file, temporary=opened.temporary)
        text = _read_stdin(stdin) if file == "-" else _read_dockerfile(path, name, report)
        _check_frontend(text, name)
        request = parse_request(
            options,
            context=opened.path,
            environment=os.environ,
            ignore=read_patterns(opened.path, "" if file == "-" else path),
            dockerfile_name=name,
        )

        def resolve(reference: str, platform: str) -> tuple[str, dict[str, Any]]:
            return resolve_image(engine, reference, platform, pull=request.pull, report=report)

        yield plan_build(text, request, resolve), request, text


def _dockerfile_path(context: str, file: str, *, temporary: bool) -> tuple[str, str]:
    """Where the Dockerfile is, and how it is called. In a context that was fetched it cannot be anywhere else."""
    if file == "-":
        return "", "Dockerfile"
    if not file:
        path = os.path.join(context, "Dockerfile")
        small = os.path.join(context, "dockerfile")
        if not os.path.exists(path) and os.path.exists(small):
            path = small
        return path, os.path.basename(path)
    if not temporary:
        # Relative to where we are, or else to the context, as buildx looks.
        inside = os.path.join(context, file)
        return (file if os.path.exists(file) or not os.path.exists(inside) else inside), os.path.basename(file)
    path = os.path.join(context, os.path.normpath("/" + file).lstrip("/"))
    real = os.path.realpath(path)
    if os.path.commonpath([real, os.path.realpath(context)]) != os.path.realpath(context):
        raise InvalidArgument(f"failed to read dockerfile: {file} leads out of the build context")
    return path, os.path.basename(file)


def _read_dockerfile(path: str, name: str, report: Report) -> str:
    vertex = f"{_DEFINITION} {name}"
    report.start(vertex, vertex)
    try:
        with open(path, "rb") as file:
            text = _decoded(file.read(_DOCKERFILE_MAX_BYTES + 1), name)
    except FileNotFoundError:
        report.done(vertex, error="no such file or directory")
        raise NotFound(f"failed to read dockerfile: open {name}: no such file or directory") from None
    except (OSError, InvalidArgument) as error:
        reason = str(error) if isinstance(error, InvalidArgument) else (error.strerror or "").lower()
        report.done(vertex, error=reason)
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"failed to read dockerfile: open {name}: {reason}") from None
    report.status(vertex, f"transferring dockerfile: {len(text.encode())}B", done=True)
    report.done(vertex)
    return text


def _read_stdin(stdin: int) -> str:
    pieces, size = [], 0
    while size <= _DOCKERFILE_MAX_BYTES and (data := os.read(stdin, 1 << 16)):
        pieces.append(data)
        size += len(data)
    return _decoded(b"".join(pieces), "Dockerfile")


def _decoded(data: bytes, name: str) -> str:
    if len(data) > _DOCKERFILE_MAX_BYTES:
        raise InvalidArgument(f"{name} is larger than {_DOCKERFILE_MAX_BYTES} bytes")
    if not data.strip():
        raise InvalidArgument(f"the Dockerfile ({name}) cannot be empty")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidArgument(f"{name}:{line}: not UTF-8") from None


def _check_frontend(text: str, name: str) -> None:
    """`# syntax=` names another program that reads Dockerfiles; we are docker/dockerfile ourselves."""
    from pyctr.build.dockerfile.lexer import read_directives

    syntax = read_directives(text).get("syntax", "")
    image = syntax.split()[0] if syntax else ""
    own, _, rest = image.removeprefix("docker.io/").partition(_FRONTEND)
    if image and (own or rest.removeprefix("-upstream")[:1] not in ("", ":", "@")):
        raise InvalidArgument(f"{name}:1: syntax {image} is not supported: only docker/dockerfile is")
