"""Our engine and a real docker side by side, emptied after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenario.pair import Pair, paired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli


@pytest.fixture(scope="module")
def both(cli: Cli) -> Iterator[Pair]:
    """A module's pair of engines."""
    with paired(cli) as pair:
        yield pair


@pytest.fixture
def pair(both: Pair) -> Iterator[Pair]:
    """The pair, of whose containers and volumes nothing is left to the next test."""
    yield both
    both.empty()
