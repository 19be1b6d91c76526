"""Metrics: from totals to figures, by task. Integers until the last division.

All names, formulas and units are in docs/metrics.md. A predictor's metrics are those of the served
answers (``accuracy``), of the newest model before it learned (``fresh.accuracy``) and of each
baseline (``baseline.majority.accuracy``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import sqrt

from headrace.streams.binned import auc, calibration_error, quantile
from headrace.streams.figures import Figure
from headrace.streams.intervals import mean, share
from headrace.streams.observe import whole
from headrace.streams.outcomes import MILLION, SURE_AND_WRONG
from headrace.streams.pipeline import Cost
from headrace.streams.plan import Plan
from headrace.streams.totals import OTHER, PLAIN, Family, Totals, family_sum, plain

Named = Iterator[tuple[str, Figure]]

COUNTS = (
    "events",
    "scored",
    "unscored",
    "late_for_features",
    "examples",
    "labelled",
    "learned",
    "routed",
    "first_event",
    "matched",
    "expired",
    "late_event",
    "duplicate_event",
    "duplicate_label",
    "contradicting_label",
    "late_label",
    "unmatched_label",
    "baseline_failed",
    "model_failed",
    "count_failed",
    "watch_failed",
    "beyond_windows",
)
"""Counts that are metrics as they are; one that is 0 is not said."""

DEAD_LETTERS = "dead_letters"
"""Family of dead letters; its keys are ``<stage>.<reason>``."""

SEGMENT_COUNTS = ("events", "labelled")
"""Counts that are said of segments. There are so many windows of segments that each metric more
costs a tenth of what MONITOR costs; ``accuracy``'s detail has what precision and others are of."""


