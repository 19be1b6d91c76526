"""What every registry must do with snapshots: run beside the suite of all it does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from headrace.registry.kept import SNAPSHOTS_KEPT, Snapshot, TaskId
from tests.unit.registry.suite import WITNESS, AnyRegistry, at_once, task


def snapshot(offset: int) -> Snapshot:
    return Snapshot(offset, f'[[["counts",{offset}]],"é"]', b"state at %d" % offset)


def kept_of(registry: AnyRegistry, of: TaskId, upto: int = 2**60) -> list[int]:
    """Return the offsets of all snapshots of a task that can be asked for, newest first."""
    newest = registry.newest_snapshot(of, upto)
    return [] if newest is None else [newest.offset, *kept_of(registry, of, newest.offset - 1)]


class SnapshotSuite:
    """A subclass gives the fixture ``registry``, migrated and empty."""

    def test_the_newest_snapshot_up_to_an_offset(self, registry: AnyRegistry) -> None:
        assert registry.newest_snapshot(task(), 2**60) is None
        ten, thirty = snapshot(10), snapshot(2**40)
        registry.put_snapshot(task(), ten)
        registry.put_snapshot(task(), thirty)
        newest = [registry.newest_snapshot(task(), n) for n in (9, 10, 2**40 - 1, 2**40, 2**60)]
        assert newest == [None, ten, ten, thirty, thirty]
        for other in (task(1), task(stage="join"), task(version=2), TaskId("rides", 1, "score", 0)):
            assert registry.newest_snapshot(other, 2**60) is None

    def test_an_empty_tasks_snapshot_is_one(self, registry: AnyRegistry) -> None:
        empty = Snapshot(0, '[[["counts",0]],""]', b"")
        registry.put_snapshot(task(), empty)
        assert registry.newest_snapshot(task(), 0) == empty

    def test_a_snapshot_may_be_big(self, registry: AnyRegistry) -> None:
        state = bytes(range(256)) * 40_000
        registry.put_snapshot(task(), Snapshot(7, "[]", state))
        newest = registry.newest_snapshot(task(), 7)
        assert newest is not None
        assert newest.state == state
        assert isinstance(newest.state, bytes)

    def test_what_is_there_at_an_offset_is_left(self, registry: AnyRegistry) -> None:
        for again in (snapshot(10), snapshot(10), Snapshot(10, "[]", b"another")):
            registry.put_snapshot(task(), again)
        assert registry.newest_snapshot(task(), 10) == snapshot(10)
        assert kept_of(registry, task()) == [10]

    def test_in_whatever_order_and_how_often_the_newest_are_kept(
        self, registry: AnyRegistry
    ) -> None:
        for number, order in enumerate({*permutations((10, 20, 20, 30))}):
            for offset in order:
                registry.put_snapshot(task(number), snapshot(offset))
            assert kept_of(registry, task(number)) == [30, 20], order
            assert registry.newest_snapshot(task(number), 29) == snapshot(20)

    def test_a_tasks_snapshots_displace_no_others(self, registry: AnyRegistry) -> None:
        registry.put_snapshot(task(1), snapshot(1))
        registry.put_snapshot(task(0, version=2), snapshot(2))
        for offset in (10, 20, 30):
            registry.put_snapshot(task(), snapshot(offset))
        assert kept_of(registry, task(1)) == [1]
        assert kept_of(registry, task(0, version=2)) == [2]

    @pytest.mark.parametrize("registered", [True, False])
    def test_owners_at_once_agree(self, registry: AnyRegistry, registered: bool) -> None:
        """A zombie and its successor write the same states, and neither hears of the other."""

        def owner() -> Callable[[], None]:
            def write() -> None:
                for offset in range(10, 70, 10):
                    registry.put_snapshot(task(), snapshot(offset))

            return write

        if registered:
            registry.register_version("flights", "{}", "d1", {})
        assert at_once(*(owner() for _ in range(3))) == [None] * 3
        kept = kept_of(registry, task())
        assert kept[:SNAPSHOTS_KEPT] == [60, 50]
        assert len(kept) == SNAPSHOTS_KEPT or not registered  # without a row to take turns at

    def test_who_is_forgotten_has_no_snapshot(self, registry: AnyRegistry) -> None:
        tasks = [task(0), task(1), task(0, stage="join"), task(0, version=2)]
        rides = TaskId("rides", 1, "score", 0)
        for each in (*tasks, rides):
            registry.put_snapshot(each, snapshot(10))
        registry.put_witness(tasks[1], WITNESS)
        registry.forget_task(tasks[0])
        assert [kept_of(registry, each) for each in tasks] == [[], [10], [10], [10]]
        registry.forget_stage("flights", 1, "score")
        assert [kept_of(registry, each) for each in tasks] == [[], [], [10], [10]]
        assert registry.witness(tasks[1]) is None
        registry.forget_pipeline("flights")
        assert [kept_of(registry, each) for each in tasks] == [[], [], [], []]
        assert kept_of(registry, rides) == [10]
        registry.put_snapshot(tasks[0], snapshot(5))  # older than what is forgotten
        assert kept_of(registry, tasks[0]) == [5]

    def test_snapshots_are_listed_without_their_states(self, registry: AnyRegistry) -> None:
        assert registry.snapshots("flights") == []
        registry.put_snapshot(task(1), snapshot(7))
        for offset in (10, 20, 30):
            registry.put_snapshot(task(), snapshot(offset))
        registry.put_snapshot(TaskId("rides", 1, "score", 0), snapshot(10))
        infos = registry.snapshots("flights")
        assert [(info.task, info.offset, info.size_bytes) for info in infos] == [
            (task(), 20, 11),
            (task(), 30, 11),
            (task(1), 7, 10),
        ]
        assert infos[1].created_at > infos[0].created_at > infos[2].created_at

    def test_snapshots_are_forgotten_without_the_task(self, registry: AnyRegistry) -> None:
        for number in (0, 1):
            registry.put_witness(task(number), WITNESS)
            registry.put_snapshot(task(number), snapshot(10))
        registry.forget_snapshots(task(0))
        assert [kept_of(registry, task(number)) for number in (0, 1)] == [[], [10]]
        assert registry.witness(task(0)) == WITNESS

    def test_chains_are_forgotten_without_snapshots(self, registry: AnyRegistry) -> None:
        registry.put_snapshot(task(), snapshot(10))
        registry.forget_checkpoints("flights", 1)
        assert kept_of(registry, task()) == [10]
