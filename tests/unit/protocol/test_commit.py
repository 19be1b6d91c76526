"""Committing and processing: order of effects, lost tasks, checkpoints that race, poison."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.registry.kept import Checkpoint
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import Cut, Fenced, Lost, UnknownOutcome
from headrace.streams.protocol.stage import Context, Effects, Stage, View
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import Batch, Spec, Task, process
from tests.unit.protocol.parts import IN, LEARN, SPEC, TASK, UNLUCKY, Adds, Learns, World, failing


def ready(stage: Stage | None = None, spec: Spec = SPEC) -> tuple[World, Ports, Task, Batch]:
    """Return a world with a task that was taken over, and a batch of it to be committed."""
    world = World()
    ports = world.ports()
    task = world.taken(ports, stage, spec)
    world.publish(1)
    return world, ports, task, world.batch(task, ports)


def test_kafka_comes_before_the_store_and_the_checkpoint_last() -> None:
    _, ports, task, batch = ready()
    points: list[str] = []
    drive(commit([(task, [batch])], ports), points.append)
    assert [point for point in points if point.startswith("before:")] == [
        "before:log.begin", "before:log.produce", "before:log.send_offsets", "before:log.end",
        "before:store.write",
    ]  # fmt: skip
    assert task.acked == task.target == batch.end


def test_nothing_finished_is_nothing_done() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports)
    task.lost = True
    points: list[str] = []
    drive(commit([], ports), points.append)
    drive(commit([(task, [])], ports), points.append)
    assert points == []


def test_a_task_that_the_store_gives_to_another_is_lost() -> None:
    world, ports, task, batch = ready()
    world.store.claim(TASK, "another")
    drive(commit([(task, [batch])], ports))
    assert task.lost
    assert task.acked != batch.end


def test_without_a_snapshot_there_is_no_checkpoint() -> None:
    world, ports, task, batch = ready(Learns(), LEARN)
    batch.effects.snapshot = None
    drive(commit([(task, [batch])], ports, checkpoint=True))
    assert world.registry.checkpoint_head("p", 1) == 0


def test_a_checkpoint_that_came_second_builds_on_the_first() -> None:
    world, ports, task, batch = ready(Learns(), LEARN)
    world.registry.insert_checkpoint("p", 1, 0, Checkpoint(9, b"other"))
    drive(commit([(task, [batch])], ports, checkpoint=True))
    assert task.checkpointed == 9
    world.publish(2)
    drive(commit([(task, [world.batch(task, ports)])], ports, checkpoint=True))
    assert world.registry.checkpoint_head("p", 1) == 9  # it is ahead: ours is not appended


def test_a_refusal_of_kafka_comes_out() -> None:
    _, ports, task, batch = ready()
    with pytest.raises(UnknownOutcome):
        drive(commit([(task, [batch])], ports), failing(4, UnknownOutcome("log.end")))


def test_a_process_whose_slot_has_a_newer_one_is_fenced() -> None:
    world, ports, task, batch = ready()
    world.ports()
    with pytest.raises(Fenced):
        drive(commit([(task, [batch])], ports))


def test_a_poison_record_is_found_and_the_others_go_on() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports, Adds(whole=True))
    world.publish(1)
    world.broker.append((IN, 0), b"k", b"x")
    world.publish(UNLUCKY, 2)
    drive(commit([(task, [world.batch(task, ports)])], ports, checkpoint=True))
    assert world.out() == [b"1", b"poison", b"poison", b"3"]


class Failing(Adds):
    """Fails as soon as it is more than a restore."""

    error: type[Exception] = ArithmeticError

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        if not context.restoring:
            raise self.error
        return Effects()


class Greedy(Failing):
    error = MemoryError


def test_a_full_memory_is_no_records_fault() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports, Greedy())
    world.publish(1, 2)
    with pytest.raises(MemoryError):
        world.batch(task, ports)


class Broken(Learns):
    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        raise ArithmeticError


def test_a_learner_cannot_be_rolled_back() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports, Broken(), LEARN)
    world.publish(1, 2)
    with pytest.raises(ArithmeticError):
        world.batch(task, ports)


def test_a_failure_without_a_record_is_the_stages() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports, Failing())
    with pytest.raises(ArithmeticError):
        drive(process(task, (), ports.store, Context()))


def test_a_read_of_another_cut_is_a_lost_task() -> None:
    world = World()
    ports = world.ports()
    task = world.taken(ports)
    world.publish(1)
    drive(commit([(task, [world.batch(task, ports)])], ports))
    task.cache = Cache(10, whole=False)  # as if its key had been evicted
    world.store.fail_over(1)
    world.publish(2)
    with pytest.raises(Lost, match="the store holds"):
        world.batch(task, ports)


def test_cuts_compare_as_text() -> None:
    cut = Cut((("a", 1), ("b", 2)), "m")
    assert Cut.decode(cut.encode()) == cut
    assert cut.moved({"b": 5}).offsets == (("a", 1), ("b", 5))
    assert cut.moved({}, "n").meta == "n"
