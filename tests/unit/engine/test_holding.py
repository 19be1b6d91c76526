"""What waits for a task and what is under way: bounds, order, and a clean drop."""

from typing import Any

import pytest

from headrace.registry.kept import TaskId
from headrace.streams.engine import holding as holdings
from headrace.streams.engine.holding import Holding, Notices, Work
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut
from headrace.streams.protocol.stage import Effects
from headrace.streams.protocol.task import Batch, Spec, Task
from headrace.streams.records import Emit, Record

EMIT = [Emit("out", 0, None, b"", ())]


def holding(*topics: str) -> Holding:
    cut = Cut(tuple((topic, 10) for topic in topics))
    spec = Spec(TaskId("p", 1, "join", 3), topics)
    stage: Any = None
    return Holding(Task(spec, stage, "token", cut, cut, cut, Cache(10, whole=False)))


def records(topic: str, *offsets: int) -> list[Record]:
    return [Record(topic, 3, offset, 0, None, b"") for offset in offsets]


def done(work: Work | None) -> Work:
    assert work is not None
    end = work.holding.task.position
    work.batch = Batch(1, len(work.records), end, Effects(), {})
    work.done = True
    return work


def offsets(work: Work | None) -> list[int]:
    assert work is not None
    return [record.offset for record in work.records]


def test_records_are_handed_out_in_order_and_no_more_than_two_batches() -> None:
    held = holding("a")
    held.receive("a", records("a", 10, 11, 13, 14, 15))
    first, second = held.hand_out(2, None, None), held.hand_out(2, None, None)
    assert (offsets(first), offsets(second)) == ([10, 11], [13, 14])
    assert held.hand_out(2, None, None) is None
    assert held.waiting == 1
    done(second)
    assert held.finished() == []  # the first is not done yet: it is a prefix that is committed
    assert offsets(held.hand_out(2, None, None)) == [15]
    done(first)
    assert held.finished() == [first, second]
    assert held.busy
    assert held.fetch_positions() == {("a", 3): 16}


def test_batches_grow_from_small_ones() -> None:
    held = holding("a")
    held.receive("a", records("a", *range(10, 2_000)))
    sizes = []
    for _ in range(5):
        work = done(held.hand_out(500, None, None))
        sizes.append(len(work.records))
        assert held.finished() == [work]
    assert sizes == [64, 128, 256, 500, 500]


def test_batches_shrink_where_each_record_says_much() -> None:
    """A batch is part of one transaction, which must come to its end before its time-out."""
    held = holding("a")
    held.receive("a", records("a", *range(10, 2_000)))
    sizes = []
    for emits in (4 * holdings.EMITS_MAX, 0, 0):
        work = done(held.hand_out(500, None, None))
        work.batch = Batch(1, 1, held.task.position, Effects(EMIT * emits), {})
        sizes.append(len(work.records))
        assert held.finished() == [work]
    assert sizes == [64, 16, 32]


def test_what_came_before_is_passed_over() -> None:
    held = holding("a")
    held.receive("a", records("a", 7, 9, 10, 11))
    held.receive("a", records("a", 10, 11))
    assert offsets(held.hand_out(9, None, None)) == [10, 11]
    assert held.hand_out(9, None, None) is None


def test_one_input_can_be_preferred_to_the_other() -> None:
    held = holding("a", "b")
    held.receive("a", records("a", 10))
    held.receive("b", records("b", 10))
    assert [record.topic for record in done(held.hand_out(9, "b", None)).records] == ["b"]
    assert held.hand_out(9, "b", None) is None
    assert [record.topic for record in done(held.hand_out(9, None, None)).records] == ["a"]


def test_what_may_not_be_read_is_no_work() -> None:
    """So a task at its limit is not ended as one that stands still."""
    held = holding("a", "b")
    can_work = [held.can_work]
    held.receive("a", records("a", 10))
    can_work.append(held.can_work)
    assert held.hand_out(9, "b", None) is None
    assert held.busy
    can_work.append(held.can_work)
    held.receive("b", records("b", 10))
    can_work.append(held.can_work)
    done(held.hand_out(9, "b", None))
    can_work.append(held.can_work)
    held.finished()
    can_work.append(held.can_work)
    assert can_work == [False, True, False, True, True, False]
    assert offsets(held.hand_out(9, None, None)) == [10]


def test_notices_make_a_batch_without_records() -> None:
    held = holding("a")
    assert held.hand_out(9, None, None) is None
    work = held.hand_out(0, None, Notices(saved=5))
    assert work is not None
    assert (list(work.records), work.notices.saved) == ([], 5)


def test_a_full_input_is_paused_until_half_of_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "WAITING_MAX", 4)
    held = holding("a", "b")
    held.receive("a", records("a", 10, 11, 12, 13))
    assert held.to_pause() == [("a", 3)]
    assert held.to_pause() == []
    assert held.paused() == [("a", 3)]
    done(held.hand_out(1, None, None))
    assert held.to_resume() == []
    done(held.hand_out(1, None, None))
    assert held.to_resume() == [("a", 3)]
    assert held.paused() == []


def test_no_batch_while_too_much_waits_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "PINNED_MAX", 1)
    held = holding("a")
    held.receive("a", records("a", 10))
    held.task.cache.put("k", 1)
    held.task.cache.seal(1)
    assert held.hand_out(9, None, None) is None
    held.task.cache.written = 1
    held.task.cache.seal(2)
    assert held.hand_out(9, None, None) is not None


def test_an_error_of_a_batch_is_raised_to_whoever_commits() -> None:
    held = holding("a")
    held.receive("a", records("a", 10))
    work = held.hand_out(9, None, None)
    assert work is not None
    work.error, work.done = MemoryError("full"), True
    with pytest.raises(MemoryError, match="full"):
        held.finished()


def test_behind_a_batch_in_which_the_task_was_lost_nothing_counts() -> None:
    held = holding("a")
    held.receive("a", records("a", 10, 11))
    lost, later = held.hand_out(1, None, None), held.hand_out(1, None, None)
    assert lost is not None
    lost.done = True
    done(later)
    assert held.finished() == []
    assert not held.under_way


def test_a_dropped_task_has_nothing_left() -> None:
    held = holding("a")
    held.receive("a", records("a", 10, 11))
    held.hand_out(1, None, None)
    held.drop()
    assert held.gone
    assert not held.busy
