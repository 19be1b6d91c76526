"""A task that does not move, although there is work or unread input, is seen and said why."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.registry.kept import TaskId
from headrace.streams.engine import holding as holdings
from headrace.streams.engine.holding import Holding
from headrace.streams.engine.standstill import Standstill
from headrace.streams.engine.waits import Waits
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, Dead
from headrace.streams.protocol.task import Spec, Task
from headrace.streams.records import Record, TopicPartition

KEY = TaskId("p", 1, "join", 0)


class Ends:
    """A log of which the ends are known: a record stands at each of these offsets."""

    def __init__(self, **offsets: list[int]) -> None:
        self.offsets = offsets
        self.ends = {topic: each[-1] + 1 if each else 0 for topic, each in offsets.items()}
        self.seen: dict[str, int | None] = dict.fromkeys(offsets)
        self.reads = self.asks = 0
        self.away = False

    def lag(self, tp: TopicPartition, position: int) -> int | None:
        end = self.seen[tp[0]]
        return None if end is None else max(0, end - position)

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        self.asks += 1
        if self.away:
            raise Dead("nobody answers")
        return 0, self.ends[tp[0]]

    def read(self, tp: TopicPartition, start: int, stop: int) -> list[Record]:
        self.reads += 1
        return [
            Record(tp[0], tp[1], at, 0, None, b"")
            for at in self.offsets[tp[0]]
            if start <= at < stop
        ]


class World:
    def __init__(self, ends: Ends, *topics: str, at: int = 0) -> None:
        self.now = 100.0
        self.ends = ends
        self.waits = Waits(lambda: self.now)
        self.standstill = Standstill(ends, self.waits, lambda: self.now)
        cut = Cut(tuple((topic, at) for topic in topics))
        stage: Any = None
        spec = Spec(KEY, topics)
        task = Task(spec, stage, "token", cut, cut, cut, Cache(10, whole=False))
        self.holding = Holding(task)
        self.beside: dict[TopicPartition, int] = {}

    def passes(self, seconds: int) -> list[str]:
        """Let time pass; return what is waited for then."""
        for _ in range(seconds):
            self.standstill.look({KEY: self.holding}, self.beside)
            self.now += 1
        return [f"{each['who']}: {each['what']}" for each in self.waits.standing()]

    def receive(self, topic: str, *offsets: int) -> None:
        records = [Record(topic, 0, at, 0, None, b"") for at in offsets]
        self.holding.receive(topic, records)


def test_input_that_is_not_fetched_is_seen_though_nothing_was_ever_fetched() -> None:
    world = World(Ends(a=[0, 1, 2]), "a")
    assert world.passes(3) == []
    assert world.passes(10) == ["p/v1/join/0: records of a-0 from 0 on, which are not fetched"]
    assert world.waits.overdue(5)  # the guard ends the process
    world.receive("a", 0)
    assert world.passes(1) == []


def test_what_was_seen_of_the_end_costs_no_question() -> None:
    world = World(Ends(a=[0, 1, 2]), "a")
    world.ends.seen["a"] = 3
    assert len(world.passes(12)) == 1
    assert world.ends.asks == 0


def test_control_records_behind_the_last_one_are_nothing_to_be_fetched() -> None:
    world = World(Ends(a=[0, 1]), "a", at=2)
    world.ends.ends["a"] = world.ends.seen["a"] = 5
    assert world.passes(60) == []
    assert world.ends.reads == 1  # read once, and known
    world.ends.offsets["a"].append(6)
    world.ends.ends["a"] = 7  # its fetches have stopped: the end that was seen stays
    assert world.passes(12) == ["p/v1/join/0: records of a-0 from 2 on, which are not fetched"]


def test_a_task_at_the_end_of_its_input_waits_for_nothing() -> None:
    world = World(Ends(a=[0, 1], b=[]), "a", "b")
    world.receive("a", 0, 1)
    work = world.holding.hand_out(9, None, None)
    assert work is not None
    work.done = True
    world.holding.finished()
    assert world.passes(60) == []


def test_a_batch_that_an_agent_keeps_is_said_and_bounded() -> None:
    world = World(Ends(a=[0]), "a")
    world.receive("a", 0)
    world.holding.hand_out(9, None, None)
    assert world.passes(12) == ["p/v1/join/0: its agent, which has 1 records"]
    assert world.waits.overdue(5)


def test_one_that_waits_for_a_commit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Ends(a=[0]), "a")
    world.receive("a", 0)
    work = world.holding.hand_out(9, None, None)
    assert work is not None
    work.done = True
    assert world.passes(12) == ["p/v1/join/0: a commit"]
    world.holding.finished()
    monkeypatch.setattr(holdings, "PINNED_MAX", 0)
    world.receive("a", 1)
    assert world.passes(12) == ["p/v1/join/0: a commit"]


def test_records_that_nobody_hands_out_are_said() -> None:
    world = World(Ends(a=[0]), "a")
    world.receive("a", 0)
    assert world.passes(12) == ["p/v1/join/0: its records to be handed out"]
    assert world.waits.overdue(5)


def test_a_join_that_is_full_waits_for_its_other_input_and_is_not_ended() -> None:
    world = World(Ends(a=[0], b=[]), "a", "b")
    world.receive("a", 0)
    assert world.holding.hand_out(9, "b", None) is None
    assert world.passes(0) == []
    (waits,) = world.passes(12)
    assert waits.startswith("p/v1/join/0: records of b: that input is behind")
    assert not world.waits.overdue(5)
    world.receive("b", 0)
    assert world.passes(1) == []


def test_models_that_are_not_fetched_are_seen_as_well() -> None:
    world = World(Ends(a=[], m=[0]), "a")
    world.beside = {("m", 0): 0}
    assert world.passes(12) == ["m-0: records of m-0 from 0 on, which are not fetched"]
    world.beside = {}
    assert world.passes(2) == []


def test_while_kafka_is_away_that_is_what_idle_tasks_wait_for() -> None:
    world = World(Ends(a=[0]), "a", at=1)
    world.ends.away = True
    assert world.passes(12) == ["idle tasks: Kafka (nobody answers)"]
    assert not world.waits.overdue(5)
    world.ends.away = False
    assert world.passes(2) == []


def test_many_idle_partitions_are_asked_about_a_few_at_a_time() -> None:
    topics = [f"t{number}" for number in range(10)]
    world = World(Ends(**{topic: [] for topic in topics}), *topics)
    world.passes(5)
    before = world.ends.asks
    world.passes(1)
    assert world.ends.asks - before == 4
    world.ends.offsets["t9"].append(0)
    world.ends.ends["t9"] = 1
    assert any("t9-0" in each for each in world.passes(12))
