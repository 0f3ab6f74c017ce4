"""`build`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.plan.step import Plan
    from pyctr.engine import Engine
    from pyctr.engine.build.export import Built

_RULER = "-" * 20


def build(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Build an image; with --dry-run or --check, only plan it."""
    from pyctr.cli.build import make_progress
    from pyctr.cli.signals import ended_by_signals
    from pyctr.engine.build.use import build as build_image
    from pyctr.engine.build.use import plan_only
    from pyctr.errors import BuildError
    from pyctr.image.settle import settle_afterwards

    quiet = options.get("quiet", False)
    checks = options.get("check", False) or options.get("call") == "check"
    progress = make_progress(options.get("progress", ""), quiet=quiet or checks or options.get("dry_run", False))
    engine.settles_afterwards = True
    try:
        with ended_by_signals(), progress:
            if checks or options.get("dry_run"):
                plan = plan_only(engine, arguments[0], options, progress)
                return _show_plan(plan, checks=checks)
            built = build_image(engine, arguments[0], options, progress)
    except BuildError as error:
        sys.stderr.write(progress.failed_output())
        if error.excerpt:
            sys.stderr.write(f"{error.excerpt}\n")
        raise
    finally:
        settle_afterwards(engine.image_store)
    _write_files(options, built)
    if quiet and built.images:
        sys.stdout.write(f"{built.index_digest or built.images[0].id}\n")
    return 0


def _show_plan(plan: Plan, *, checks: bool) -> int:
    from pyctr.build.plan.render import render_plan

    if not checks:
        sys.stdout.write(render_plan(plan))
        return 0
    count = len(plan.findings)
    found = "no warnings found." if not count else f"{count} warning{'s have' if count > 1 else ' has'} been found!"
    sys.stdout.write(f"Check complete, {found}\n")
    for finding in sorted(plan.findings, key=lambda finding: finding.first_line):
        sys.stdout.write(f"\nWARNING: {f'{finding.rule} - {finding.url}' if finding.rule else 'build options'}\n")
        sys.stdout.write(f"{finding.text}\n")
        if finding.excerpt:
            sys.stdout.write(f"{finding.place}\n{_RULER}\n{finding.excerpt}\n{_RULER}\n")
    return 1 if count else 0


def _write_files(options: dict[str, Any], built: Built) -> None:
    """`--iidfile`, `--metadata-file`."""
    from pyctr._core import json_dumps, write_atomic

    if options.get("iidfile") and built.images:
        _write(options["iidfile"], (built.index_digest or built.images[0].id).encode(), write_atomic)
    if options.get("metadata_file"):
        values: dict[str, str] = {}
        if built.images:
            values["containerimage.config.digest"] = built.images[0].id
            values["containerimage.digest"] = built.index_digest or built.images[0].manifest_digest
        if options.get("tag"):
            values["image.name"] = ",".join(options["tag"])
        _write(options["metadata_file"], json_dumps(values, indent=2) + b"\n", write_atomic)


def _write(path: str, data: bytes, write: Any) -> None:
    from pyctr.errors import InvalidArgument

    try:
        write(path, data, sync=False)
    except OSError as error:
        raise InvalidArgument(f"write {path}: {(error.strerror or '').lower()}") from None
