"""When a checkpoint is due: seldom enough, once at a time; and what the learner is told."""

from types import SimpleNamespace
from typing import Any

from headrace.streams.engine.checkpoints import DUMPS, Cadence
from headrace.streams.engine.holding import Notices
from headrace.streams.protocol.stage import Effects


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def task(checkpointed: int = 0, *, wants: bool = False) -> Any:
    return SimpleNamespace(checkpointed=checkpointed, stage=SimpleNamespace(wants_checkpoint=wants))


def work(records: int = 1, snapshot: bytes | None = None) -> Any:
    batch = SimpleNamespace(effects=Effects(snapshot=snapshot))
    return SimpleNamespace(records=[None] * records, batch=batch)


def test_nothing_is_due_before_something_is_learned() -> None:
    clock = Time()
    cadence = Cadence(lambda: 0.0, 10, clock)
    clock.now += 100
    assert cadence.notices(task()) is None
    cadence.committed([work()], 0.0)
    assert cadence.notices(task()) == Notices(None, snapshot=True)


def test_it_is_asked_for_once_until_it_comes() -> None:
    clock = Time()
    cadence = Cadence(lambda: 0.0, 10, clock)
    cadence.committed([work()], 0.0)
    assert cadence.notices(task()) is None
    clock.now += 10
    notices = cadence.notices(task())
    assert notices is not None
    assert cadence.notices(task()) == notices  # it was not handed out: still due
    cadence.handed(notices)
    assert cadence.notices(task()) is None
    cadence.committed([work(snapshot=b"s")], 0.0)
    assert not cadence.unsaved
    clock.now += 100
    assert cadence.notices(task()) is None


def test_a_slow_dump_is_made_seldom() -> None:
    clock = Time()
    cadence = Cadence(lambda: 2.0, 10, clock)
    cadence.committed([work(snapshot=b"s")], 1.0)
    cadence.committed([work()], 0.0)
    clock.now += DUMPS * 3 - 1
    assert cadence.notices(task()) is None
    clock.now += 1
    assert cadence.notices(task()) == Notices(None, snapshot=True)


def test_a_learner_that_waits_for_a_checkpoint_gets_it_at_once() -> None:
    cadence = Cadence(lambda: 0.0, 10, Time())
    assert cadence.notices(task(wants=True)) == Notices(None, snapshot=True)


def test_it_is_told_of_each_checkpoint_once() -> None:
    cadence = Cadence(lambda: 0.0, 10, Time())
    assert cadence.notices(task(5)) is None
    notices = cadence.notices(task(9))
    assert notices == Notices(9, snapshot=False)
    told: list[int] = []
    stage: Any = SimpleNamespace(saved=told.append, snapshot_due=False)
    cadence.tell(stage, notices)
    cadence.handed(notices)
    assert (told, stage.snapshot_due) == ([9], False)
    assert cadence.notices(task(9)) is None
    cadence.tell(stage, Notices(None, snapshot=True))
    assert stage.snapshot_due
