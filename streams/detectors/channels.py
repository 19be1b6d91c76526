"""What is watched, and how it is read from counts: shares of a distribution, or a mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from headrace.streams.detectors.cohorts import RATE, name_of
from headrace.streams.observe import whole
from headrace.streams.outcomes import MILLION

Families = Mapping[str, Mapping[str, int]]
"""Counts by family and key; plain names are of the family ``""``."""

PLAIN = ""


class Channel(NamedTuple):
    """How one statistic is read.

    Attributes
    ----------
    family
        Of shares: which counts by bucket; None of a mean.
    probabilities
        Whether the family's buckets are of probabilities.
    mean
        Of a mean: its sum, and of how many.
    side
        1 if only a rise is an alarm, -1 if only a fall is, 0 if both.
    parts
        How many parts it has of its kind's false alarms, beside its segment's other streams.
    age_ms
        How old the events are of which it is told.
    """

    kind: str
    name: str
    family: str | None
    probabilities: bool
    mean: Callable[[Families], tuple[float, int]] | None
    side: int
    parts: int = 1
    age_ms: int = 0


SHARE_OF_KIND = {"input": 0.4, "score": 0.1, "outcome": 0.3, "labels": 0.1, RATE: 0.1}
"""How the false alarms that the promise allows are shared out."""


def channels_of(
    task: str,
    features: tuple[tuple[str, str], ...],
    kinds: tuple[str, ...],
    label_ages_ms: tuple[int, ...] = (),
) -> list[Channel]:
    """Return what is watched of all events together."""
    found = [_shares("input", f"feature.{name}", f"feature.{name}") for name, _ in features]
    found.append(_shares("score", "score", "score", probabilities=task != "anomaly"))
    found += _OUTCOMES[task] + _LABELS.get(task, ())
    found.append(_shares("labels", "label_delay_ms", "delay"))
    found.append(_COVERAGE)
    found += [
        Channel(RATE, name_of(age_ms), name_of(age_ms), False, None, 0, age_ms=age_ms)
        for age_ms in label_ages_ms
    ]
    return [channel for channel in found if channel.kind in kinds]


def segment_channels(task: str, kinds: tuple[str, ...]) -> list[Channel]:
    """Return what is watched of each segment."""
    found = [*_OUTCOMES[task], _COVERAGE]
    return [channel for channel in found if channel.kind in kinds]


def _shares(kind: str, name: str, family: str, *, probabilities: bool = False) -> Channel:
    return Channel(kind, name, family, probabilities, None, 0)


def _plain(families: Families, name: str) -> int:
    return whole(families.get(PLAIN, {}), name)


def _sum(families: Families, family: str) -> int:
    return sum(families.get(family, {}).values())


def _ratio(total: str, count: str, unit: int) -> Callable[[Families], tuple[float, int]]:
    return lambda families: (_plain(families, total) / unit, _plain(families, count))


def _accuracy(families: Families) -> tuple[float, int]:
    right = _plain(families, "outcome.tp") + _plain(families, "outcome.tn")
    wrong = _plain(families, "outcome.fp") + _plain(families, "outcome.fn")
    return float(right), right + wrong


def _class_accuracy(families: Families) -> tuple[float, int]:
    return float(_sum(families, "outcome.hit")), _sum(families, "outcome.actual")


def _true_share(families: Families) -> tuple[float, int]:
    true = _plain(families, "outcome.tp") + _plain(families, "outcome.fn")
    false = _plain(families, "outcome.fp") + _plain(families, "outcome.tn")
    return float(true), true + false


def _excess_loss(families: Families) -> tuple[float, int]:
    """Return by how much losses exceed what the scores themselves expect of them."""
    excess = _plain(families, "outcome.log_loss") - _plain(families, "outcome.expected")
    return excess / MILLION, _plain(families, "outcome.scored")


def _mean(
    kind: str, name: str, mean: Callable[[Families], tuple[float, int]], side: int
) -> Channel:
    return Channel(kind, name, None, False, mean, side)


_LOSS = _mean("outcome", "log_loss", _ratio("outcome.log_loss", "outcome.scored", MILLION), 1)
_BINARY_ACCURACY = _mean("outcome", "accuracy", _accuracy, -1)
_TRUE_SHARE = _mean("outcome", "true_share", _true_share, 0)

_EXCESS_LOSS = Channel("outcome", "excess_loss", None, False, _excess_loss, 1, 3)

_OUTCOMES: Mapping[str, tuple[Channel, ...]] = {
    "binary": (_LOSS, _BINARY_ACCURACY, _TRUE_SHARE, _EXCESS_LOSS),
    "anomaly": (_BINARY_ACCURACY, _TRUE_SHARE),
    "multiclass": (_LOSS, _mean("outcome", "accuracy", _class_accuracy, -1)),
    "regression": (_mean("outcome", "mae", _ratio("outcome.absolute", "outcome.n", MILLION), 1),),
}

_LABELS: Mapping[str, tuple[Channel, ...]] = {
    "multiclass": (_shares("outcome", "class_share", "outcome.actual"),),
    "regression": (
        _mean("outcome", "label_mean", _ratio("outcome.label", "outcome.n", MILLION), 0),
    ),
}
"""What labels say, where they are not true or false; it is counted of all events together."""

_COVERAGE = _mean("labels", "coverage", _ratio("labelled", "events", 1), -1)

_OUTCOME_NAMES = (
    "tp", "fp", "tn", "fn", "scored", "log_loss", "expected", "absolute", "n", "label",
)  # fmt: skip

PLAIN_NAMES = frozenset(("events", "labelled", *(f"outcome.{name}" for name in _OUTCOME_NAMES)))
"""Plain counts that are read; of a long sum, its limbs too."""


def families_of(values: Mapping[str, int], wanted: frozenset[str]) -> dict[str, dict[str, int]]:
    """Return what is read of a segment's counts, by family."""
    found: dict[str, dict[str, int]] = {}
    for name, n in values.items():
        family, colon, key = name.partition(":")
        if not colon:
            if name.partition("^")[0] in PLAIN_NAMES:
                found.setdefault(PLAIN, {})[name] = n
        elif family in wanted:
            found.setdefault(family, {})[key] = n
    return found


def families_wanted(channels: list[Channel]) -> frozenset[str]:
    """Return which families of counts channels read."""
    names = {channel.family for channel in channels if channel.family is not None}
    return frozenset(names | {"outcome.hit", "outcome.actual"})
