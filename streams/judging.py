"""Judges: how one predictor did, from its counts to figures, by task (docs/metrics.md).

``outcomes`` has the counting side: what is added up for each answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from headrace.streams.binned import auc, calibration_error
from headrace.streams.figures import Figure
from headrace.streams.intervals import (
    OfClass,
    Powers,
    explained,
    mean,
    mean_f1,
    of_ranks,
    of_values,
    root_mean_square,
    share,
)
from headrace.streams.observe import whole
from headrace.streams.outcomes import MILLION, SURE_AND_WRONG
from headrace.streams.pipeline import Cost
from headrace.streams.totals import OTHER, PLAIN, Family, Totals, family_sum

Named = Iterator[tuple[str, Figure]]

Judge = Callable[[str, Totals, Cost | None], Named]
"""``(prefix, totals, cost)``: returns the metrics of the predictor whose counts begin so."""

Brief = Callable[[str, Totals], Named]
"""The same, of one metric or a few."""


def _decided(prefix: str, totals: Totals) -> tuple[int, int, int, int]:
    """Return how many answers were true and false positives, true and false negatives."""
    get = totals.get(PLAIN, {}).get
    return (
        get(f"{prefix}.tp", 0),
        get(f"{prefix}.fp", 0),
        get(f"{prefix}.tn", 0),
        get(f"{prefix}.fn", 0),
    )


def _accuracy(prefix: str, totals: Totals) -> Named:
    tp, fp, tn, fn = _decided(prefix, totals)
    n = tp + fp + tn + fn
    if n:
        detail = {"tp": float(tp), "fp": float(fp), "tn": float(tn), "fn": float(fn)}
        figure = share(tp + tn, n)
        yield "accuracy", figure._replace(detail={**detail, **figure.detail})


def _confusion(prefix: str, totals: Totals, cost: Cost | None) -> Named:
    tp, fp, tn, fn = _decided(prefix, totals)
    n = tp + fp + tn + fn
    if not n:
        return
    yield from _accuracy(prefix, totals)
    yield "precision", share(tp, tp + fp)
    yield "recall", share(tp, tp + fn)
    yield "f1", _f1(tp, fp + fn, n)
    yield "true_share", share(tp + fn, n)
    if cost is not None:
        paid = ((fp, cost.false_positive), (fn, cost.false_negative), (tp + tn, 0.0))
        yield "cost", of_values(paid)


def _f1(tp: int, wrong: int, n: int) -> Figure:
    """Return F1 = 2J / (1 + J), with J the share of hits among what was true or said to be."""
    met = share(tp, tp + wrong)
    if met.value is None:
        return Figure(None, n)
    bounds = {name: 2 * each / (1 + each) for name, each in met.detail.items()}
    return Figure(2 * tp / (2 * tp + wrong), n, bounds)


def _ranked(prefix: str, totals: Totals) -> Named:
    """Return the AUC; of answers that are no more than true or false, that of 0 and 1."""
    true, false = totals.get(f"{prefix}.true"), totals.get(f"{prefix}.false")
    if true or false:
        yield "auc", of_ranks(auc(true, false))
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    if tp + fp + tn + fn:
        yield "auc", of_ranks(_hard_auc(tp, fp, tn, fn))


def _hard_auc(tp: int, fp: int, tn: int, fn: int) -> Figure:
    """Return the AUC of answers that are 0 or 1: exact, since equal answers do tie."""
    figure = auc({"1": tp, "0": fn}, {"1": fp, "0": tn})
    detail = {**figure.detail, "half_width": 0.0}
    return figure if figure.value is None else figure._replace(detail=detail)


def _binary(prefix: str, totals: Totals, cost: Cost | None) -> Named:
    yield from _ranked(prefix, totals)
    yield from _confusion(prefix, totals, cost)
    yield from _log_loss(prefix, totals)
    scored = _scored(prefix, totals)
    if scored:
        yield "brier", _mean_of("brier", prefix, totals, scored)
        yield from _calibration(prefix, totals)
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    n = tp + fp + tn + fn
    if n:
        yield "brier", share(fp + fn, n)


def _scored(prefix: str, totals: Totals) -> int:
    """Return how many answers had a probability."""
    return totals.get(PLAIN, {}).get(f"{prefix}.scored", 0)


def _mean_of(name: str, prefix: str, totals: Totals, n: int) -> Figure:
    """Return the mean of what is counted in millionths."""
    family = totals.get(PLAIN, {})
    total, squared = (whole(family, f"{prefix}.{each}") for each in (name, f"{name}_squared"))
    return mean(total, squared, n, MILLION)


def _log_loss(prefix: str, totals: Totals) -> Named:
    """Return the loss; answers without a probability are judged as what they say: sure."""
    scored = _scored(prefix, totals)
    if scored:
        figure = _mean_of("log_loss", prefix, totals, scored)
        expected = whole(totals[PLAIN], f"{prefix}.expected") / (scored * MILLION)
        yield "log_loss", figure._replace(detail={**figure.detail, "expected": expected})
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    n, wrong = tp + fp + tn + fn, fp + fn
    if n:
        squared = wrong * SURE_AND_WRONG * SURE_AND_WRONG
        yield "log_loss", mean(wrong * SURE_AND_WRONG, squared, n, MILLION)


def _calibration(prefix: str, totals: Totals) -> Named:
    """Return how far probabilities are from what comes true: by tenths, and all in all."""
    sums = totals.get(f"{prefix}.sure_sum", {})
    squares = totals.get(f"{prefix}.sure_squared", {})
    found = calibration_error(
        totals.get(f"{prefix}.sure", {}),
        lambda place: whole(sums, place),
        lambda place: whole(squares, place),
        totals.get(f"{prefix}.sure_hit", {}),
        MILLION,
    )
    yield "calibration_error", found.error
    yield "calibration_bias", found.bias


def _anomaly(prefix: str, totals: Totals, cost: Cost | None) -> Named:
    yield from _ranked(prefix, totals)
    yield from _confusion(prefix, totals, cost)


def _multiclass(prefix: str, totals: Totals, _: Cost | None) -> Named:
    actual = totals.get(f"{prefix}.actual", {})
    said, hit = totals.get(f"{prefix}.said", {}), totals.get(f"{prefix}.hit", {})
    n = family_sum(actual)
    if not n:
        return
    yield from _class_accuracy(prefix, totals)
    yield "macro_f1", _macro_f1(actual, said, hit, n)
    yield from _class_log_loss(prefix, totals)
    if _scored(prefix, totals):
        yield from _calibration(prefix, totals)


def _class_accuracy(prefix: str, totals: Totals) -> Named:
    n = family_sum(totals.get(f"{prefix}.actual"))
    if n:
        yield "accuracy", share(family_sum(totals.get(f"{prefix}.hit")), n)


def _class_log_loss(prefix: str, totals: Totals) -> Named:
    scored = _scored(prefix, totals)
    if scored:
        yield "log_loss", _mean_of("log_loss", prefix, totals, scored)


def _macro_f1(actual: Family, said: Family, hit: Family, n: int) -> Figure:
    """Return the mean F1 of all classes that were true or said; :data:`OTHER` is none."""
    names = sorted((actual.keys() | said.keys()) - {OTHER})
    classes = [OfClass(actual.get(name, 0), said.get(name, 0), hit.get(name, 0)) for name in names]
    found = mean_f1(classes, n)
    if OTHER in actual or OTHER in said:  # what of it was taken for what is not known
        return found._replace(detail={"classes": found.detail["classes"]})
    return found


def _regression(prefix: str, totals: Totals, _: Cost | None) -> Named:
    family = totals.get(PLAIN, {})
    n = family.get(f"{prefix}.n", 0)
    if not n:
        return
    sums = Powers(*(whole(family, f"{prefix}.{name}") for name in Powers._fields))
    yield from _mae(prefix, totals)
    yield "rmse", root_mean_square(sums.squared, sums.fourth, n, MILLION)
    yield "r2", explained(sums, n)
    yield "covered", share(family.get(f"{prefix}.covered", 0), n)


def _mae(prefix: str, totals: Totals) -> Named:
    family = totals.get(PLAIN, {})
    n = family.get(f"{prefix}.n", 0)
    if n:
        absolute, squared = (whole(family, f"{prefix}.{name}") for name in ("absolute", "squared"))
        yield "mae", mean(absolute, squared, n, MILLION)


JUDGES: Mapping[str, Judge] = {
    "binary": _binary,
    "anomaly": _anomaly,
    "multiclass": _multiclass,
    "regression": _regression,
}
"""By task."""

SEGMENT_JUDGES: Mapping[str, tuple[Brief, ...]] = {
    "binary": (_accuracy, _log_loss),
    "anomaly": (_accuracy,),
    "multiclass": (_class_accuracy, _class_log_loss),
    "regression": (_mae,),
}
"""What is said of a segment; of baselines the first alone."""
