"""`compose export`: a container's files, or with ``--format kubernetes`` the whole project as manifests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext

#: Exit code where some keys could not be carried; what could is written.
INCOMPLETE = 2


def export(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Write manifests to standard output or a file; lost keys go to standard error, one a line."""
    form = values.get("format")
    if form is None:
        from pyctr.cli.commands.compose.pass_on import export as export_container
        from pyctr.cli.main import check_count
        from pyctr.cli.parse import UsageError

        try:
            check_count("compose export", len(arguments), 1, 1)
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        return export_container(context, values, arguments)
    if form != "kubernetes":
        raise InvalidArgument(f'unsupported format "{form}": kubernetes is the one there is')
    if "index" in values:
        raise InvalidArgument("--index is of no use with --format")
    from pyctr.compose import select
    from pyctr.compose.kubernetes import export as export_project

    made = export_project(select(context.project(), arguments))
    if values.get("output") and not (values.get("dry_run") or context.settings.get("dry_run")):
        with open(values["output"], "w", encoding="utf-8") as file:
            file.write(made.text())
    elif not values.get("output"):
        sys.stdout.write(made.text())
    sys.stdout.flush()
    for line in made.lost:
        sys.stderr.write(f"not carried: {line}\n")
    return INCOMPLETE if made.lost else 0
