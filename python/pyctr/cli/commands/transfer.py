"""`pull` and `push`."""

from __future__ import annotations

import sys

from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def pull(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Pull an image, or every tag of a repository."""
    from pyctr.cli.progress import make_report

    parse_reference(arguments[0])  # nothing is said of a name that is none
    engine.settles_afterwards = True
    with make_report(options) as report:
        _say_default_tag(options, arguments[0], report)
        pulled = engine.images.pull(
            arguments[0],
            platform=options.get("platform", ""),
            all_tags=options.get("all_tags", False),
            report=report,
        )
    if options.get("progress") != "json":
        familiar = parse_reference(arguments[0])
        if options.get("all_tags"):
            sys.stdout.write(f"{familiar.name}\n")
        else:
            sys.stdout.write("".join(f"{item.name}\n" for item in pulled))
    return 0


def push(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Push an image, or every tag of a repository."""
    from pyctr.cli.progress import make_report

    parse_reference(arguments[0])
    with make_report(options) as report:
        _say_default_tag(options, arguments[0], report)
        if options.get("platform"):
            engine.images.inspect(arguments[0], platform=options["platform"])  # raises: an image is for one platform
        engine.images.push(arguments[0], all_tags=options.get("all_tags", False), report=report)
    if options.get("quiet"):
        sys.stdout.write(f"{parse_reference(arguments[0])}\n")
    return 0


def _say_default_tag(options: dict[str, Any], name: str, report: Any) -> None:
    if not options.get("all_tags") and "@" not in name and ":" not in name.rpartition("/")[2]:
        report("Using default tag: latest")
