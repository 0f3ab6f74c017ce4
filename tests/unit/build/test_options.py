"""Options of a build that are refused by name."""

from __future__ import annotations

import pytest

from pyctr.engine.build.options import parse_cache
from pyctr.errors import InvalidArgument


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("cache-to", "type=registry,ref=a/b,mode=most", "mode=most is not supported"),
        ("cache-to", "type=inline,mode=max", "mode=max is not supported"),
        ("cache-to", "type=local,dest=/x,compression=zstd", "compression=zstd is not supported"),
        ("cache-to", "type=local,dest=/x,mounts=some", "mounts=some is not supported"),
        ("cache-from", "type=local,src=/x,mounts=true", "mounts=true is not supported"),
        ("cache-from", "type=inline", "type is one of registry, local"),
        ("cache-to", "type=registry", "ref is missing"),
    ],
)
def test_cache_that_pyctr_does_not_know_is_refused(flag: str, text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_cache(text, flag)
