"""One River model of each kind through the whole flow, against a plain sequential fold."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from headrace.registry.digest import canonical_digest
from headrace.streams import replay as replaying
from headrace.streams.plan import plan_of
from headrace.streams.replay import replay
from headrace.streams.stages.learn import INLINE_BYTES_MAX
from headrace.streams.twins.flow import MemoryFlow
from tests.unit.replay.kinds import KINDS, Case, check_against_fold, growing, silent_at_first


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_equals_the_fold(kind: str, partitions: int) -> None:
    case = KINDS[kind]()
    result = replay(case.pipeline, case.events, case.labels, partitions=partitions)
    assert len(result.predictions) == len(case.events)
    assert len(result.examples) > len(case.events) * 0.6
    assert len(result.dead_letters) == 0
    check_against_fold(case, result)
    assert result.summary["events"] == len(case.events)
    assert result.summary["learned"] == len(result.examples)
    newest = pickle.loads(result.checkpoints[-1].state)
    assert canonical_digest(newest["model"]) == canonical_digest(result.model)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_step_is_exact(kind: str) -> None:
    """Each label that is known is in the model, and none that is not yet."""
    case = KINDS[kind]()
    result = replay(case.pipeline, case.events, case.labels)
    when = "label_time" if plan_of(case.pipeline).labels == "topic" else "event_time"
    known = [
        (record.offset, each[when])
        for record, each in zip(result.examples.records, result.examples, strict=True)
    ]
    for said in result.predictions:
        learned = [time for offset, time in known if offset < said["learned_to"]]
        assert len(learned) == sum(time < said["event_time"] for _, time in known)


def test_a_filter_decides_what_is_served() -> None:
    case = KINDS["a filter"]()
    result = replay(case.pipeline, case.events)
    decided = [said["prediction"] for said in result.predictions]
    halves = [said["score"] >= 0.5 for said in result.predictions]
    assert 0 < sum(decided) < len(decided) / 3
    assert decided != halves


def test_a_trained_model_serves_what_it_knows_from_the_first_event_on() -> None:
    case = KINDS["trained"]()
    result = replay(case.pipeline, case.events)
    program, first = plan_of(case.pipeline).features, result.predictions[0]
    x = program.door(program.row(first["features"]))
    assert first["score"] == case.pipeline.model.predict_proba_one(x)[True] != 0.5
    assert first["learned_to"] == 0


def test_a_slice_is_scored_by_the_model_as_of_its_start() -> None:
    case = KINDS["regression"]()
    result = replay(case.pipeline, case.events, case.labels, step="30m")
    check_against_fold(case, result)
    by_slice: dict[int, set[int]] = {}
    for said in result.predictions:
        number = int(said["event_time"].timestamp()) // 1800
        by_slice.setdefault(number, set()).add(said["learned_to"])
    assert all(len(models) == 1 for models in by_slice.values())
    models = [min(by_slice[number]) for number in sorted(by_slice)]
    assert all(a < b for a, b in pairwise(models))


def test_a_model_that_says_nothing_at_first() -> None:
    case = silent_at_first()
    result = replay(case.pipeline, case.events)
    first, *later = result.predictions
    assert (first["prediction"], first["score"]) == (None, None)
    assert all(each["prediction"] is not None for each in later)
    assert result.summary["unscored"] == 1


def by_reference(case: Case) -> tuple[MemoryFlow, Any]:
    """Replay a case with announcements as small as on Kafka."""
    plan = plan_of(case.pipeline)
    parts = replace(replaying.parts_in_memory(plan, 1), inline_bytes_max=INLINE_BYTES_MAX)
    flow = MemoryFlow(parts)
    for _ in replaying._steps(flow, replaying._ordered(plan, case.events, case.labels), None):
        pass
    flow.finish()
    return flow, replaying._result(flow)


def test_a_forest_too_big_to_announce_is_announced_by_reference() -> None:
    case = growing()._replace(events=growing().events[:60])
    flow, result = by_reference(case)
    assert flow.learner.by_reference
    assert len(flow.learner.dump()) > INLINE_BYTES_MAX
    check_against_fold(case, result)
    inline = replay(case.pipeline, case.events)
    scores = [each["score"] for each in result.predictions]
    assert scores == [each["score"] for each in inline.predictions]
    assert len(result.checkpoints) > 1
