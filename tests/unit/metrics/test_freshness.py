"""How old things are, and what serving a model that lags costs."""

from __future__ import annotations

from math import log
from typing import Any

import pytest

from headrace.schemas.counts import counted as everything
from headrace.streams.binned import gap
from headrace.streams.buckets import number_bucket
from headrace.streams.figures import Figure
from headrace.streams.freshness import Arrival, Arrivals, Freshest
from headrace.streams.metrics import Metrics
from headrace.streams.model import NOTHING, Answer
from headrace.streams.observe import Tally
from headrace.streams.plan import Plan
from headrace.streams.totals import Totals, add_values
from tests.unit.metrics.test_metrics import ANOMALIES, CLASSES, NUMBERS, values
from tests.unit.stages.flow import PLAN

HOUR = 3_600_000


def counted(tally: Tally) -> dict[int, Totals]:
    """Return what a tally has counted of everything, by tile."""
    record = tally.record("score", 0, None, None)
    found: dict[int, Totals] = {}
    for tile, segment, name, n in everything(record or {"cells": []}):
        assert segment == "all"
        add_values(found.setdefault(tile, {}), {name: n})
    return found


def arrived(plan: Plan, *arrivals: Arrival) -> dict[int, Totals]:
    tally, counter = Tally(HOUR), Arrivals(plan)
    for arrival in arrivals:
        counter.take(tally, arrival)
    return counted(tally)


def test_events_are_counted_by_delay_by_the_age_of_their_entity_and_by_answer() -> None:
    found = arrived(
        PLAN,
        (10, 2_010, None, True),
        (20, 15, 5_000, False),  # its record was written before its own time
        (HOUR, HOUR, 7, None),
    )
    assert found == {
        0: {
            "": {"new_entity": 1},
            "event_delay": {str(number_bucket(2_000)): 1, "0": 1},
            "entity_age": {str(number_bucket(5_000)): 1},
            "answer": {"true": 1, "false": 1},
        },
        HOUR: {"event_delay": {"0": 1}, "entity_age": {str(number_bucket(7)): 1}},
    }
    figures = Metrics(PLAN).figures(found[0])
    assert figures["answered.true"].value == 0.5
    assert figures["new_entity"] == Figure(1, 1)
    assert figures["entity_age_ms.p50"].detail["lower"] <= 5_000
    assert figures["event_delay_ms.p99"].detail["upper"] >= 2_000


def test_answers_are_counted_by_task() -> None:
    found = arrived(CLASSES, *((0, 0, None, said) for said in ("a", "b", "a", "a")))[0]
    assert found["answer"] == {"=a": 3, "=b": 1}
    assert "new_entity" not in found.get("", {}), "nothing of entities is remembered"
    figures = values(Metrics(CLASSES).figures(found))
    assert (figures["answered.a"], figures["answered.b"]) == (0.75, 0.25)
    found = arrived(NUMBERS, *((0, 0, None, said) for said in (-2.0, 1.0, 8.0)))[0]
    detail = Metrics(NUMBERS).figures(found)["answer.p10"].detail
    assert detail["lower"] <= -2.0 <= detail["upper"]


def test_of_many_classes_the_most_frequent_are_told() -> None:
    totals = {"answer": {f"={name}": 1 + name for name in range(100)}}
    told = [name for name in Metrics(CLASSES).figures(totals) if name.startswith("answered.")]
    assert sorted(told) == [f"answered.{name}" for name in range(80, 100)]


def example(label: Any, said: Any, score: float | None, probabilities: Any = None) -> Any:
    return {
        "event_time": 50, "label_time": 1_050, "label": label, "prediction": said, "score": score,
        "probabilities": probabilities,
    }  # fmt: skip


def learned(
    plan: Plan,
    *asked: tuple[Any, Answer | None],
    age_ms: int | None = None,
    later: bool = False,
) -> Totals:
    tally, counter = Tally(HOUR), Freshest(plan)
    for each, fresh in asked:
        counter.take(tally, each, fresh, age_ms, later=later)
    return counted(tally).get(0, {})


def test_regret_is_what_the_newest_model_would_have_saved() -> None:
    pairs = [(True, 0.5, 0.8), (False, 0.5, 0.1), (True, 0.9, 0.6)]
    asked = [(example(t, s >= 0.5, s), Answer(f >= 0.5, f)) for t, s, f in pairs]
    figures = Metrics(PLAN).figures(learned(PLAN, *asked))
    served = [-log(s if t else 1 - s) for t, s, _ in pairs]
    fresh = [-log(f if t else 1 - f) for t, _, f in pairs]
    regret = sum(a - b for a, b in zip(served, fresh, strict=True)) / 3
    found = figures["regret"]
    assert found.value == pytest.approx(regret, abs=1e-6)
    assert found.support == 3
    assert found.detail["low"] < 0 < regret < found.detail["high"]
    assert figures["fresh.log_loss"].value == pytest.approx(sum(fresh) / 3, abs=1e-6)
    assert figures["fresh.log_loss"].detail["later"] == 0


