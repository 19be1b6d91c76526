"""When MONITOR hears that counts have stopped: as long after the last of them as its pace."""

from types import SimpleNamespace
from typing import Any

from headrace.streams.engine.holding import Notices
from headrace.streams.engine.quiet import Quiet
from tests.unit.engine.test_checkpoints import Time


def monitor(*, unemitted: bool = True) -> Any:
    return SimpleNamespace(stage=SimpleNamespace(unemitted=unemitted, flush_due=False))


def work(task: Any, records: int = 1) -> Any:
    return SimpleNamespace(records=[None] * records, holding=SimpleNamespace(task=task))


def test_monitor_hears_of_it_once_in_a_pace() -> None:
    clock, task = Time(), monitor()
    quiet = Quiet(10, clock)
    assert quiet.notices(task) is None
    clock.now += 10
    notices = quiet.notices(task)
    assert notices == Notices(quiet=True)
    quiet.tell(task.stage, notices)
    assert task.stage.flush_due
    quiet.handed(notices)
    assert quiet.notices(task) is None
    clock.now += 10
    assert quiet.notices(task) == notices, "the batch may have been lost"


def test_while_counts_come_nothing_has_stopped() -> None:
    clock, task = Time(), monitor()
    quiet = Quiet(10, clock)
    for _ in range(5):
        clock.now += 9
        quiet.committed([work(task)], 0.0)
        assert quiet.notices(task) is None
    clock.now += 9
    quiet.committed([work(task, 0)], 0.0)  # a batch without records
    quiet.committed([work(SimpleNamespace(stage=SimpleNamespace()))], 0.0)  # of another stage
    clock.now += 1
    assert quiet.notices(task) == Notices(quiet=True)


def test_who_has_nothing_to_say_and_other_stages_hear_nothing() -> None:
    clock = Time()
    quiet = Quiet(10, clock)
    clock.now += 100
    assert quiet.notices(monitor(unemitted=False)) is None
    other: Any = SimpleNamespace(stage=SimpleNamespace())
    assert quiet.notices(other) is None
    quiet.tell(other.stage, Notices())
    assert not hasattr(other.stage, "flush_due")
    assert not quiet.unsaved
