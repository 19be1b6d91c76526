"""LEARN: test, then train; what it announces, dumps and counts; how it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from river import anomaly, linear_model, preprocessing
from river.base import Classifier

from headrace.registry.digest import canonical_digest
from headrace.streams.model import Answer, Bundle, announced, fresh_served
from headrace.streams.pipeline import InEvent, Monitor
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages import learn as learn_module
from headrace.streams.stages.learn import LearnStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.flow import (
    NOW_MS,
    START_MS,
    Runner,
    barrier,
    barriers,
    codecs_for,
    counted,
    decoded,
    dumps,
    feed,
    loads,
    pipeline,
    reading,
    totals,
)

PLAN = plan_of(pipeline(labels=InEvent("broken"), monitor=Monitor()))
CODECS = codecs_for(PLAN)
EXAMPLES, MODELS = PLAN.topics.examples, PLAN.topics.models
RESTORING = Context(restoring=True)


def stage(plan: Plan = PLAN, sources: int = 1, limit: int = 1_000_000) -> LearnStage:
    return LearnStage(plan, codecs_for(plan), 3, sources, dumps, loads, limit)


def examples(count: int, plan: Plan = PLAN, start: int = 0) -> list[Record]:
    """Return the examples of some readings; offsets have gaps, as in a log of transactions."""
    unlucky = {12: 513.0, 13: 514.0}  # their loads make user functions fail
    values = [
        reading(n, n, load=unlucky.get(n, n + 1.0), heat=float(n % 7), broken=n % 3 == 0)
        for n in range(start, start + count)
    ]
    runner = Runner(ScoreStage(plan, codecs_for(plan), 0, Partitions(1, 1, 1)))
    emits = runner.run(feed("", values), context=Context(model=fresh_served(plan, 3)))
    made = [emit.value for emit in emits if emit.topic == plan.topics.examples]
    records = feed(plan.topics.examples, made, gaps=True)
    return [record._replace(offset=record.offset + 2 * start) for record in records]


def announcements(emits: list[Emit], plan: Plan = PLAN) -> list[dict[str, Any]]:
    return decoded(emits, plan.topics.models, codecs_for(plan).model)


def taught(records: list[Record], plan: Plan = PLAN) -> Bundle:
    """Return the bundle that plain learning in order leads to."""
    bundle = Bundle(plan)
    for record in records:
        example = codecs_for(plan).example.decode(record.value)
        assert isinstance(example, dict)
        row = plan.features.row(example["features"])
        bundle.learn(plan.features.door(row), example["label"])
    return bundle


def answers(bundle: Bundle) -> list[Answer]:
    return [bundle.predict({"load": float(n), "heat": 3.0, "headroom": 5.0}) for n in range(5)]


def test_it_learns_in_order_and_announces_the_state_behind_the_batch() -> None:
    records = examples(30)
    emits = Runner(stage()).run(records[:20], records[20:])
    first, second = announcements(emits)
    assert (first["learned_to"], second["learned_to"]) == (39, 59)
    assert (second["pipeline"], second["version"], second["barrier"]) == ("machines", 3, None)
    assert second["label_time"] == START_MS + 29 * 60_000
    assert [emit.key for emit in emits if emit.topic == MODELS] == [b"machines"] * 2
    served = announced(PLAN, 3, second, loads, lambda _: None)
    assert served is not None
    assert answers(served.bundle) == answers(taught(records))
    assert counted(emits, PLAN)["learned"] == 30
    assert counted(emits, PLAN)["labelled"] == 30


@pytest.mark.parametrize("cut", [0, 1, 17, 40])
def test_restored_and_going_on_equals_never_stopped(cut: int) -> None:
    records = examples(40)
    whole = Runner(stage())
    whole.run(records)
    first, second = stage(), stage()
    Runner(first).run(records[: cut // 2])
    second.reset(first.dump())
    owner = Runner(second)
    assert owner.run(records[cut // 2 : cut], context=RESTORING) == []
    owner.run(records[cut:])
    assert isinstance(whole.stage, LearnStage)
    assert answers(second._bundle) == answers(whole.stage._bundle)
    assert loads(second.dump()).keys() == loads(whole.stage.dump()).keys()
    for name in ("lag", "barriers", "learned_to", "label_time", "seen", "baselines"):
        assert loads(second.dump())[name] == loads(whole.stage.dump())[name]


def test_reset_to_nothing_is_the_fresh_model() -> None:
    learner = stage()
    Runner(learner).run(examples(5))
    learner.reset(None)
    assert answers(learner._bundle) == answers(Bundle(PLAN))


def test_nothing_learned_nothing_announced() -> None:
    bad = Record(EXAMPLES, 0, 0, NOW_MS, None, b"{}")
    emits = Runner(stage()).run([bad], [])
    assert announcements(emits) == []
    (letter,) = decoded(emits, PLAN.topics.dead_letters, CODECS.dead_letter)
    assert (letter["reason"], letter["stage"]) == ("not_avro", "learn")


class Picky(Classifier):
    """Refuses some examples; keeps what it is handed."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def learn_one(self, x: Any, y: Any) -> None:
        if x["load"] == 3:
            raise ArithmeticError("three")
        if x["load"] == 99:
            raise MemoryError
        self.rows.append(x)

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        x.clear()  # it is handed a row of its own
        return {True: 0.5}


