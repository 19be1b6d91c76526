"""Features that alone order the labels nearly perfectly: as a rule, what is known only with them.

The first labelled examples are looked at, once: of each feature the area under the ROC curve that
it has by itself, whichever way round; of several classes the least of any two. A feature that comes
so near to the labels was probably filled in together with them (an arrival's delay beside whether
it was late). It may be a good feature all the same: it is told, and nothing is refused.

Of numbers to be predicted nothing is told: the last one often orders the next one as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

from headrace.streams.plan import Plan

LEAST = 0.98
"""From this area under the curve on a feature is told."""

CLASS_LEAST = 20
"""So many labels of each class it takes."""

VALUES_MAX = 8_000
"""So many values of features are kept until the end: they are part of LEARN's state."""

EXAMPLES_MIN, EXAMPLES_MAX = 200, 1_000
"""So many labelled examples are looked at, at least and at most."""

CATEGORY_LEAST = 10
"""Values of a category that are seen less often are taken together: one alone orders anything."""

State = Mapping[str, Any]


class Suspicions:
    """Looks at the first labelled examples, halfway and at the end.

    Parameters
    ----------
    plan
        The pipeline's plan.
    state
        What :meth:`state` returned; None has seen nothing.
    """

    def __init__(self, plan: Plan, state: State | None = None) -> None:
        self._fields = plan.feature_fields
        size = VALUES_MAX // max(1, len(self._fields))
        self._last = max(EXAMPLES_MIN, min(EXAMPLES_MAX, size))
        known = state or {"rows": [], "labels": [], "told": [], "over": plan.task == "regression"}
        self._rows: list[list[Any]] = list(known["rows"])
        self._labels: list[Any] = list(known["labels"])
        self._told: list[str] = list(known["told"])
        self.over: bool = known["over"]

    def take(self, example: Mapping[str, Any]) -> dict[str, float]:
        """Take in an example; return the features that are to be told now, with their area."""
        label = example["label"]
        if self.over or label is None:
            return {}
        features = example["features"]
        self._rows.append([features[name] for name, _ in self._fields])
        self._labels.append(label)
        if len(self._labels) not in (self._last // 2, self._last):
            return {}
        found = self._found()
        self._told += found
        if len(self._labels) == self._last:
            self.over, self._rows, self._labels = True, [], []
        return found

    def state(self) -> dict[str, Any]:
        """Return what is known as plain data."""
        return {
            "rows": self._rows, "labels": self._labels, "told": self._told, "over": self.over,
        }  # fmt: skip

    def _found(self) -> dict[str, float]:
        columns = zip(*self._rows, strict=True)
        areas = {
            name: area_of(column, self._labels, category=kind == "category")
            for (name, kind), column in zip(self._fields, columns, strict=True)
            if name not in self._told
        }
        return {name: area for name, area in areas.items() if area is not None and area >= LEAST}


def area_of(values: Sequence[Any], labels: Sequence[Any], *, category: bool) -> float | None:
    """Return how well a feature alone orders labels: 0.5 not at all, 1 perfectly.

    Parameters
    ----------
    values
        The feature's; None is null.
    labels
        Truths, or names of classes.
    category
        Whether it has no order of its own.

    Returns
    -------
    float or None
        The least area of any two classes that have labels enough; None if no two have.

    Examples
    --------
    >>> late = [n % 3 == 0 for n in range(90)]
    >>> area_of([60 if each else 2 for each in late], late, category=False)
    1.0
    """
    counts = Counter(labels)
    classes = sorted((each for each, n in counts.items() if n >= CLASS_LEAST), key=str)
    areas = []
    for one, other in combinations(classes, 2):
        pairs = [
            (value, label == one)
            for value, label in zip(values, labels, strict=True)
            if label in (one, other)
        ]
        areas.append(_of_category(pairs) if category else _of_numbers(pairs))
    return min(areas, default=None)


_Pairs = Sequence[tuple[Any, bool]]


def _of_numbers(pairs: _Pairs) -> float:
    """Return the area by a number, with null below or above all others, and either way round."""
    areas = []
    for null in (-inf, inf):
        area = _area([(null if value is None else float(value), true) for value, true in pairs])
        areas.append(max(area, 1.0 - area))
    return max(areas)


def _of_category(pairs: _Pairs) -> float:
    """Return the area by the share of true among those of the same value."""
    seen = Counter(value for value, _ in pairs)
    named = [(value if seen[value] >= CATEGORY_LEAST else "", true) for value, true in pairs]
    trues, all_ = Counter(value for value, true in named if true), Counter(v for v, _ in named)
    return _area([(trues[value] / all_[value], true) for value, true in named])


def _area(pairs: Sequence[tuple[float, bool]]) -> float:
    """Return the share of (true, false) pairs in the right order, ties half."""
    by_score: dict[float, list[int]] = {}
    for score, true in pairs:
        by_score.setdefault(score, [0, 0])[true] += 1
    below = right = 0.0
    for score in sorted(by_score):
        falses, trues = by_score[score]
        right += trues * (below + falses / 2)
        below += falses
    return right / ((len(pairs) - below) * below)
