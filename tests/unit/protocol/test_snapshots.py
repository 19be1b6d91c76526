"""Snapshots: an emptied store is restored from the newest one, and no wrong one is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.schemas.errors import Refused, ServiceError
from headrace.streams.protocol import snapshots
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import Cut, Snapshot
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import Task
from tests.unit.protocol.parts import IN, SPEC, TASK, UNLUCKY, Adds, World

KEPT = replace(SPEC, snapshot_records=3)


def owned() -> tuple[World, Ports, Task]:
    """Return a world, and a process in it that owns the task."""
    world = World()
    ports = world.ports()
    return world, ports, world.taken(ports, Adds(whole=True), KEPT)


def run(world: World, task: Task, ports: Ports, *numbers: int) -> None:
    """Process numbers, each in a commit of its own."""
    for number in numbers:
        world.publish(number)
        drive(commit([(task, [world.batch(task, ports)])], ports))


def sums(task: Task) -> Any:
    return dict(task.cache.items())


def test_a_state_is_kept_each_so_many_records() -> None:
    world, ports, task = owned()
    run(world, task, ports, 1, 2)
    assert world.registry.newest_snapshot(TASK, 100) is None
    run(world, task, ports, 3, 4, 5)
    found = world.registry.newest_snapshot(TASK, 100)
    assert found is not None
    assert found.offset == task.snapshot_at < task.acked.offsets[0][1]
    assert Cut.decode(found.cut) == Cut(((IN, found.offset),))
    run(world, task, ports, 6)
    assert world.registry.newest_snapshot(TASK, 100) != found


def test_a_big_state_is_kept_more_seldom() -> None:
    world, ports, task = owned()
    run(world, task, ports, 1, 2, 3)
    kept_at, task.snapshot_bytes = task.snapshot_at, 4_000
    run(world, task, ports, *[1] * 4)
    assert task.snapshot_at == kept_at
    run(world, task, ports, *[1] * 8)
    assert task.snapshot_at > kept_at


def test_a_state_that_is_too_big_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_BYTES_MAX", 3)
    world, ports, task = owned()
    run(world, task, ports, 1, 2, 3, 4)
    assert task.snapshot_at
    assert world.registry.newest_snapshot(TASK, 100) is None


def test_an_emptied_store_is_restored_from_the_newest_snapshot() -> None:
    world, ports, task = owned()
    run(world, task, ports, 1, 2, 3, 4, 5)
    world.store.wipe()
    replayed: list[int] = []

    class Notes(Adds):
        def apply(self, prepared: Any, *rest: Any) -> Any:
            replayed.extend(number for _, number in prepared)
            return super().apply(prepared, *rest)

    again = world.ports()
    restored = world.taken(again, Notes(whole=True), KEPT)
    assert replayed == [4, 5]
    assert sums(restored) == sums(task)
    assert restored.snapshot_at == task.snapshot_at
    run(world, restored, again, 6)
    assert sums(restored)["b'k'"] == 21


@pytest.mark.parametrize(
    "wrong",
    [
        Snapshot(5, Cut(((IN, 99),)).encode(), b"\x80"),  # beyond what is committed
        Snapshot(5, Cut((("other", 5),)).encode(), b"\x80"),
        Snapshot(5, "no cut", b"\x80"),
        Snapshot(5, Cut(((IN, 5),)).encode(), b"\xc1"),  # no state
    ],
)
def test_a_snapshot_that_cannot_be_is_not_believed(wrong: Snapshot) -> None:
    world, ports, task = owned()
    run(world, task, ports, 1, 2, 3, 4, 5)
    world.registry.put_snapshot(TASK, wrong)
    world.store.wipe()
    assert sums(world.taken(world.ports(), Adds(whole=True), KEPT)) == sums(task)


@pytest.mark.parametrize("wiped", [True, False])
def test_a_snapshot_ahead_of_the_log_is_refused(wiped: bool) -> None:
    """The log has lost its tail: what it will be given next is not what the snapshot knows."""
    world, ports, task = owned()
    run(world, task, ports, 1, 2, 3)
    world.registry.put_snapshot(TASK, Snapshot(9, Cut(((IN, 9),)).encode(), b"\x80"))
    if wiped:
        world.store.wipe()
    with pytest.raises(Refused, match="the snapshot is ahead of the log") as refused:
        world.taken(world.ports(), Adds(whole=True), KEPT)
    assert "headrace rebuild" in refused.value.remedy


def test_a_snapshot_before_the_task_s_history_is_not_believed() -> None:
    world = World()
    world.publish(UNLUCKY, 1, 2)
    ports = world.ports()
    task = world.taken(ports, Adds(whole=True), KEPT, start_at_end=True)
    world.registry.put_snapshot(TASK, Snapshot(1, Cut(((IN, 1),)).encode(), b"\x80"))
    run(world, task, ports, 3)
    world.store.wipe()
    restored = world.taken(world.ports(), Adds(whole=True), KEPT)
    assert sums(restored) == sums(task) == {"b'k'": 3}


def test_a_registry_that_is_away_delays_nothing() -> None:
    def away(*_: Any) -> None:
        raise ServiceError("away")

    world = World()
    ports = replace(world.ports(), keep=away)
    task = world.taken(ports, Adds(whole=True), KEPT)
    run(world, task, ports, 1, 2, 3, 4)
    assert sums(task)["b'k'"] == 10
    assert world.registry.newest_snapshot(TASK, 100) is None
    assert task.snapshot_at


def test_a_task_that_is_somebody_else_s_keeps_nothing() -> None:
    world, ports, task = owned()
    run(world, task, ports, 1, 2)
    world.publish(3)
    batch = world.batch(task, ports)
    world.store.claim(TASK, "another")
    drive(commit([(task, [batch])], ports))
    assert task.lost
    assert world.registry.newest_snapshot(TASK, 100) is None


def test_a_store_that_changes_hands_or_forgets_before_it_is_read_is_not_kept() -> None:
    world, ports, task = owned()
    run(world, task, ports, 1)
    world.store.wipe()
    lost = []
    for owner in (task.token, "another"):  # a replica that has the claim, and no write yet
        world.store.claim(TASK, owner)
        drive(snapshots.take(task, ports.store, world.registry.put_snapshot))
        lost.append(task.lost)
    assert lost == [False, True]
    assert world.registry.newest_snapshot(TASK, 100) is None
