"""How sure metrics are, and how what comes in and goes out is spread."""

from __future__ import annotations

from dataclasses import replace
from math import log
from random import Random
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.buckets import number_bucket, probability_bucket
from headrace.streams.metrics import Metrics
from headrace.streams.outcomes import JUDGES
from headrace.streams.pipeline import Cost, Labels
from headrace.streams.plan import Plan, plan_of
from headrace.streams.totals import Totals, add_values
from tests.unit.metrics.test_metrics import (
    ANOMALIES,
    CLASSES,
    NUMBERS,
    SCORES,
    add_counts,
    judged,
    values,
)
from tests.unit.stages.flow import PLAN, pipeline


def spread_of(values: list[float]) -> tuple[float, float]:
    """Return the normal interval of a mean, directly."""
    half = 1.959963984540054 * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


def test_losses_and_costs_have_intervals() -> None:
    random = Random(5)
    pairs = [(random.random() < 0.3, random.random()) for _ in range(400)]
    totals = judged("binary", [(label, score >= 0.5, score, None) for label, score in pairs])
    found = Metrics(plan_of(pipeline(decide=Cost(10, 120)))).figures(totals)
    likely = [score if label else 1 - score for label, score in pairs]
    paid = [120.0 * (t and s < 0.5) + 10.0 * (not t and s >= 0.5) for t, s in pairs]
    for name, found_of in (
        ("log_loss", [-log(each) for each in likely]),
        ("brier", [(1 - each) ** 2 for each in likely]),
        ("cost", paid),
    ):
        low, high = spread_of(found_of)
        detail = found[name].detail
        assert (detail["low"], detail["high"]) == pytest.approx((low, high), abs=1e-5), name


def test_what_is_said_of_numbers_and_of_classes_has_intervals() -> None:
    random = Random(6)
    numbers = [(y, y + random.gauss(1, 2)) for y in (random.gauss(50, 9) for _ in range(300))]
    found = Metrics(NUMBERS).figures(
        judged("regression", [(*each, None, None) for each in numbers])
    )
    errors = [said - label for label, said in numbers]
    assert found["rmse"].value == pytest.approx(fmean(e * e for e in errors) ** 0.5, abs=1e-5)
    for name, truth in (("rmse", 5**0.5), ("r2", 1 - 5 / 81)):
        detail = found[name].detail
        assert detail["low"] < truth < detail["high"], name
        assert detail["high"] - detail["low"] < 0.6, name
    names = ("fine", "worn", "gone")
    classes = [(random.choice(names), random.choice(names), None, None) for _ in range(300)]
    detail = Metrics(CLASSES).figures(judged("multiclass", classes))["macro_f1"].detail
    assert detail["low"] < 1 / 3 < detail["high"]
    assert detail["classes"] == 3
    many: Totals = judged("multiclass", classes)
    add_values(many, {"outcome.actual:(other)": 5})
    assert dict(Metrics(CLASSES).figures(many)["macro_f1"].detail) == {"classes": 3.0}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_what_is_said_of_calibration_has_intervals(task: str) -> None:
    random = Random(8)
    scores = [random.random() for _ in range(400)]
    answers: list[tuple[Any, ...]] = [(random.random() < s, s >= 0.5, s, None) for s in scores]
    if task == "multiclass":
        answers = [("fine", "fine" if t else "worn", s, {"fine": s}) for t, _, s, _ in answers]
    found = Metrics(PLAN if task == "binary" else CLASSES).figures(judged(task, answers))
    for name in ("calibration_error", "calibration_bias"):
        detail = found[name].detail
        assert detail["low"] <= 0 < detail["high"] < 0.2, name
        assert detail["low"] <= (found[name].value or 0) <= detail["high"]