def test_a_model_that_knows_what_was_true_only_after_the_event_is_not_compared() -> None:
    asked = (example(True, True, 0.5), Answer(True, 0.9))
    totals = learned(PLAN, asked, later=True)
    figures = Metrics(PLAN).figures(totals)
    assert "regret" not in figures
    assert figures["fresh.log_loss"].value == pytest.approx(-log(0.9), abs=1e-6)
    assert figures["fresh.log_loss"].detail["later"] == 1
    for family, counts in learned(PLAN, asked, asked, asked).items():
        add_values(totals, {f"{family}:{key}" if family else key: n for key, n in counts.items()})
    figures = Metrics(PLAN).figures(totals)
    assert figures["regret"].support == 3
    assert figures["fresh.auc"].detail["later"] == 0.25


def test_regret_of_other_tasks() -> None:
    each = example("a", "b", 0.75, {"a": 0.25, "b": 0.75})
    found = learned(CLASSES, (each, Answer("a", 0.5, {"a": 0.5, "b": 0.5})))
    figures = values(Metrics(CLASSES).figures(found))
    assert figures["regret"] == pytest.approx(log(2), abs=1e-6)
    assert figures["fresh.accuracy"] == 1
    found = learned(NUMBERS, (example(10.0, 7.0, None), Answer(9.0)))
    figures = values(Metrics(NUMBERS).figures(found))
    assert (figures["regret"], figures["fresh.mae"]) == (2, 1)
    assert learned(ANOMALIES, (example(False, False, 1.0), None)) == {}
    assert not Freshest(ANOMALIES).asks


@pytest.mark.parametrize(
    ("each", "fresh"),
    [
        (example(None, True, 0.6), Answer(True, 0.7)),
        (example(False, True, 0.6), NOTHING),
    ],
)
def test_without_a_label_or_an_answer_there_is_nothing_to_compare(each: Any, fresh: Answer) -> None:
    assert learned(PLAN, (each, fresh)) == {}


def test_what_was_served_without_an_answer_has_no_regret() -> None:
    found = learned(PLAN, (example(False, None, None), Answer(True, 0.5)))
    assert found[""]["fresh.fp"] == 1
    assert "equal.n" not in found[""]
    assert "regret" not in Metrics(PLAN).figures(found)
    class_without = learned(CLASSES, (example("a", "a", None), Answer("a", 1.0, {"a": 1.0})))
    assert "equal.n" not in class_without[""]
    score_without = learned(PLAN, (example(True, True, None), Answer(True, 0.5)))
    assert "equal.n" not in score_without[""]


def test_models_have_an_age_and_labels_that_say_true_a_delay_of_their_own() -> None:
    found = learned(PLAN, (example(True, True, 0.5), None), age_ms=300_000)
    assert found == {
        "model_age": {str(number_bucket(300_000)): 1},
        "true_delay": {str(number_bucket(1_000)): 1},
    }
    found["delay"] = {str(number_bucket(1_000)): 1, str(number_bucket(9_000)): 1}
    figures = Metrics(PLAN).figures(found)
    assert figures["label_delay_gap"].value == 1
    low, high = (figures["model_age_ms.p50"].detail[name] for name in ("lower", "upper"))
    assert low <= 300_000 <= high


def test_the_gap_of_two_distributions() -> None:
    found = gap({"1": 1, "3": 1}, {"1": 2, "2": 1, "3": 1})
    assert (found.value, found.support) == (0.5, 4)
    assert found.detail["chance"] == pytest.approx(1.6276)
    assert gap({"1": 3}, {"1": 6}).value == 0
    assert gap({"1": 3}, {"1": 3}) == Figure(None, 3)
    assert gap({}, {"1": 3}) == Figure(None, 3)


def test_what_was_refused_is_said_by_reason() -> None:
    totals: Totals = {"rejected": {"out_of_range": 2, "wrong_type": 1}, "": {"events": 9}}
    totals["violation"] = {"speed": 2, "at": 1}
    found = values(Metrics(PLAN).figures(totals))
    assert found["rejected"] == 0.25
    assert (found["rejected.out_of_range"], found["rejected.wrong_type"]) == (2, 1)
    assert (found["violations.speed"], found["violations.at"]) == (2, 1)
