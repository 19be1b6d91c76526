"""Tiles of made streams for the detectors' tests: events at a steady rate, and a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from headrace.streams.buckets import number_bucket, probability_bucket
from headrace.streams.detectors.verdicts import Terms, Verdict
from headrace.streams.detectors.watch import Watch

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
INPUTS = ("input", "score")
OUTCOMES = ("outcome", "labels")
REFERENCE_DAYS = 7

Counts = dict[str, dict[str, int]]
Make = Callable[[int, np.random.Generator], Counts]


def terms(
    features: tuple[tuple[str, str], ...] = (("x", "number"), ("c", "category")),
    *,
    tile_ms: int = HOUR_MS,
    days: int = REFERENCE_DAYS,
    task: str = "binary",
) -> Terms:
    return Terms(tile_ms, days * DAY_MS, 90 * DAY_MS, task, features)


def inputs(
    rng: np.random.Generator, events: int = 60, shift: float = 0.0, odd: float = 0.1
) -> Counts:
    found: dict[str, int] = {"events": events}
    for value in rng.normal(10 + shift, 2.0, events):
        _add(found, f"feature.x:{number_bucket(value)}")
    for name in rng.choice(["=a", "=b"], events, p=[1 - odd, odd]):
        _add(found, f"feature.c:{name}")
    for score in rng.random(events):
        _add(found, f"score:{probability_bucket(score)}")
    return {"all": found}


def outcomes(rng: np.random.Generator, events: int = 60, wrong: float = 0.2) -> dict[str, int]:
    errors = int(rng.binomial(events, wrong))
    loss = rng.gamma(2.0, 0.1 + wrong, events).sum()
    found = {"events": events, "labelled": events, "outcome.scored": events}
    found |= {"outcome.fp": errors, "outcome.tn": events // 2 - errors // 2}
    found["outcome.tp"] = events - errors - found["outcome.tn"]
    found["outcome.log_loss"] = int(1e6 * loss)
    for delay in rng.integers(HOUR_MS, 3 * HOUR_MS, events):
        _add(found, f"delay:{number_bucket(int(delay))}")
    return found


def answers(rng: np.random.Generator, events: int, sure: float, flipped: float) -> dict[str, int]:
    """Return outcomes of a model that is as sure as it says, but for labels that are flipped."""
    found = {"events": events, "labelled": events, "outcome.scored": events}
    likely = np.where(rng.random(events) < 0.5, sure, 1.0 - sure)
    true = (rng.random(events) < likely) ^ (rng.random(events) < flipped)
    loss = -np.log(np.where(true, likely, 1.0 - likely))
    found["outcome.log_loss"] = int(np.rint(1e6 * loss).sum())
    expected = -sure * np.log(sure) - (1.0 - sure) * np.log(1.0 - sure)
    found["outcome.expected"] = events * int(np.rint(1e6 * expected))
    for score, label in zip(likely.tolist(), true.tolist(), strict=True):
        _add(found, f"outcome.{'t' if (score >= 0.5) == label else 'f'}{'pn'[score < 0.5]}")
    return found


def _add(found: dict[str, int], name: str) -> None:
    found[name] = found.get(name, 0) + 1


def watched(
    watch: Watch, hours: int, make: Make, *, seed: int = 1
) -> Iterator[tuple[int, list[Verdict]]]:
    """Yield what a watch says, hour by hour; its state is its own."""
    state, rng = watch.fresh(), np.random.default_rng(seed)
    for hour in range(hours):
        yield hour, watch.observe(state, hour * HOUR_MS, make(hour, rng))


def said(watch: Watch, hours: int, make: Make, *, seed: int = 1) -> list[Verdict]:
    return [v for _, verdicts in watched(watch, hours, make, seed=seed) for v in verdicts]
