"""Metrics: from totals to figures, by task. Integers until the last division.

All names, formulas and units are in docs/metrics.md. A predictor's metrics are those of the served
answers (``accuracy``), of the newest model before it learned (``fresh.accuracy``) and of each
baseline (``baseline.majority.accuracy``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

from headrace.streams.binned import gap, quantiles, quantiles_within, rank_of
from headrace.streams.buckets import number_bucket, number_edges, probability_edges
from headrace.streams.duration import duration_text
from headrace.streams.figures import Figure
from headrace.streams.groups import NULL
from headrace.streams.intervals import mean, share
from headrace.streams.judging import JUDGES, SEGMENT_JUDGES, Named
from headrace.streams.observe import whole
from headrace.streams.outcomes import MILLION
from headrace.streams.pipeline import Cost
from headrace.streams.plan import Plan
from headrace.streams.totals import PLAIN, Totals, family_sum, plain
from headrace.streams.withholding import judged

COUNTS = (
    "events",
    "scored",
    "unscored",
    "late_for_features",
    "new_entity",
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
    "repeated_event",
    "repeated_label",
    "beyond_windows",
)
"""Counts that are metrics as they are; one that is 0 is not said."""

DEAD_LETTERS = "dead_letters"
"""Family of dead letters; its keys are ``<stage>.<reason>``."""

PASSAGE = {
    "event_delay_ms": "event_delay",
    "entity_age_ms": "entity_age",
    "model_age_ms": "model_age",
    "label_delay_ms": "delay",
    "label_record_delay_ms": "label_record_delay",
    "model_lag": "lag",
}
"""Families of which the median and the 99th hundredth are told, by metric."""

AGES = (24, 6, 2, 1)
"""At which ages of predictions coverage is told: the wait, divided by these."""

REJECTED, VIOLATION = "rejected", "violation"
"""Families of events that SCORE refused, by reason, and by the field that was at fault."""

TENTHS = (10, 50, 90)
"""Of distributions these hundredths are told."""

CLASSES_TOLD = 20
"""Of so many classes the share of answers is told, the most frequent ones."""

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
        self._names = [name for name, _ in plan.feature_fields]
        self._features = [f"feature.{name}" for name in self._names]
        self._by_segment = [f"feature.{name}" for name in plan.features_by_segment]
        self._task = plan.task
        self._edges = number_edges if plan.task == "anomaly" else probability_edges
        self._ages = [(duration_text(age), age) for age in _ages_ms(plan.wait_ms)]
        self._judge = JUDGES[plan.task]
        self._briefly = SEGMENT_JUDGES[plan.task]
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
            return self._fairly(dict(self._of_segment(totals)), totals, segment=True)
        found = dict(self._counted(totals)) if totals else {"events": Figure(0.0, 0)}
        found.update(self._inputs(totals))
        found.update(self._outputs(totals))
        found["coverage"] = coverage(totals)
        found.update(self._predictor("outcome", "", totals))
        found.update(_with_later(self._predictor("fresh", "fresh.", totals), totals))
        for name in self._baselines:
            found.update(self._predictor(f"baseline.{name}", f"baseline.{name}.", totals))
        found.update(_regret(totals))
        found.update(self._leaks(totals))
        found.update(self._passage(totals))
        return self._fairly(found, totals, segment=False)

    def _fairly(
        self, figures: dict[str, Figure], totals: Totals, *, segment: bool
    ) -> dict[str, Figure]:
        """Withhold what the labels that came are no fair sample for; of events without JOIN none
        is missing.
        """
        return judged(figures, totals, self._task, segment=segment) if self._joined else figures

    def _of_segment(self, totals: Totals) -> Named:
        """Say how much a segment has, and the first thing to know of each predictor."""
        for name in SEGMENT_COUNTS:
            n = plain(totals, name)
            if n:
                yield name, Figure(float(n), n)
        yield "coverage", coverage(totals)
        yield from _missing(self._by_segment, totals)
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

    def _inputs(self, totals: Totals) -> Named:
        """Say what was refused and why, and of each feature that had nulls how many they were."""
        refused = totals.get(REJECTED)
        if refused:
            n = family_sum(refused)
            yield REJECTED, share(n, n + plain(totals, "events"))
            for reason in sorted(refused):
                yield f"{REJECTED}.{reason}", Figure(float(refused[reason]), refused[reason])
        for name, n in sorted(totals.get(VIOLATION, {}).items()):
            yield f"{VIOLATION}s.{name}", Figure(float(n), n)
        yield from _missing(self._features, totals)

    def _leaks(self, totals: Totals) -> Named:
        """Say of features that alone order the labels how well they do."""
        areas, told = totals.get("leak", {}), totals.get("leak_told", {})
        for name in self._names:
            if name in areas:
                times = told[name]  # each version of the declaration tells it once
                yield f"leak.{name}", Figure(areas[name] / (MILLION * times), times)

    def _outputs(self, totals: Totals) -> Named:
        """Say how scores, and answers, are spread."""
        scores, answers = totals.get("score"), totals.get("answer")
        if scores:
            yield from _spread("score", scores, self._edges)
        if not answers:
            return
        n = family_sum(answers)
        if self._task == "regression":
            yield from _spread("answer", answers, number_edges)
        elif self._task == "multiclass":
            told = sorted(answers, key=lambda key: (-answers[key], key))[:CLASSES_TOLD]
            for key in sorted(told):
                yield f"answered.{key.removeprefix('=')}", share(answers[key], n)
        else:
            yield "answered.true", share(answers.get("true", 0), n)

    def _within(self, totals: Totals) -> Named:
        """Say which share of predictions had their label at what age."""
        delays, events = totals.get("delay"), plain(totals, "events")
        if not delays or not events:
            return
        for name, age_ms in self._ages:
            bucket = number_bucket(age_ms)
            n = sum(count for key, count in delays.items() if rank_of(key) <= bucket)
            yield f"coverage.within.{name}", Figure(n / events, events)

    def _passage(self, totals: Totals) -> Named:
        """Say how labels and models came along: delay, lag, what waits, what was settled."""
        for name, family in PASSAGE.items():
            if family in totals:
                yield from zip(
                    (f"{name}.p50", f"{name}.p99"), quantiles(totals[family], (50, 99)), strict=True
                )
        if "true_delay" in totals:
            yield "label_delay_gap", gap(totals["true_delay"], totals.get("delay", {}))
        if not self._joined:
            return
        yield from self._within(totals)
        came, matched, expired = (
            plain(totals, name) for name in ("first_event", "matched", "expired")
        )
        if came:
            yield "waiting", Figure(float(came - matched - expired), came)
        if matched + expired:
            yield "coverage.settled", Figure(matched / (matched + expired), matched + expired)
        contradicting, routed = plain(totals, "contradicting_label"), plain(totals, "routed")
        if contradicting and routed:
            yield "contradicting_share", Figure(contradicting / routed, routed)

    def _predictor(self, prefix: str, name: str, totals: Totals) -> Named:
        """Return the metrics of one predictor, if it has answered anything."""
        family = totals.get(PLAIN, {})
        silent = family.get(f"{prefix}.unscored", 0)
        if silent and name:
            yield f"{name}unscored", Figure(float(silent), silent)
        for metric, figure in self._judge(prefix, totals, self._cost):
            yield name + metric, figure


def _spread(
    name: str, family: Mapping[str, int], edges: Callable[[int], tuple[float, float]]
) -> Named:
    """Say how a distribution is spread: its median and the tenths on both sides."""
    for tenth, figure in zip(TENTHS, quantiles_within(family, TENTHS, edges), strict=True):
        yield f"{name}.p{tenth}", figure


def _missing(names: Iterable[str], totals: Totals) -> Named:
    """Say of each feature that had nulls how many they were."""
    for name in names:
        nulls = totals.get(name, {}).get(NULL, 0)
        if nulls:
            yield f"missing.{name}", share(nulls, family_sum(totals[name]))


def coverage(totals: Totals) -> Figure:
    """Return the share of predictions whose label is in; null where there are none."""
    events = plain(totals, "events")
    if not events:
        return Figure(None, 0)
    return Figure(plain(totals, "labelled") / events, events)


def _with_later(figures: Named, totals: Totals) -> Named:
    """Say of each figure of the newest model how often it knew more than any served one could."""
    get = totals.get(PLAIN, {}).get
    later, equal = get("fresh.later", 0), get("equal.n", 0)
    for name, figure in figures:
        told = {**figure.detail, "later": later / (later + equal)} if later + equal else {}
        yield name, figure._replace(detail=told or figure.detail)


def _regret(totals: Totals) -> Named:
    """Return by how much the served answers' loss exceeds that of the newest model's.

    Of the examples alone before which both knew the same labels, but for what the served one lagged
    (docs/metrics.md).
    """
    family = totals.get(PLAIN, {})
    n = family.get("equal.n", 0)
    if n:
        loss, squared = (whole(family, f"equal.{name}") for name in ("loss", "loss_squared"))
        yield "regret", mean(loss, squared, n, MILLION, least=-inf)


def _ages_ms(wait_ms: int) -> list[int]:
    """Return the ages at which coverage is told, youngest first."""
    return sorted({max(1, wait_ms // part) for part in AGES})


def _cost(plan: Plan) -> Cost | None:
    """Return what wrong answers cost: what is to be watched, else what decides."""
    declared = plan.pipeline.monitor.business or plan.pipeline.decide
    return declared if isinstance(declared, Cost) else None
