"""Keys of the cache: digests of all that decides about a step's outcome (docs/build-execute.md, "Cache")."""

from __future__ import annotations

from pyctr._core import sha256

#: Whoever changes what a step does with the same input changes this.
VERSION = "pyctr-build-1"


def key_of(*parts: str) -> str:
    """A digest of words, each with its length, so that no two lists look alike."""
    pieces = [VERSION.encode()]
    for part in parts:
        data = part.encode(errors="surrogateescape")
        pieces += (len(data).to_bytes(8, "big"), data)
    return sha256(b"".join(pieces))