class Metrics:
    """Turns totals into figures.

    Parameters
    ----------
    plan
        The pipeline's plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._judge = _JUDGES[plan.task]
        self._briefly = _SEGMENT_JUDGES[plan.task]
        self._cost = _cost(plan)
        self._joined = plan.labels == "topic"
        self._baselines = [*plan.learned_baselines, *plan.rules]

    def figures(self, totals: Totals, *, segment: bool = False) -> dict[str, Figure]:
        """Return all metrics of a window, in a fixed order.

        Parameters
        ----------
        totals
            What was counted in it.
        segment
            Whether it is one segment's: then only what tells segments apart.
        """
        if segment:
            return dict(self._of_segment(totals))
        found = dict(self._counted(totals))
        found["coverage"] = coverage(totals)
        found.update(self._predictor("outcome", "", totals))
        found.update(self._predictor("fresh", "fresh.", totals))
        for name in self._baselines:
            found.update(self._predictor(f"baseline.{name}", f"baseline.{name}.", totals))
        found.update(self._passage(totals))
        return found

    def _of_segment(self, totals: Totals) -> Named:
        """Say how much a segment has, and the first thing to know of each predictor."""
        for name in SEGMENT_COUNTS:
            n = plain(totals, name)
            if n:
                yield name, Figure(float(n), n)
        yield "coverage", coverage(totals)
        for judge in self._briefly:
            yield from judge("outcome", totals)
        for name in self._baselines:
            for metric, figure in self._briefly[0](f"baseline.{name}", totals):
                yield f"baseline.{name}.{metric}", figure

    def _counted(self, totals: Totals) -> Named:
        family = totals.get(PLAIN, {})
        for name in COUNTS:
            n = whole(family, name)
            if n:
                yield name, Figure(float(n), n)
        letters = totals.get(DEAD_LETTERS)
        if letters:
            n = family_sum(letters)
            yield DEAD_LETTERS, Figure(float(n), n)
            for key in sorted(letters):
                yield f"{DEAD_LETTERS}.{key}", Figure(float(letters[key]), letters[key])

    def _passage(self, totals: Totals) -> Named:
        """Say how labels and models came along: delay, lag, what waits, what was settled."""
        for name, family in (("label_delay_ms", "delay"), ("model_lag", "lag")):
            if family in totals:
                yield f"{name}.p50", quantile(totals[family], 50)
                yield f"{name}.p99", quantile(totals[family], 99)
        if not self._joined:
            return
        came, matched, expired = (
            plain(totals, name) for name in ("first_event", "matched", "expired")
        )
        if came:
            yield "waiting", Figure(float(came - matched - expired), came)
        if matched + expired:
            yield "coverage.settled", _share(matched, matched + expired)

    def _predictor(self, prefix: str, name: str, totals: Totals) -> Named:
        """Return the metrics of one predictor, if it has answered anything."""
        family = totals.get(PLAIN, {})
        silent = family.get(f"{prefix}.unscored", 0)
        if silent and name:
            yield f"{name}unscored", Figure(float(silent), silent)
        for metric, figure in self._judge(prefix, totals, self._cost):
            yield name + metric, figure


def coverage(totals: Totals) -> Figure:
    """Return the share of predictions whose label is in; null where there are none."""
    events = plain(totals, "events")
    if not events:
        return Figure(None, 0)
    return Figure(plain(totals, "labelled") / events, events)


def _cost(plan: Plan) -> Cost | None:
    """Return what wrong answers cost: what is to be watched, else what decides."""
    declared = plan.pipeline.monitor.business or plan.pipeline.decide
    return declared if isinstance(declared, Cost) else None


def _share(part: int, n: int) -> Figure:
    return Figure(part / n if n else None, n)


def _mean(millionths: int, n: int) -> Figure:
    return Figure(millionths / (MILLION * n) if n else None, n)


# -- judges: (prefix, totals, cost) to the metrics of one predictor


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
    yield "f1", Figure(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None, n)
    yield "true_share", _share(tp + fn, n)
    if cost is not None:
        paid = fp * cost.false_positive + fn * cost.false_negative
        yield "cost", Figure(paid / n, n)


def _ranked(prefix: str, totals: Totals) -> Named:
    """Return the AUC; of answers that are no more than true or false, that of 0 and 1."""
    true, false = totals.get(f"{prefix}.true"), totals.get(f"{prefix}.false")
    if true or false:
        yield "auc", auc(true, false)
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    if tp + fp + tn + fn:
        yield "auc", _hard_auc(tp, fp, tn, fn)


def _hard_auc(tp: int, fp: int, tn: int, fn: int) -> Figure:
    """Return the AUC of answers that are 0 or 1: exact, since equal answers do tie."""
    figure = auc({"1": tp, "0": fn}, {"1": fp, "0": tn})
    return Figure(figure.value, figure.support, {**figure.detail, "half_width": 0.0})


def _binary(prefix: str, totals: Totals, cost: Cost | None) -> Named:
    yield from _ranked(prefix, totals)
    yield from _confusion(prefix, totals, cost)
    yield from _log_loss(prefix, totals)
    scored = _scored(prefix, totals)
    if scored:
        yield "brier", _mean(whole(totals[PLAIN], f"{prefix}.brier"), scored)
        yield "calibration_error", _calibration(prefix, totals)
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    n = tp + fp + tn + fn
    if n:
        yield "brier", _share(fp + fn, n)


def _scored(prefix: str, totals: Totals) -> int:
    """Return how many answers had a probability."""
    return totals.get(PLAIN, {}).get(f"{prefix}.scored", 0)


def _log_loss(prefix: str, totals: Totals) -> Named:
    """Return the loss; answers without a probability are judged as what they say: sure."""
    scored = _scored(prefix, totals)
    if scored:
        yield "log_loss", _mean(whole(totals.get(PLAIN, {}), f"{prefix}.log_loss"), scored)
        return
    tp, fp, tn, fn = _decided(prefix, totals)
    n = tp + fp + tn + fn
    if n:
        yield "log_loss", _mean((fp + fn) * SURE_AND_WRONG, n)


def _calibration(prefix: str, totals: Totals) -> Figure:
    sums = totals.get(f"{prefix}.sure_sum", {})
    return calibration_error(
        totals.get(f"{prefix}.sure", {}),
        lambda place: whole(sums, place),
        totals.get(f"{prefix}.sure_hit", {}),
        MILLION,
    )


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
        yield "calibration_error", _calibration(prefix, totals)


def _class_accuracy(prefix: str, totals: Totals) -> Named:
    n = family_sum(totals.get(f"{prefix}.actual"))
    if n:
        yield "accuracy", share(family_sum(totals.get(f"{prefix}.hit")), n)


def _class_log_loss(prefix: str, totals: Totals) -> Named:
    scored = _scored(prefix, totals)
    if scored:
        loss = whole(totals.get(PLAIN, {}), f"{prefix}.log_loss")
        yield "log_loss", _mean(loss, scored)


def _macro_f1(actual: Family, said: Family, hit: Family, n: int) -> Figure:
    """Return the mean F1 of all classes that were true or said; :data:`OTHER` is none."""
    classes = sorted((actual.keys() | said.keys()) - {OTHER})
    scores = [2 * hit.get(name, 0) / (actual.get(name, 0) + said.get(name, 0)) for name in classes]
    value = sum(scores) / len(scores) if scores else None
    return Figure(value, n, {"classes": float(len(classes))})


def _regression(prefix: str, totals: Totals, _: Cost | None) -> Named:
    family = totals.get(PLAIN, {})
    n = family.get(f"{prefix}.n", 0)
    if not n:
        return
    squared, label, label_squared = (
        whole(family, f"{prefix}.{name}") for name in ("squared", "label", "label_squared")
    )
    yield from _mae(prefix, totals)
    yield "rmse", Figure(sqrt(squared / (MILLION * MILLION * n)), n)
    spread = n * label_squared - label * label  # n**2 times the variance, exact
    yield "r2", Figure(1 - (n * squared) / spread if spread else None, n)


def _mae(prefix: str, totals: Totals) -> Named:
    family = totals.get(PLAIN, {})
    n = family.get(f"{prefix}.n", 0)
    if n:
        absolute, squared = (whole(family, f"{prefix}.{name}") for name in ("absolute", "squared"))
        yield "mae", mean(absolute, squared, n, MILLION)


_Judge = Callable[[str, Totals, Cost | None], Named]

_JUDGES: Mapping[str, _Judge] = {
    "binary": _binary,
    "anomaly": _anomaly,
    "multiclass": _multiclass,
    "regression": _regression,
}

_SEGMENT_JUDGES: Mapping[str, tuple[Callable[[str, Totals], Named], ...]] = {
    "binary": (_accuracy, _log_loss),
    "anomaly": (_accuracy,),
    "multiclass": (_class_accuracy, _class_log_loss),
    "regression": (_mae,),
}
"""What is said of a segment; of baselines the first alone."""