@pytest.mark.parametrize(
    ("task", "plan", "metric"),
    [
        ("binary", PLAN, "log_loss"),
        ("multiclass", CLASSES, "log_loss"),
        ("regression", NUMBERS, "mae"),
    ],
)
def test_losses_of_segments_have_the_intervals_that_all_together_have(
    task: str, plan: Plan, metric: str
) -> None:
    random = Random(3)
    answers: list[tuple[Any, ...]] = []
    for _ in range(60):
        score = random.random()
        label = {"binary": score < 0.3, "multiclass": "fine", "regression": 3.0}[task]
        said = {"binary": score >= 0.5, "multiclass": "worn", "regression": 9 * score}[task]
        answers.append((label, said, score, {"fine": score}))
    of_each: Totals = {}
    for answer in answers:
        add_counts(of_each, JUDGES[task]("outcome")(*answer)[0])
    brief = Metrics(plan).figures(of_each, segment=True)[metric]
    whole = Metrics(plan).figures(judged(task, answers))[metric]
    assert brief.detail["low"] < (brief.value or 0) < brief.detail["high"]
    assert (brief.detail["low"], brief.detail["high"]) == (
        whole.detail["low"],
        whole.detail["high"],
    )


def test_an_auc_and_an_f1_have_intervals_that_hold_the_truth_and_shrink() -> None:
    random, widths = Random(9), {"auc": 9.0, "f1": 9.0}
    for n in (60, 600, 6_000):
        pairs = [(t, random.gauss(0.6 if t else 0.4, 0.15)) for t in (i % 3 == 0 for i in range(n))]
        answers = [(t, s >= 0.5, min(1.0, max(0.0, s)), None) for t, s in pairs]
        found = Metrics(PLAN).figures(judged("binary", answers))
        for name, truth in (("auc", 0.827), ("f1", 0.658)):
            detail = found[name].detail
            assert detail["low"] <= truth <= detail["high"], (name, n)
            assert detail["low"] < (found[name].value or 0) < detail["high"]
            width = detail["high"] - detail["low"]
            assert width < widths[name]
            widths[name] = width


def test_what_is_missing_is_said_of_features_that_miss_something() -> None:
    totals: Totals = {"feature.load": {"null": 1, "1313": 3}, "feature.speed": {"1313": 4}}
    found = Metrics(PLAN).figures(totals)
    assert {name: found[name].value for name in found if name.startswith("missing.")} == {
        "missing.feature.load": 0.25
    }


@given(st.lists(SCORES, min_size=1, max_size=40))
def test_quantiles_of_scores_lie_in_their_buckets(scores: list[float]) -> None:
    totals: Totals = {}
    for score in scores:
        add_values(totals, {f"score:{probability_bucket(score)}": 1})
    found = Metrics(PLAN).figures(totals)
    for hundredths in (10, 50, 90):
        exact = sorted(scores)[max(0, -(-hundredths * len(scores) // 100) - 1)]
        figure = found[f"score.p{hundredths}"]
        assert figure.detail["lower"] <= exact <= figure.detail["upper"]
        assert figure.value is not None
        assert figure.detail["upper"] - figure.detail["lower"] <= 1 / 128


def test_scores_of_anomalies_are_any_numbers() -> None:
    found = Metrics(ANOMALIES).figures({"score": {str(number_bucket(-3.0)): 1}})
    detail = found["score.p50"].detail
    assert detail["lower"] <= -3.0 <= detail["upper"] < -2.9


def test_coverage_is_told_by_age_and_labels_that_contradict_by_share() -> None:
    totals: Totals = {}
    hour = 3_600_000
    for delay in (hour // 2, hour // 2, 2 * hour, 20 * hour):
        add_values(totals, {f"delay:{number_bucket(delay)}": 1})
    add_values(totals, {"events": 8, "labelled": 4, "routed": 10, "contradicting_label": 1})
    labels = pipeline().labels
    assert isinstance(labels, Labels)
    plan = plan_of(pipeline(labels=replace(labels, wait="24h")))
    found = values(Metrics(plan).figures(totals))
    ages = {name: share for name, share in found.items() if name.startswith("coverage.within.")}
    assert ages == {
        "coverage.within.1h": 0.25, "coverage.within.4h": 0.375, "coverage.within.12h": 0.375,
        "coverage.within.1d": 0.5,
    }  # fmt: skip
    assert found["contradicting_share"] == 0.1