PICKY = plan_of(pipeline(labels=InEvent("broken"), monitor=Monitor(), model=Picky()))


def test_an_example_that_the_model_fails_to_learn_is_a_dead_letter_alone() -> None:
    learner = stage(PICKY)
    emits = Runner(learner).run(examples(4, PICKY))
    (letter,) = decoded(emits, PICKY.topics.dead_letters, codecs_for(PICKY).dead_letter)
    assert letter["reason"] == "model_failed"
    assert "ArithmeticError: three" in letter["detail"]
    assert counted(emits, PICKY)["learned"] == 3
    assert counted(emits, PICKY)["dead_letter.model_failed"] == 1
    assert [row["load"] for row in learner._bundle.model.rows] == [1.0, 2.0, 4.0]


class Shy(preprocessing.StandardScaler):
    """Fails to learn the first example, of which it has noted the names when it was asked."""

    def learn_one(self, x: Any) -> None:
        if x["load"] == 1.0:
            raise ArithmeticError("one")
        backwards = {name: x[name] for name in sorted(x, reverse=True)}
        super().learn_one(backwards)  # type: ignore[no-untyped-call]  # River's own has no types


def test_a_restore_asks_a_model_what_a_live_learner_asks() -> None:
    plan = plan_of(
        pipeline(
            labels=InEvent("broken"),
            monitor=Monitor(),
            model=Shy() | linear_model.LogisticRegression(),
        )
    )
    live, restored = stage(plan), stage(plan)
    Runner(live).run(examples(4, plan))
    Runner(restored).run(examples(4, plan), context=RESTORING)
    digests = [canonical_digest(loads(each.dump())) for each in (live, restored)]
    assert digests[0] == digests[1]


def test_memory_that_runs_out_ends_the_process() -> None:
    with pytest.raises(MemoryError):
        Runner(stage(PICKY)).run(examples(1, PICKY, start=98))


def test_a_detector_learns_without_labels() -> None:
    model = anomaly.HalfSpaceTrees(seed=1, n_trees=3, height=3)
    plan = plan_of(pipeline(labels=None, model=model, monitor=Monitor()))
    emits = Runner(stage(plan)).run(examples(10, plan))
    assert announcements(emits, plan)[0]["label_time"] is None
    found = counted(emits, plan)
    assert (found["learned"], found["examples"], found["labelled"]) == (10, 10, 0)


def test_a_record_that_cannot_be_prepared_is_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    read = LearnStage._read

    def fails(self: LearnStage, record: Record) -> Any:
        if record.offset == 2:
            raise ZeroDivisionError
        return read(self, record)

    monkeypatch.setattr(LearnStage, "_read", fails)
    emits = Runner(stage()).run(examples(3))
    assert counted(emits, PLAN)["dead_letter.poison"] == 1
    assert counted(emits, PLAN)["learned"] == 2


# -- model lag


def test_model_lag_is_what_was_true_and_not_yet_learned() -> None:
    """Readings a minute apart, labelled at once, all predicted by the fresh model."""
    emits = Runner(stage()).run(examples(5))
    lags = {name: n for (_, _, name), n in totals(emits, PLAN).items() if name.startswith("lag:")}
    assert sum(lags.values()) == 5
    assert len(lags) == 5


# -- barriers


def at_end(records: list[Record], *more: Record) -> list[Record]:
    """Return records with others behind them, at the offsets that follow."""
    last = records[-1].offset if records else -1
    return records + [
        record._replace(topic=EXAMPLES, offset=last + 1 + number)
        for number, record in enumerate(more)
    ]


def test_a_barrier_is_announced_with_the_model_once_all_sources_have_sent_it() -> None:
    learner = stage(sources=2)
    runner = Runner(learner)
    emits = runner.run(at_end(examples(3), barrier("b", "score-0")))
    assert announcements(emits)[0]["barrier"] is None
    assert barriers(emits) == []
    again = stage(sources=2)
    again.reset(learner.dump())
    emits = Runner(again).run([barrier("b", "score-1")._replace(topic=EXAMPLES, offset=9)])
    (announcement,) = announcements(emits)
    assert (announcement["barrier"], announcement["learned_to"]) == ("b", 10)
    assert announcement["state"] is not None
    assert barriers(emits) == [(PLAN.topics.counts, 0, "b", "learn-0")]
    assert emits[-1].value is None


def test_two_barriers_in_a_batch_are_announced_each() -> None:
    records = at_end(examples(2), barrier("a", "score-0"), barrier("b", "score-0"))
    emits = Runner(stage()).run(records)
    first, second = announcements(emits)
    assert (first["barrier"], second["barrier"]) == ("a", "b")
    assert first["state"] is not None
    assert second["state"] is None
    assert [name for _, _, name, _ in barriers(emits)] == ["a", "b"]


