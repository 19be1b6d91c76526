"""The keeper: snapshots are handed over, and kept by a thread."""

from __future__ import annotations

from threading import Event

from headrace.registry.kept import Snapshot, TaskId
from headrace.streams.engine.keeper import Keeper

ONE, OTHER = TaskId("p", 1, "monitor", 0), TaskId("p", 1, "monitor", 1)
WAIT_S = 10.0


def test_the_newest_of_each_task_is_kept_while_nobody_waits() -> None:
    kept: list[tuple[TaskId, int]] = []
    slow, done = Event(), Event()

    def put(task: TaskId, snapshot: Snapshot) -> None:
        assert slow.wait(WAIT_S)
        kept.append((task, snapshot.offset))
        if len(kept) == 3:
            done.set()

    keep = Keeper(put)
    keep(ONE, Snapshot(1, "", b""))
    while keep._waiting:
        pass
    for offset in (2, 3):
        keep(ONE, Snapshot(offset, "", b""))
    keep(OTHER, Snapshot(7, "", b""))
    assert not kept
    slow.set()
    assert done.wait(WAIT_S)
    assert kept[0] == (ONE, 1)
    assert sorted(kept[1:]) == [(ONE, 3), (OTHER, 7)]


def test_what_cannot_be_kept_stops_nothing() -> None:
    done = Event()

    def put(task: TaskId, snapshot: Snapshot) -> None:
        if snapshot.offset == 1:
            raise OSError("no space left")
        done.set()

    keep = Keeper(put)
    keep(ONE, Snapshot(1, "", b""))
    while keep._waiting:
        pass
    keep(ONE, Snapshot(2, "", b""))
    assert done.wait(WAIT_S)
