"""Commands on the whole of pyctr (see `pyctr.cli.table`)."""

from __future__ import annotations

from pyctr.cli.table import FLAG, TEXT

COMMANDS = {
    "version": ("system", 0, 0, False, "", "Show versions", (("format", "f", TEXT, "TEMPLATE", "json or a Go template"),)),
    "info": ("system", 0, 0, False, "", "Show what this host offers", (("format", "f", TEXT, "TEMPLATE", "json or a Go template"),)),
    "system check": (
        "images_io", 0, 0, False, "", "Verify every digest and reference",
        (("mend", "", FLAG, "", "Put right what can be"),),
    ),
}  # fmt: skip
