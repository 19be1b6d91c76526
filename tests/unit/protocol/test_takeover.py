"""Taking over: what is restored, and each thing that is refused, with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from headrace.registry.kept import Checkpoint
from headrace.schemas.errors import Refused
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import Committed, Lost, Unstable
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import Task
from headrace.streams.records import TopicPartition
from tests.unit.protocol.parts import BESIDE, BOTH, IN, LEARN, SPEC, TASK, Adds, Learns, World


def worked(world: World, *numbers: int) -> tuple[Ports, Task]:
    """Return a worker that has taken over, and committed these numbers."""
    ports = world.ports()
    task = world.taken(ports)
    world.publish(*numbers)
    drive(commit([(task, [world.batch(task, ports)])], ports))
    return ports, task


def test_a_first_start_begins_at_the_head_and_is_pinned_and_witnessed() -> None:
    world = World()
    world.publish(1, 2)
    task = world.taken(world.ports())
    assert task.position.offsets == ((IN, 0),)
    assert world.registry.witness(TASK) is not None
    found = world.broker.committed("group", [(IN, 0)])[IN, 0]
    assert found == Committed(0, "pinned")


def test_a_first_start_may_begin_at_the_end() -> None:
    world = World()
    world.publish(1, 2)
    assert world.taken(world.ports(), start_at_end=True).position.next_of(IN) == 2


@pytest.mark.parametrize("whole", [False, True])
def test_the_next_worker_goes_on_where_the_last_one_committed(whole: bool) -> None:
    world = World()
    worked(world, 1, 2)
    world.publish(10)
    ports = world.ports()
    stage = Adds(whole=whole)
    task = world.taken(ports, stage)
    assert stage.loads == whole
    assert task.position.next_of(IN) == 2
    drive(commit([(task, [world.batch(task, ports)])], ports))
    assert world.out() == [b"1", b"3", b"13"]


def test_lost_state_is_restored_without_emitting() -> None:
    world = World()
    worked(world, 1, 2, 3)
    world.store.wipe()
    ports = world.ports()
    task = world.taken(ports)
    assert task.acked.next_of(IN) == 3
    world.publish(4)
    drive(commit([(task, [world.batch(task, ports)])], ports))
    assert world.out() == [b"1", b"3", b"6", b"10"]


def test_a_restore_reads_the_input_that_is_behind_in_time_first() -> None:
    world = World(IN, BESIDE)
    ports = world.ports()
    task = world.taken(ports, spec=BOTH)
    world.broker.append((BESIDE, 0), b"k", b"5", timestamp_ms=1)
    world.broker.append((IN, 0), b"k", b"7", timestamp_ms=2)
    batches = [world.batch(task, ports, IN), world.batch(task, ports, BESIDE)]
    drive(commit([(task, batches)], ports))
    world.store.wipe()
    again = world.taken(world.ports(), spec=BOTH)
    assert again.acked.offsets == ((IN, 1), (BESIDE, 1))
    assert world.store.peek(TASK)[1] == {"b'k'": b"\x0c"}


@pytest.mark.parametrize(("answers", "said"), [(3, 0), (10, 0), (11, 1), (25, 2)])
def test_offsets_that_are_pending_are_asked_for_until_they_are_stable(
    answers: int, said: int
) -> None:
    world = World()
    ports, task = worked(world, 1)
    world.publish(2)
    batch = world.batch(task, ports)
    ports.log.begin()
    ports.log.send_offsets({(IN, 0): Committed(batch.end.next_of(IN))})
    other = world.ports("other")
    points: Counter[str] = Counter()

    def hook(point: str) -> None:
        points[point] += 1
        if points["before:log.committed"] == answers:
            ports.log.end()

    taken = drive(take_over(SPEC, Adds(), other, "token-b"), hook)
    assert points["before:log.committed"] == answers
    assert points["before:log.wait"] == said
    assert taken.position.next_of(IN) == 2
    with pytest.raises(Lost):
        ports.store.read(TASK, task.token, ())


@pytest.mark.parametrize("old", [None, Committed(0), Committed(2)])
def test_offsets_that_the_state_contradicts_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, old: Committed | None
) -> None:
    world = World()
    worked(world, 1, 2, 3)
    ports = world.ports()
    waited = answer_old_offsets(monkeypatch, ports, old, times=3)
    assert world.taken(ports).position.next_of(IN) == 3
    assert waited == [f"{TASK}: the committed offsets are behind its state"] * 3


def test_a_learner_asks_again_for_offsets_that_its_checkpoint_contradicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    learned(world, 1, 2)
    ports, again = world.ports(), Learns()
    waited = answer_old_offsets(monkeypatch, ports, Committed(1), times=2)
    world.taken(ports, again, LEARN)
    assert (again.total, len(waited)) == (3, 2)


def test_one_offset_of_two_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(IN, BESIDE)
    ports = world.ports()
    task = world.taken(ports, spec=BOTH)
    drive(commit([(task, [world.batch(task, ports, IN)])], ports))
    world.store.wipe()
    world.registry.forget_task(TASK)
    other = world.ports()
    waited = answer_old_offsets(monkeypatch, other, None, times=1)
    world.taken(other, spec=BOTH)
    assert len(waited) == 1


def answer_old_offsets(
    patch: pytest.MonkeyPatch, ports: Ports, old: Committed | None, *, times: int
) -> list[str]:
    """Have the first answers say that ``in`` is where it was; return why was waited."""
    true, waited = ports.log.committed, list[str]()

    def committed(tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed | None]:
        found = true(tps)
        return {**found, (IN, 0): old} if len(waited) < times else found

    patch.setattr(ports.log, "committed", committed)
    patch.setattr(ports.log, "wait", waited.append)
    return waited


def refused(world: World, ports: Ports | None = None) -> str:
    with pytest.raises(Refused) as found:
        world.taken(ports or world.ports())
    return str(found.value)


def recreate(world: World) -> None:
    world.broker.create(IN, 1)


def repartition(world: World) -> None:
    witness = world.registry.witness(TASK)
    assert witness is not None
    world.registry.put_witness(TASK, witness._replace(partitions=((IN, 4),)))


def expire(world: World) -> None:
    world.broker.expire_offsets("group", [(IN, 0)])


def forget_all_but_offsets(world: World) -> None:
    world.store.wipe()
    world.registry.forget_task(TASK)
    world.broker.cut_head((IN, 0), 1)


def cut_and_wipe(world: World) -> None:
    world.store.wipe()
    world.broker.cut_head((IN, 0), 2)


def step_back(world: World) -> None:
    ports = world.ports("elsewhere")
    ports.log.begin()
    ports.log.send_offsets({(IN, 0): Committed(1)})
    ports.log.end()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (recreate, "topic in was recreated"),
        (repartition, "topic in had 4 partitions, it has 1"),
        (expire, "no committed offset for in-0, although the task has been started before"),
        (forget_all_but_offsets, "neither the store nor the registry knows the task"),
        (cut_and_wipe, "retention has cut the log at 2: 2 records that it needs are gone"),
        (step_back, "the state is ahead of the log"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_could_lose_or_double_is_refused_with_its_remedy(
    harm: Callable[[World], None], said: str
) -> None:
    world = World()
    worked(world, 1, 2, 3)
    harm(world)
    sentence = refused(world)
    assert said in sentence
    assert "headrace re" in sentence  # reset or rebuild


def test_without_a_witness_the_whole_log_is_the_history_if_it_is_all_there() -> None:
    world = World()
    worked(world, 1, 2)
    world.store.wipe()
    world.registry.forget_task(TASK)
    assert world.taken(world.ports()).acked.next_of(IN) == 2
    assert world.registry.witness(TASK) is not None


EDITED = replace(SPEC, id=TASK._replace(version=2))
"""The same stage by a changed declaration: another version, for which there is no state."""


def test_a_changed_declaration_makes_its_state_from_the_log_without_emitting() -> None:
    world = World()
    worked(world, 1, 2)
    world.registry.register_version("p", "{'edited': 1}", "e", {"code": "c"})
    ports = world.ports()
    task = world.taken(ports, spec=EDITED)
    assert task.acked.next_of(IN) == 2
    assert world.store.peek(EDITED.id)[1] == world.store.peek(TASK)[1]
    world.publish(4)
    drive(commit([(task, [world.batch(task, ports)])], ports))
    assert world.out() == [b"1", b"3", b"7"]


def test_a_changed_declaration_is_refused_if_the_log_is_cut() -> None:
    world = World()
    worked(world, 1, 2)
    world.registry.register_version("p", "{'edited': 1}", "e", {"code": "c"})
    world.broker.cut_head((IN, 0), 1)
    with pytest.raises(Refused, match="headrace rebuild p adds --accept-loss"):
        world.taken(world.ports(), spec=EDITED)


# -- a learner


def learned(world: World, *numbers: int) -> Ports:
    ports = world.ports()
    task = world.taken(ports, Learns(), LEARN)
    world.publish(*numbers)
    drive(commit([(task, [world.batch(task, ports)])], ports, checkpoint=True))
    return ports


def test_a_learner_takes_up_its_newest_checkpoint_and_learns_the_rest() -> None:
    world = World()
    ports = learned(world, 1, 2)
    task = world.taken(ports, Learns(), LEARN)
    world.publish(5)
    drive(commit([(task, [world.batch(task, ports)])], ports))
    again = Learns()
    world.taken(world.ports(), again, LEARN)
    assert again.total == 8
    assert world.registry.newest_checkpoint("p", 1, 9) == Checkpoint(2, b"3")


def test_a_learner_without_a_checkpoint_learns_all_of_it() -> None:
    world = World()
    learned(world, 1, 2)
    world.registry.forget_checkpoints("p", 1)
    again = Learns()
    task = world.taken(world.ports(), again, LEARN)
    assert (again.total, task.checkpointed) == (3, 0)


def test_a_model_ahead_of_the_log_is_refused() -> None:
    world = World()
    learned(world, 1)
    assert world.registry.insert_checkpoint("p", 1, 1, Checkpoint(7, b"9"))
    with pytest.raises(Refused, match="the model is ahead of the log"):
        world.taken(world.ports(), Learns(), LEARN)


def test_unstable_is_no_answer_of_the_twin_without_a_transaction() -> None:
    world = World()
    ports, _ = worked(world, 1)
    ports.log.begin()
    ports.log.send_offsets({(IN, 0): Committed(1)})
    with pytest.raises(Unstable):
        ports.log.committed([(IN, 0)])
