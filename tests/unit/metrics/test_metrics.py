"""Metrics from counts equal those computed directly, within what their buckets say."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log, sqrt
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import anomaly, linear_model, naive_bayes, preprocessing

from headrace.streams.binned import (
    OTHER_RANK,
    auc,
    calibration_error,
    quantile,
    quantile_within,
    rank_of,
)
from headrace.streams.buckets import (
    number_bucket,
    number_edges,
    probability_bucket,
    probability_edges,
)
from headrace.streams.figures import Figure
from headrace.streams.metrics import Metrics
from headrace.streams.outcomes import JUDGES, PROBABILITY_MIN
from headrace.streams.pipeline import Cost, InEvent, Monitor, Source, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.totals import Totals, add_values
from tests.unit.stages.flow import IN_EVENT, PLAN, Reading, pipeline

SCORES = st.floats(0, 1, allow_nan=False)
PAIRS = st.lists(st.tuples(st.booleans(), SCORES), min_size=1, max_size=60)


class Told(Reading):
    grade: Literal["fine", "worn", "gone"] = "fine"
    amount: float = 0.0


def plan_for(model: Any, label: str) -> Plan:
    source = Source(Told, id="id", key="machine", time="at")
    return plan_of(
        pipeline(
            events=source, labels=InEvent(label), features=[value("load")], model=model,
            monitor=Monitor(),
        )
    )  # fmt: skip


ANOMALIES = plan_for(preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1), "broken")
CLASSES = plan_for(naive_bayes.GaussianNB(), "grade")  # type: ignore[no-untyped-call]
NUMBERS = plan_for(linear_model.LinearRegression(), "amount")


def judged(task: str, answers: list[tuple[Any, ...]], prefix: str = "outcome") -> Totals:
    found: Totals = {}
    for label, said, score, probabilities in answers:
        add_counts(found, [("labelled", 1), ("events", 1)])
        of_each, of_all = JUDGES[task](prefix)(label, said, score, probabilities)
        add_counts(found, of_each + of_all)
    return found


def add_counts(totals: Totals, pairs: list[tuple[str, int]]) -> None:
    for name, n in pairs:
        add_values(totals, {name: n})


def values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in figures.items()}


def exact_auc(pairs: list[tuple[bool, float]]) -> float | None:
    true = [score for label, score in pairs if label]
    false = [score for label, score in pairs if not label]
    if not true or not false:
        return None
    won = sum((a > b) + (a == b) / 2 for a in true for b in false)
    return won / (len(true) * len(false))


@given(PAIRS)
def test_binary(pairs: list[tuple[bool, float]]) -> None:
    answers = [(label, score >= 0.5, score, None) for label, score in pairs]
    found = Metrics(PLAN).figures(judged("binary", answers))
    n = len(pairs)
    hits = [label == (score >= 0.5) for label, score in pairs]
    assert found["accuracy"].value == sum(hits) / n
    exact = exact_auc(pairs)
    if exact is None:
        assert found["auc"] == Figure(None, n)
    else:
        near = found["auc"]
        assert near.value is not None
        assert abs(near.value - exact) <= near.detail["half_width"] + 1e-12
    losses = [-log(max(score if label else 1 - score, PROBABILITY_MIN)) for label, score in pairs]
    assert found["log_loss"].value == pytest.approx(sum(losses) / n, abs=1e-6)
    doubts = [-p * log(max(p, 1e-15)) - (1 - p) * log(max(1 - p, 1e-15)) for _, p in pairs]
    assert found["log_loss"].detail["expected"] == pytest.approx(sum(doubts) / n, abs=1e-6)
    brier = sum((score - label) ** 2 for label, score in pairs) / n
    assert found["brier"].value == pytest.approx(brier, abs=1e-6)
    assert found["coverage"] == Figure(1.0, n)
    bins: dict[int, list[tuple[bool, float]]] = {}
    for label, score in pairs:
        bins.setdefault(min(int(score * 10), 9), []).append((label, score))
    gaps = [abs(sum(score - label for label, score in members)) for members in bins.values()]
    assert found["calibration_error"].value == pytest.approx(sum(gaps) / n, abs=1e-6)
    for place, members in bins.items():
        detail = found["calibration_error"].detail
        said, came = (sum(each[i] for each in members) / len(members) for i in (1, 0))
        assert detail[f"said.{place}"] == pytest.approx(said, abs=1e-6)
        assert detail[f"came.{place}"] == came
    bias = sum(score - label for label, score in pairs) / n
    assert found["calibration_bias"].value == pytest.approx(bias, abs=1e-6)
    tp = sum(label and score >= 0.5 for label, score in pairs)
    said_true, true = sum(score >= 0.5 for _, score in pairs), sum(label for label, _ in pairs)
    assert found["precision"].value == (tp / said_true if said_true else None)
    assert found["recall"].value == (tp / true if true else None)
    assert found["f1"].value == (2 * tp / (said_true + true) if said_true + true else None)
    assert found["true_share"].value == true / n


def test_auc_of_many_is_within_its_half_width_and_that_is_small() -> None:
    random = Random(3)
    pairs = []
    for _ in range(3_000):
        label = random.random() < 0.1
        pairs.append((label, min(1.0, max(0.0, random.gauss(0.4 if label else 0.1, 0.15)))))
    figure = Metrics(PLAN).figures(judged("binary", [(t, s >= 0.5, s, None) for t, s in pairs]))
    exact, near = exact_auc(pairs), figure["auc"]
    assert exact is not None
    assert near.value is not None
    assert abs(near.value - exact) <= near.detail["half_width"] < 0.05


def test_costs_are_those_that_are_watched_else_those_that_decide() -> None:
    answers = [(True, False, 0.1, None), (False, True, 0.9, None), (True, True, 0.9, None)]
    totals = judged("binary", answers)
    decide, watch = Cost(10, 120), Cost(1, 2)
    assert "cost" not in Metrics(PLAN).figures(totals)
    by_decision = Metrics(plan_of(pipeline(decide=decide))).figures(totals)
    assert by_decision["cost"].value == 130 / 3
    monitor = Monitor(business=watch)
    watched = Metrics(plan_of(pipeline(decide=decide, monitor=monitor))).figures(totals)
    assert watched["cost"].value == 1


def test_a_baseline_without_probabilities_is_judged_as_sure() -> None:
    answers = [(True, True, None, None)] * 3 + [
        (False, True, None, None),
        (False, None, None, None),
    ]
    found = values(Metrics(PLAN).figures(judged("binary", answers, "baseline.hot")))
    assert found["baseline.hot.accuracy"] == 0.75
    assert found["baseline.hot.auc"] == 0.5
    assert found["baseline.hot.log_loss"] == pytest.approx(-log(PROBABILITY_MIN) / 4, abs=1e-6)
    assert found["baseline.hot.brier"] == 0.25
    assert found["baseline.hot.unscored"] == 1
    assert "accuracy" not in found


def test_segments_say_less_of_baselines() -> None:
    totals = judged("binary", [(True, True, 0.9, None)])
    add_counts(totals, JUDGES["binary"]("baseline.hot")(True, True, None, None)[0])
    for pairs in JUDGES["binary"]("fresh")(True, True, 0.5, None):
        add_counts(totals, pairs)
    full = Metrics(PLAN).figures(totals)
    found = Metrics(PLAN).figures(totals, segment=True)
    names = ["accuracy", "log_loss", "baseline.hot.accuracy"]
    assert list(found) == ["events", "labelled", "coverage", *names]
    assert found == {name: full[name] for name in found}
    assert "fresh.auc" in full


@pytest.mark.parametrize(
    ("task", "answer", "names"),
    [
        ("anomaly", (True, True, 9.0, None), ["accuracy"]),
        ("multiclass", ("a", "b", 0.7, {"a": 0.3, "b": 0.7}), ["accuracy", "log_loss"]),
        ("regression", (2.0, 3.5, None, None), ["mae"]),
    ],
)
def test_what_segments_of_other_tasks_say_is_what_all_says(
    task: str, answer: tuple[Any, ...], names: list[str]
) -> None:
    plan = {"anomaly": ANOMALIES, "multiclass": CLASSES, "regression": NUMBERS}[task]
    totals = judged(task, [answer])
    found = Metrics(plan).figures(totals, segment=True)
    assert list(found) == ["events", "labelled", "coverage", *names]
    full = Metrics(plan).figures(totals)
    assert found == {name: full[name] for name in found}


def test_anomaly() -> None:
    answers: list[tuple[Any, ...]] = [
        (True, True, 9.0, None),
        (False, False, 1.0, None),
        (False, True, 5.0, None),
    ]
    answers += [(True, False, 0.5, None), (True, None, None, None), (True, True, None, None)]
    found = values(Metrics(ANOMALIES).figures(judged("anomaly", answers)))
    assert found["auc"] == 0.5
    assert found["precision"] == 2 / 3
    assert found["recall"] == 2 / 3
    assert "log_loss" not in found


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "d", None]), SCORES),
        min_size=1,
        max_size=40,
    )
)
def test_multiclass(rows: list[tuple[str, str | None, float]]) -> None:
    answers = []
    for label, said, score in rows:
        other = {"a": 0.0, "b": 0.0, "c": 0.0} | ({} if said is None else {said: score})
        answers.append((label, said, score, other))
    found = Metrics(CLASSES).figures(judged("multiclass", answers))
    scored = [answer for answer in answers if answer[1] is not None]
    if not scored:
        assert "accuracy" not in found
        return
    n = len(scored)
    assert found["accuracy"].value == sum(label == said for label, said, *_ in scored) / n
    losses = [-log(max(said.get(label, 0), PROBABILITY_MIN)) for label, _, _, said in scored]
    assert found["log_loss"].value == pytest.approx(sum(losses) / n, abs=1e-6)
    scores = []
    for name in sorted({a[0] for a in scored} | {str(a[1]) for a in scored}):
        hit = sum(label == said == name for label, said, *_ in scored)
        total = sum(label == name for label, *_ in scored)
        total += sum(said == name for _, said, *_ in scored)
        scores.append(2 * hit / total)
    assert found["macro_f1"].value == pytest.approx(sum(scores) / len(scores))
    assert found["macro_f1"].detail == {"classes": len(scores)}


def test_multiclass_without_probabilities_or_with_too_many_classes() -> None:
    answers = [("a", "a", None, None)]
    found = values(Metrics(CLASSES).figures(judged("multiclass", answers)))
    assert found == {"events": 1, "labelled": 1, "coverage": 1, "accuracy": 1, "macro_f1": 1}
    other = {"outcome.actual": {"(other)": 2}, "outcome.said": {"(other)": 2}}
    found = values(Metrics(CLASSES).figures(other))
    assert found == {"coverage": None, "accuracy": 0, "macro_f1": None}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.one_of(st.none(), st.floats(-1e6, 1e6))),
        min_size=1,
        max_size=30,
    )
)
def test_regression(rows: list[tuple[float, float | None]]) -> None:
    answers = [(label, said, None, None) for label, said in rows]
    found = Metrics(NUMBERS).figures(judged("regression", answers))
    pairs = [(round(a, 6), round(b, 6)) for a, b in rows if b is not None]
    if not pairs:
        assert "mae" not in found
        return
    n = len(pairs)
    errors = [b - a for a, b in pairs]
    assert found["mae"].value == pytest.approx(sum(map(abs, errors)) / n, abs=2e-6, rel=1e-9)
    squared = sum(e * e for e in errors)
    assert found["rmse"].value == pytest.approx(sqrt(squared / n), abs=2e-6, rel=1e-9)
    mean = sum(a for a, _ in pairs) / n
    spread = sum((a - mean) ** 2 for a, _ in pairs)
    if found["r2"].value is None:
        assert spread < 1e-6
    elif spread > 1:
        assert found["r2"].value == pytest.approx(1 - squared / spread, rel=1e-6, abs=1e-6)
    assert found["covered"].value == sum(a <= b for a, b in pairs) / n


def test_how_labels_and_models_came_along() -> None:
    totals: Totals = {}
    counts = {"events": 10, "labelled": 4, "first_event": 9, "matched": 5, "expired": 1}
    add_values(totals, {**counts, "dead_letters:score.not_json": 3, "dead_letters:join.poison": 1})
    for delay in (1_000, 2_000, 3_000, 60_000):
        add_values(totals, {f"delay:{number_bucket(delay)}": 1, f"lag:{number_bucket(3)}": 1})
    found = Metrics(PLAN).figures(totals)
    assert found["coverage"] == Figure(0.4, 10)
    assert found["coverage.settled"] == Figure(5 / 6, 6)
    assert found["waiting"] == Figure(3, 9)
    assert found["dead_letters"] == Figure(4, 4)
    assert found["dead_letters.score.not_json"] == Figure(3, 3)
    assert found["model_lag.p50"] == Figure(3, 4, {"lower": 3, "upper": 3})
    half = found["label_delay_ms.p50"]
    assert half.detail["lower"] <= 2_000 <= half.detail["upper"] <= 2_000 * 1.04
    p99 = found["label_delay_ms.p99"].detail
    assert p99["lower"] <= 60_000 <= p99["upper"]
    direct = Metrics(plan_of(pipeline(**IN_EVENT))).figures(totals)
    assert "waiting" not in direct


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.sampled_from([1, 50, 99, 100]))
def test_a_quantile_lies_in_its_bucket(numbers: list[int], hundredths: int) -> None:
    family: dict[str, int] = {}
    for number in numbers:
        key = str(number_bucket(number))
        family[key] = family.get(key, 0) + 1
    exact = sorted(numbers)[max(0, -(-hundredths * len(numbers) // 100) - 1)]
    detail = quantile(family, hundredths).detail
    assert detail["lower"] <= exact <= detail["upper"]


@given(SCORES)
def test_a_probability_lies_within_the_edges_of_its_bucket(score: float) -> None:
    low, high = probability_edges(probability_bucket(score))
    assert low <= score <= high


def test_nothing_says_nothing() -> None:
    assert auc(None, {"1": 2}) == Figure(None, 2)
    assert quantile(None, 50) == Figure(None, 0)
    assert quantile({}, 50) == Figure(None, 0)
    assert calibration_error({}, int, int, {}, 1) == (Figure(None, 0), Figure(None, 0))
    assert quantile_within({}, 50, number_edges) == Figure(None, 0)
    for plan in (PLAN, ANOMALIES):
        assert values(Metrics(plan).figures({})) == {"events": 0, "coverage": None}
    for plan in (PLAN, CLASSES, NUMBERS):
        assert values(Metrics(plan).figures({}, segment=True)) == {"coverage": None}


def test_what_is_no_bucket_ranks_lowest() -> None:
    assert rank_of("(other)") == OTHER_RANK < rank_of(str(probability_bucket(0.0))) < inf
