"""The image the package carries: a static program that says what it sees, made into an OCI image at its first use."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

from pyctr.errors import NotFound

if TYPE_CHECKING:
    from pyctr.image.store import Image, Store

NAME = "docker.io/library/hello:latest"
_EPOCH = "1970-01-01T00:00:00Z"


def load(store: Store) -> Image:
    """Put the image into a store; the same digest wherever the same package is installed."""
    from pyctr.image.build import import_layers

    program = os.path.join(os.path.dirname(os.path.dirname(__file__)), "_bin", "pyctr-hello")
    try:
        with open(program, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise NotFound("load the image hello: this installation lacks pyctr/_bin/pyctr-hello") from None
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("hello")
        entry.mode, entry.size = 0o755, len(content)
        archive.addfile(entry, io.BytesIO(content))
    return import_layers(store, [layer.getvalue()], {"Cmd": ["/hello"]}, name=NAME, created=_EPOCH)
