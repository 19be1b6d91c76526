"""How one predictor did on one example: integers by task, which add up exactly, in any order.

Sums of real numbers are kept in millionths, each rounded once; sums of their squares in millionths
of millionths. What the names mean is in docs/metrics.md; ``metrics`` makes figures of their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from typing import Any

from headrace.streams.buckets import number_bucket, probability_bucket
from headrace.streams.intervals import Powers

MILLION = 1_000_000
PROBABILITY_MIN = 1e-15
"""A probability is taken for at least this when its logarithm is."""

SURE_AND_WRONG = round(-MILLION * log(PROBABILITY_MIN))
"""Logarithmic loss, in millionths, of an answer that was sure and wrong."""

CALIBRATION_BINS = 10
NUMBER_MAX = 1e18
"""Predictions and labels of greater magnitude count as this."""

TEXT_CHARS_MAX = 100
"""A segment's or a class's name is cut here."""

Pairs = list[tuple[str, int]]

Judge = Callable[[Any, Any, float | None, Mapping[str, float] | None], tuple[Pairs, Pairs]]
"""What judges the answers of one predictor: ``(label, said, score, probabilities)``, the truth, the
answer (None: it had nothing to say) and how sure it was. It returns what is counted of every
segment, and what is counted of the whole alone."""

_NAMES_KEPT = 5_000


class Names(dict[Any, str]):
    """Names of counts by what they are counted for; bounded."""

    def __init__(self, name_of: Callable[[Any], str]) -> None:
        super().__init__()
        self._name_of = name_of

    def __missing__(self, key: Any) -> str:
        name = self._name_of(key)
        if len(self) < _NAMES_KEPT:
            self[key] = name
        return name


def _fixed(value: float) -> int:
    return round(MILLION * value)


def _bounded(number: float) -> int:
    return _fixed(max(-NUMBER_MAX, min(NUMBER_MAX, number)))


def _surprise(likely: float) -> int:
    """Return the logarithmic loss of an answer that gave the truth this probability."""
    return _fixed(-log(max(likely, PROBABILITY_MIN)))


def _doubt(score: float) -> int:
    """Return the logarithmic loss that an answer of two classes expects of itself."""
    likely = max(score, PROBABILITY_MIN), max(1.0 - score, PROBABILITY_MIN)
    return _fixed(-score * log(likely[0]) - (1.0 - score) * log(likely[1]))


def _off(score: float, hit: bool) -> int:
    """Return the square of how far a probability is from what came."""
    return _fixed((score - hit) ** 2)


def _calibration(prefix: str) -> Callable[[float, bool, int], Pairs]:
    whats = ("sure", "sure_sum", "sure_squared", "sure_hit")
    names = [
        tuple(f"{prefix}.{what}:{place}" for what in whats) for place in range(CALIBRATION_BINS)
    ]

    def calibration(score: float, hit: bool, off: int) -> Pairs:
        place = min(int(score * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        sure, total, squared, hits = names[place]
        pairs = [(sure, 1), (total, _fixed(score)), (squared, off)]
        return [*pairs, (hits, 1)] if hit else pairs

    return calibration


def _decisions(prefix: str) -> Mapping[tuple[bool, bool | None], Pairs]:
    """Return what is counted of a decision, by the truth and the answer."""
    return {
        (True, True): [(f"{prefix}.tp", 1)],
        (False, True): [(f"{prefix}.fp", 1)],
        (False, False): [(f"{prefix}.tn", 1)],
        (True, False): [(f"{prefix}.fn", 1)],
        (True, None): [(f"{prefix}.unscored", 1)],
        (False, None): [(f"{prefix}.unscored", 1)],
    }


def _sides(prefix: str) -> Mapping[bool, Names]:
    """Return the names of the buckets of scores of what turned out true, and false."""
    return {
        True: Names(lambda bucket: f"{prefix}.true:{bucket}"),
        False: Names(lambda bucket: f"{prefix}.false:{bucket}"),
    }


def _binary(prefix: str) -> Judge:
    decisions, sides, calibration = _decisions(prefix), _sides(prefix), _calibration(prefix)
    scored, loss, brier = f"{prefix}.scored", f"{prefix}.log_loss", f"{prefix}.brier"
    loss_squared, brier_squared = f"{loss}_squared", f"{brier}_squared"
    expected = f"{prefix}.expected"

    def judge(label: bool, said: bool | None, score: float | None, _: Any) -> tuple[Pairs, Pairs]:
        decision = decisions[label, said]
        if said is None or score is None:
            return decision, []
        surprise = _surprise(score if label else 1.0 - score)
        off = _off(score, label)
        each = [
            *decision,
            (scored, 1),
            (loss, surprise),
            (loss_squared, surprise * surprise),
            (expected, _doubt(score)),
        ]
        rest = [
            (sides[label][probability_bucket(score)], 1),
            (brier, off),
            (brier_squared, off * off),
            *calibration(score, label, off),
        ]
        return each, rest

    return judge


def _anomaly(prefix: str) -> Judge:
    decisions, sides = _decisions(prefix), _sides(prefix)

    def judge(label: bool, said: bool | None, score: float | None, _: Any) -> tuple[Pairs, Pairs]:
        decision = decisions[label, said]
        if said is None or score is None:
            return decision, []
        return decision, [(sides[label][number_bucket(score)], 1)]

    return judge


def _multiclass(prefix: str) -> Judge:
    calibration = _calibration(prefix)
    scored, loss, loss_squared = (
        f"{prefix}.{name}" for name in ("scored", "log_loss", "log_loss_squared")
    )

    def judge(
        label: str, said: str | None, score: float | None, probabilities: Any
    ) -> tuple[Pairs, Pairs]:
        if said is None:
            return [(f"{prefix}.unscored", 1)], []
        truth, answer = label[:TEXT_CHARS_MAX], said[:TEXT_CHARS_MAX]
        pairs = [(f"{prefix}.actual:{truth}", 1)]
        if said == label:
            pairs.append((f"{prefix}.hit:{truth}", 1))
        rest = [(f"{prefix}.said:{answer}", 1)]
        if score is None or probabilities is None:
            return pairs, rest
        surprise = _surprise(probabilities.get(label, 0.0))
        pairs += [(scored, 1), (loss, surprise), (loss_squared, surprise * surprise)]
        hit = said == label
        return pairs, rest + calibration(score, hit, _off(score, hit))

    return judge


def _regression(prefix: str) -> Judge:
    n, absolute, squared, covered = (
        f"{prefix}.{name}" for name in ("n", "absolute", "squared", "covered")
    )
    names = [f"{prefix}.{what}" for what in Powers._fields if what != "squared"]

    def judge(label: float, said: float | None, *_: Any) -> tuple[Pairs, Pairs]:
        if said is None:
            return [(f"{prefix}.unscored", 1)], []
        truth, answer = _bounded(label), _bounded(said)
        error = answer - truth
        off, truth_squared = error * error, truth * truth
        further = (
            off * off,
            truth,
            truth_squared,
            truth * truth_squared,
            truth_squared * truth_squared,
            off * truth,
            off * truth_squared,
        )
        pairs = [(n, 1), (absolute, abs(error)), (squared, off)]
        rest = list(zip(names, further, strict=True))
        return pairs, [*rest, (covered, 1)] if error >= 0 else rest

    return judge


JUDGES: Mapping[str, Callable[[str], Judge]] = {
    "binary": _binary,
    "anomaly": _anomaly,
    "multiclass": _multiclass,
    "regression": _regression,
}
"""What makes a judge of one predictor, by task; the names of its counts begin with the prefix."""


class BaselineJudges(dict[str, Judge]):
    """Judges of baselines by name, made as they are met: a declaration may have had others."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._judge_of = JUDGES[task]

    def __missing__(self, name: str) -> Judge:
        found = self[name] = self._judge_of(f"baseline.{name}")
        return found


# -- the loss of one answer

Loss = Callable[[Any, Any, float | None, Mapping[str, float] | None], int | None]
"""``(label, said, score, probabilities)``: returns the loss in millionths, None if there is none
of this answer."""


def _binary_loss(label: bool, _: Any, score: float | None, __: Any) -> int | None:
    return None if score is None else _surprise(score if label else 1.0 - score)


def _class_loss(label: str, _: Any, __: Any, probabilities: Any) -> int | None:
    return None if probabilities is None else _surprise(probabilities.get(label, 0.0))


def _absolute_error(label: float, said: float, *_: Any) -> int:
    return abs(_bounded(said) - _bounded(label))


LOSSES: Mapping[str, Loss] = {
    "binary": _binary_loss,
    "multiclass": _class_loss,
    "regression": _absolute_error,
}
"""By task: logarithmic loss of classes, absolute error of numbers; anomalies have none."""
