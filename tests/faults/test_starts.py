"""Workers that are started on a backlog all go on; the long form is ``tests.faults.starts``."""

from __future__ import annotations

import pytest

from headrace.app.stack.stack import Stack
from tests.faults.starts import Starts, Way

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

EVENTS, WAITING = 12_000, 500
"""So few records wait before an input is paused that each rebalance meets paused ones."""


@pytest.fixture(scope="module")
def starts(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Starts:
    return Starts(tmp_path_factory.mktemp("starts"), stack, EVENTS, WAITING)


@pytest.mark.parametrize("way", [Way(2, 0.4), Way(4, 0.2), Way(2, 0.0)], ids=str)
def test_no_partition_stands_still(starts: Starts, way: Way) -> None:
    """Before, a partition that was paused in one of three such starts was never read again."""
    for took in starts.start(way, ("score", "join")):
        if took.still:
            pytest.fail(took.still)
        assert took.records >= EVENTS
