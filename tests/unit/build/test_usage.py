"""How much of the build cache stays."""

from __future__ import annotations

import pytest

from pyctr.engine.build.usage import Keep


@pytest.mark.parametrize(
    ("keep", "free", "stays"),
    [
        (Keep(), 10, None),
        (Keep(reserved=30), 10, 30),
        (Keep(max_used=40), 10, 40),
        (Keep(min_free=50), 10, 60),
        (Keep(min_free=50), 50, 100),
        (Keep(min_free=500), 10, 0),
        (Keep(max_used=40, min_free=50), 10, 40),
        (Keep(max_used=80, min_free=50), 10, 60),
        (Keep(max_used=40, reserved=70), 10, 70),
        (Keep(min_free=500, reserved=20), 10, 20),
    ],
)
def test_bound_of_a_cache_of_a_hundred_bytes(keep: Keep, free: int, stays: int | None) -> None:
    assert keep.bytes_of(100, free_bytes=free) == stays
