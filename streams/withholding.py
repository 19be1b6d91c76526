"""When what came of predictions is no fair sample of them, so that nothing is said of outcomes.

A label that has not come may say otherwise than those that have: it is still awaited, or the wait
has cut it off. As long as more than a tenth of a window's predictions are without a label, what is
said of outcomes has no value and no interval if

- the delay of labels depends on what they say (two classes, anomalies), or
- all labels that came are of one class.

Windows, final ones too, segments and the whole run are all judged by this, and the metric
``withheld`` says which it is. Numbers are told with their coverage alone: whether a late one would
be another is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.streams.figures import Figure
from headrace.streams.totals import PLAIN, Totals

DEPENDENCE = 0.1
"""From this gap on between the delays of labels, and beyond chance, delay depends on the label."""

MISSING = 0.1
"""Up to this share of predictions without a label the others are taken for all."""

BY_DELAY, ONE_CLASS = 1, 2
"""Why it is withheld: the delay of labels depends on what they say; all are of one class."""

REASONS: Mapping[int, str] = {
    BY_DELAY: "how late labels come depends on what they say",
    ONE_CLASS: "all labels that came are of one class",
}

IN_SHORT: Mapping[int, str] = {BY_DELAY: "label delays differ", ONE_CLASS: "one class alone"}
"""The same where there is little room."""

WITHHELD = "withheld"

OF_OUTCOMES = frozenset(
    (
        *("auc", "accuracy", "precision", "recall", "f1", "true_share", "cost", "log_loss"),
        *("brier", "calibration_error", "calibration_bias", "macro_f1", "mae", "rmse", "r2"),
        *("covered", "regret"),
    )
)
"""Metrics of predictors, and of outcomes."""


def judged(
    figures: dict[str, Figure], totals: Totals, task: str, *, segment: bool
) -> dict[str, Figure]:
    """Return what is to be said of a window, a segment of it, or the whole run.

    Parameters
    ----------
    figures
        All that can be said of it.
    totals
        What was counted in it.
    segment
        Whether it is one segment's: its figures say in their detail alone that they are withheld.

    Returns
    -------
    dict
        With ``withheld``, 0 if nothing is, wherever there are outcomes.
    """
    classes = _classes(totals, task)
    if not any(name in figures for name in ("accuracy", "mae")):
        return figures
    coverage = figures["coverage"].value
    reason = 0
    if coverage is not None and 1.0 - coverage > MISSING:
        reason = ONE_CLASS if classes == 1 else BY_DELAY if _depends(figures) else 0
    found = _withheld(figures, reason) if reason else dict(figures)
    if not segment:
        found[WITHHELD] = Figure(float(reason), figures["coverage"].support)
    return found


def fair(figures: dict[str, Figure]) -> dict[str, Figure]:
    """Return what is to be said of a window whose labels are not all in.

    As long as some are awaited none of them is missing for good, and a tenth is no measure: what
    depends on the delay is withheld.
    """
    withheld = figures.get(WITHHELD)
    if withheld is None or withheld.value or not _depends(figures):
        return figures
    return {**_withheld(figures, BY_DELAY), WITHHELD: withheld._replace(value=float(BY_DELAY))}


def _depends(figures: Mapping[str, Figure]) -> bool:
    """Return whether the delay of labels depends on what they say."""
    found = figures.get("label_delay_gap")
    if found is None:
        return False
    return (found.value or 0.0) > max(DEPENDENCE, found.detail.get("chance", 1.0))


def _classes(totals: Totals, task: str) -> int:
    """Return how many classes have been met by answers; 0 of numbers, or where there are none."""
    if task == "multiclass":
        return len(totals.get("outcome.actual", ()))
    counted = totals.get(PLAIN, {}).get
    true = counted("outcome.tp", 0) + counted("outcome.fn", 0)
    false = counted("outcome.fp", 0) + counted("outcome.tn", 0)
    return bool(true) + bool(false)


def _withheld(figures: Mapping[str, Figure], reason: int) -> dict[str, Figure]:
    """Return figures, those of outcomes without a value and with the reason."""
    return {
        name: Figure(None, figure.support, {**_uncertain(figure.detail), WITHHELD: float(reason)})
        if name in OF_OUTCOMES or name.startswith(("fresh.", "baseline."))
        else figure
        for name, figure in figures.items()
    }


def _uncertain(detail: Mapping[str, float]) -> dict[str, float]:
    return {name: part for name, part in detail.items() if name not in {"low", "high"}}
