"""Each invariant of worlds can be broken, and is then named: in a world that is changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from headrace.streams.protocol import commit as committing
from headrace.streams.protocol.ports import Checkpoint, Cut, TaskId
from headrace.streams.records import Record, TopicPartition
from headrace.streams.simulation.check import check
from headrace.streams.simulation.invariants import ZOMBIES, Invariant
from headrace.streams.simulation.registry import VERSION
from headrace.streams.simulation.strikes import FAULTS, LOSSES
from headrace.streams.simulation.world import Plan, World
from tests.simulation.product import machines
from tests.simulation.run import run_world

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]

TOPICS = "machines."
PREDICTIONS: TopicPartition = (TOPICS + "predictions", 0)
EXAMPLES: TopicPartition = (TOPICS + "examples", 0)
COUNTS: TopicPartition = (TOPICS + "counts", 0)
MODELS: TopicPartition = (TOPICS + "models", 0)
SCORE = TaskId(machines.name, VERSION, "score", 0)

Patch = pytest.MonkeyPatch
QUIET = Plan(events=40, faults=0, loss="", ticks=100)


@pytest.fixture
def world() -> World:
    """A world in which nothing happened, at its end."""
    made = run_world(9, "by reference", QUIET)
    assert made.wrong == []
    return made


def last(world: World, tp: TopicPartition) -> Record:
    return next(r for r in reversed(world.broker.history(tp)) if r.value is not None)


def again(world: World, tp: TopicPartition, **changes: Any) -> None:
    """Write the last record of a partition a second time, or another one like it."""
    record = last(world, tp)
    codec = getattr(codecs(world), tp[0].removeprefix(TOPICS).removesuffix("s"))
    said = codec.decode(record.value)
    world.broker.append(tp, record.key, codec.encode({**said, **changes}), headers=record.headers)


def codecs(world: World) -> Any:
    return world.flow.parts[0]._parts.codecs  # type: ignore[attr-defined]


def change_state(world: World, cut: Callable[[Cut], Cut]) -> None:
    world.store.claim(SCORE, "another")
    before, _ = world.store.peek(SCORE)
    assert before is not None
    put = {"w": msgpack.packb(["changed"])}
    world.store.write(SCORE, "another", before, cut(before), put)


def fresh_state(world: World) -> Any:
    return world.flow.parts[0].fresh().model


def drop_first_link(world: World) -> None:
    chain = world.registry._models[machines.name].versions[VERSION].chain
    assert len(chain) > 1
    del chain[0]


def insert(world: World, by: int) -> None:
    registry, name = world.registry, machines.name
    head = registry.checkpoint_head(name, VERSION)
    fresh = world.flow.parts[0].stage("learn", 0).dump()  # type: ignore[attr-defined]
    assert registry.insert_checkpoint(name, VERSION, head, Checkpoint(head + by, fresh))


def forget_offsets(world: World) -> None:
    world.broker.expire_offsets("score", [(TOPICS + "events", 0)])


def restart(world: World) -> None:
    forget_offsets(world)
    world.watch.look = lambda role: None  # type: ignore[method-assign]  # it would see that first
    world.workers.clear()
    world._start_all()
    world._settle()


CHANGES: Mapping[Invariant, Callable[[World], None]] = {
    Invariant.EVENTS: lambda world: again(world, PREDICTIONS),
    Invariant.OUTPUTS: lambda world: again(world, EXAMPLES),
    Invariant.EXAMPLES: lambda world: again(world, EXAMPLES, event_id="nobody's"),
    Invariant.COUNTS: lambda world: again(world, COUNTS),
    Invariant.STATES: lambda world: change_state(world, lambda cut: cut._replace(meta="changed")),
    Invariant.SERVED: lambda world: again(world, PREDICTIONS, learned_to=10_000),
    Invariant.MODELS: lambda world: again(world, MODELS, checkpoint=None, state=fresh_state(world)),
    Invariant.REFERENCES: lambda world: world.registry.forget_checkpoints(machines.name, VERSION),
    Invariant.CHAIN: drop_first_link,
    Invariant.CHECKPOINTS: lambda world: insert(world, 1),
    Invariant.COVERED: lambda world: insert(world, 10_000),
    Invariant.LOG_FIRST: lambda world: change_state(
        world, lambda cut: cut.moved({TOPICS + "events": 10_000})
    ),
    Invariant.FORWARD: forget_offsets,
    Invariant.REFUSALS: restart,
}
"""What breaks each of those that a world at rest can be held to."""


@pytest.mark.parametrize("invariant", CHANGES, ids=lambda each: each.name)
def test_what_is_changed_by_hand_is_named(world: World, invariant: Invariant) -> None:
    CHANGES[invariant](world)
    for role in world.flow.roles:
        world.watch.look(role)
    named = {found for found, _ in check(world)}
    assert invariant in named or any(invariant in sentence for sentence in world.wrong)


def test_a_world_without_rest_is_named(monkeypatch: Patch) -> None:
    monkeypatch.setattr("headrace.streams.simulation.world.SETTLE_TICKS", 1)
    (sentence,) = run_world(11, "product", QUIET).wrong
    assert Invariant.REST in sentence


def test_what_the_code_asserts_is_named(monkeypatch: Patch) -> None:
    def commit(*_: Any, **__: Any) -> Any:
        raise AssertionError("never")

    monkeypatch.setattr(committing, "commit", commit)
    (sentence,) = run_world(11, "product", QUIET).wrong
    assert Invariant.CODE in sentence


def test_each_invariant_is_tried() -> None:
    assert {*CHANGES, Invariant.REST, Invariant.CODE} == set(Invariant)


def test_the_page_on_tests_names_all_faults_and_invariants() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
    assert [kind for kind in (*FAULTS, *LOSSES) if f"`{kind}`" not in page] == []
    assert [invariant for invariant in Invariant if invariant not in page] == []


# -- the worlds themselves


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_of_fault_strikes(kind: str) -> None:
    rates = {each: 20 if each == kind else 0 for each in FAULTS}
    plan, struck = Plan(events=60, faults=10, rates=rates, loss="", ticks=300), set()
    for seed in range(3):
        world = run_world(seed, "toy", plan)
        assert world.wrong == []
        struck |= {fault.kind for fault in world.faults.struck}
    assert struck == {kind}


def test_zombies_wake_at_each_stage_of_a_take_over() -> None:
    rates = {kind: 20 if kind in ("pause", "rebalance", "second") else 0 for kind in FAULTS}
    found: set[str] = set()
    for seed in range(100):
        world = run_world(seed, "toy", Plan(events=100, faults=40, rates=rates, loss="", ticks=800))
        assert world.wrong == []
        found |= world.watch.zombies.keys()
        if found == set(ZOMBIES):
            return
    pytest.fail(f"woke only {found}")