# -- snapshots, and states that are too big to travel


def test_a_snapshot_is_taken_when_it_is_due() -> None:
    learner = stage()
    runner = Runner(learner)
    records = examples(10)
    runner.run(records[:5])
    assert runner.snapshots == []
    learner.snapshot_due = True
    runner.run(records[5:], [])
    (snapshot,) = runner.snapshots
    assert loads(snapshot)["learned_to"] == 19
    assert learner.snapshot_due is False


def test_a_snapshot_is_taken_after_so_many_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_module, "SNAPSHOT_EXAMPLES", 4)
    monkeypatch.setattr(learn_module, "SNAPSHOT_BYTES_PER_EXAMPLE", 10**9)
    runner = Runner(stage())
    records = examples(9)
    runner.run(*[[record] for record in records])
    assert [loads(each)["learned_to"] for each in runner.snapshots] == [7, 15]


def test_a_big_state_is_announced_by_a_checkpoint_that_is_there() -> None:
    learner = stage(limit=100)
    runner = Runner(learner)
    records = examples(10)
    emits = runner.run(at_end(records[:4], barrier("a", "score-0")))
    assert announcements(emits) == []
    assert barriers(emits) == []
    (snapshot,) = runner.snapshots
    assert learner.wants_checkpoint
    assert not learner.has_news

    learner.saved(8)
    assert learner.has_news
    emits = runner.run([])  # type: ignore[unreachable]  # mypy takes has_news for a constant
    (announcement,) = announcements(emits)
    assert announcement["state"] is None
    assert (announcement["checkpoint"], announcement["learned_to"]) == (8, 8)
    assert announcement["barrier"] == "a"
    assert announcement["label_time"] == START_MS + 3 * 60_000
    assert barriers(emits) == [(PLAN.topics.counts, 0, "a", "learn-0")]
    assert not learner.wants_checkpoint

    learner.saved(8)
    assert not learner.has_news
    served = announced(PLAN, 3, announcement, loads, lambda _: snapshot)
    assert served is not None
    assert answers(served.bundle) == answers(taught(records[:4]))


def test_a_barrier_waits_for_a_checkpoint_that_covers_it() -> None:
    learner = stage(limit=100)
    runner = Runner(learner)
    records = examples(10)
    runner.run(records[:2])
    learner.saved(3)
    emits = runner.run(at_end(records[2:4], barrier("a", "score-0")))
    (announcement,) = announcements(emits)
    assert (announcement["checkpoint"], announcement["barrier"]) == (3, None)
    assert learner.wants_checkpoint
    learner.saved(8)
    emits = runner.run(records[4:])
    (announcement,) = announcements(emits)
    assert (announcement["checkpoint"], announcement["barrier"]) == (8, "a")
    assert announcement["label_time"] is None  # not the newest snapshot: not known any more


def test_after_a_restore_a_big_states_barrier_is_announced_again() -> None:
    learner = stage(limit=100)
    Runner(learner).run(examples(2))
    owner = stage(limit=100)
    owner.reset(learner.dump())
    runner = Runner(owner)
    runner.run(at_end(examples(2, start=2), barrier("a", "score-0")), context=RESTORING)
    assert owner.wants_checkpoint
    owner.saved(8)
    assert [each["barrier"] for each in announcements(runner.run([]))] == ["a"]


def test_a_small_state_needs_no_reference() -> None:
    learner = stage()
    Runner(learner).run(examples(2))
    learner.saved(3)
    assert not learner.has_news


def test_the_fresh_model_predicts_before_it_learns() -> None:
    """Progressive validation speaks of the model before each example, whatever the batch."""
    records = examples(20)
    one = counted(Runner(stage()).run(records), PLAN)
    many = counted(Runner(stage()).run(*[[record] for record in records]), PLAN)
    assert one == many
    assert one["fresh.log_loss"] != one["outcome.log_loss"]


def test_outcomes_are_counted_of_the_version_that_predicted_too() -> None:
    """LEARN is of version 3 in these tests; an example may be of an earlier one."""
    records = examples(20)
    first = CODECS.example.decode(records[0].value)
    assert isinstance(first, dict)
    records[0] = records[0]._replace(value=CODECS.example.encode({**first, "version": 2}))
    emits = Runner(stage()).run(records)
    found = totals(emits, PLAN)
    kept = ("labelled", "outcome.scored", "outcome.log_loss", "outcome.expected")
    by_version = {(segment, name): n for (_, segment, name), n in found.items() if name in kept}
    assert by_version["version:2", "labelled"] == 1
    assert by_version["version:3", "labelled"] == 19
    whole = counted(emits, PLAN)
    for name in kept:
        parts = [by_version.get((f"version:{each}", name), 0) for each in (2, 3)]
        assert sum(parts) == whole[name], name
    assert {tile for tile, segment, _ in found if segment.startswith("version")} == {-1}
