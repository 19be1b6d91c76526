"""The registry in memory that fails: it passes the suite of all registries while it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace.registry.kept import Checkpoint
from headrace.schemas.errors import ServiceError
from headrace.streams.twins.registry import UnreliableRegistry
from tests.unit.registry.snapshots import SnapshotSuite, snapshot
from tests.unit.registry.suite import WITNESS, RegistrySuite, Ticking, sha256, task


def made() -> UnreliableRegistry:
    return UnreliableRegistry(sha256, clock=Ticking())


class TestUnreliable(RegistrySuite, SnapshotSuite):
    @pytest.fixture
    def registry(self) -> UnreliableRegistry:
        return made()


@pytest.fixture
def registry() -> UnreliableRegistry:
    found = made()
    assert found.register_version("flights", "{}", "d1", {}) == 1
    assert found.insert_checkpoint("flights", 1, 0, Checkpoint(10, b"ten"))
    return found


def test_who_asks_a_silent_registry_hears_so_and_nothing_is_done(
    registry: UnreliableRegistry,
) -> None:
    registry.answers = False
    asked: list[Callable[[], object]] = [
        lambda: registry.witness(task()),
        lambda: registry.put_witness(task(), WITNESS),
        lambda: registry.newest_snapshot(task(), 99),
        lambda: registry.put_snapshot(task(), snapshot(10)),
        lambda: registry.checkpoint_head("flights", 1),
        lambda: registry.newest_checkpoint("flights", 1, 99),
        lambda: registry.checkpoint_state("flights", 1, 10),
        lambda: registry.insert_checkpoint("flights", 1, 10, Checkpoint(20, b"twenty")),
    ]
    for ask in asked:
        with pytest.raises(ServiceError, match="does not answer"):
            ask()
    registry.answers = True
    assert registry.witness(task()) is None
    assert registry.newest_snapshot(task(), 99) is None
    assert registry.checkpoint_head("flights", 1) == 10


def test_a_stale_registry_is_read_as_it_was_and_written_as_it_is(
    registry: UnreliableRegistry,
) -> None:
    registry.freeze()
    registry.put_witness(task(), WITNESS)
    assert registry.insert_checkpoint("flights", 1, 10, Checkpoint(20, b"twenty"))
    assert registry.witness(task()) is None
    assert registry.checkpoint_head("flights", 1) == 10
    assert registry.newest_checkpoint("flights", 1, 99) == Checkpoint(10, b"ten")
    assert registry.checkpoint_state("flights", 1, 20) is None
    # Whoever goes by what it reads is refused: its checkpoint does not build on the newest.
    assert not registry.insert_checkpoint("flights", 1, 10, Checkpoint(15, b"fifteen"))
    registry.thaw()
    assert registry.witness(task()) == WITNESS
    assert registry.checkpoint_head("flights", 1) == 20
    assert registry.newest_checkpoint("flights", 1, 99) == Checkpoint(20, b"twenty")
    assert registry.checkpoint_state("flights", 1, 20) == b"twenty"


def test_a_version_that_came_later_is_not_seen(registry: UnreliableRegistry) -> None:
    registry.freeze()
    assert registry.register_version("flights", "{}", "d2", {}) == 2
    assert registry.insert_checkpoint("flights", 2, 0, Checkpoint(5, b"five"))
    assert registry.checkpoint_head("flights", 2) == 0
    assert registry.newest_checkpoint("flights", 2, 99) is None


def test_snapshots_that_came_later_are_not_seen_and_those_of_then_are(
    registry: UnreliableRegistry,
) -> None:
    for offset in (10, 20):
        registry.put_snapshot(task(), snapshot(offset))
    registry.freeze()
    for offset in (30, 40):  # what was there at the freeze is deleted by this
        registry.put_snapshot(task(), snapshot(offset))
    registry.put_snapshot(task(1), snapshot(5))
    seen = [registry.newest_snapshot(task(), upto) for upto in (9, 19, 99)]
    assert seen == [None, snapshot(10), snapshot(20)]
    assert registry.newest_snapshot(task(1), 99) is None
    registry.thaw()
    seen = [registry.newest_snapshot(task(), upto) for upto in (29, 39, 99)]
    assert seen == [None, snapshot(30), snapshot(40)]
    assert registry.newest_snapshot(task(1), 99) == snapshot(5)
