"""Streams that are made: nulls of five kinds, and the generators of the drift literature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from river import linear_model, preprocessing
from river.datasets import synth

from bench.drift.days import HOURS, Column, Day, World
from headrace.streams.detectors.noise import WEEK

PER_HOUR = 30
CONCEPT_PER_HOUR = 10
NULL_DAYS = 150
CONCEPT_DAYS = 100
AFTER_DAYS = 20
WARM = 2_000
_DELAY_H = 2.0


def null_world(kind: str, seed: int) -> World:
    """Return a stream without drift.

    Parameters
    ----------
    kind
        ``iid``; ``autocorrelated``: hours follow one another (0.8, and days too: not shuffled);
        ``seasonal``: level and volume have a daily rhythm; ``weekly``: two days of seven have
        another level, and half the volume; ``heavy``: values and days' levels have heavy tails
        (Student's t with 2 and 3 degrees of freedom).
    """
    rng = np.random.default_rng(seed)
    level = np.zeros((NULL_DAYS, HOURS, 3))
    volume = np.full((NULL_DAYS, HOURS), float(PER_HOUR))
    if kind == "autocorrelated":
        level = _chained(rng)
    elif kind == "seasonal":
        wave = np.sin(2 * np.pi * np.arange(HOURS) / HOURS)
        level += wave[None, :, None]
        volume *= 1.0 + 0.8 * wave
    elif kind == "weekly":
        weekend = np.arange(NULL_DAYS) % WEEK >= WEEK - 2
        level += weekend[:, None, None]
        volume *= np.where(weekend, 0.5, 1.0)[:, None]
    elif kind == "heavy":
        level += 0.2 * rng.standard_t(3, (NULL_DAYS, 1, 3))
    features = tuple((f"x{i}", "number") for i in range(3))
    days = [
        _null_day(rng, each, events, heavy=kind == "heavy")
        for each, events in zip(level, volume, strict=True)
    ]
    return World(kind, features, None, days)


def _chained(rng: np.random.Generator) -> Column:
    """Return levels by day and hour of which each remembers 0.8 of the one before."""
    noise = rng.normal(0.0, 0.3, (NULL_DAYS * HOURS, 3))
    for i in range(1, len(noise)):
        noise[i] += 0.8 * noise[i - 1]
    return np.asarray(noise.reshape(NULL_DAYS, HOURS, 3))


def _null_day(rng: np.random.Generator, level: Column, volume: Column, *, heavy: bool) -> Day:
    hour = np.repeat(np.arange(HOURS), rng.poisson(volume))
    noise = rng.standard_t(2, (len(hour), 3)) if heavy else rng.normal(size=(len(hour), 3))
    values = level[hour] + noise
    score = 1.0 / (1.0 + np.exp(-np.clip(values[:, 0], -12.0, 12.0)))
    label = (rng.random(len(hour)) < score).astype(np.float64)
    columns = {f"x{i}": values[:, i] for i in range(3)}
    return Day(hour, columns, score, label, np.full(len(hour), _DELAY_H))


Rows = Iterator[tuple[dict[str, Any], Any]]


def concepts() -> dict[str, tuple[Callable[[int], Rows], Callable[[int], Rows]]]:
    """Return the generators before and after a change of concept, by name."""
    return {
        "SEA": (lambda seed: iter(synth.SEA(0, 0.1, seed)), lambda s: iter(synth.SEA(3, 0.1, s))),
        "Agrawal": (
            lambda seed: iter(synth.Agrawal(0, seed)),
            lambda seed: iter(synth.Agrawal(2, seed)),
        ),
        "LED": (lambda seed: _is_low(_leds(seed, 0)), lambda seed: _is_low(_leds(seed, 4))),
        "hyperplane": (lambda seed: _hyperplane(seed, 0.0), lambda seed: _hyperplane(seed, 0.01)),
    }


def _leds(seed: int, swapped: int) -> Rows:
    """Return seven LEDs among 17 that mean nothing, so many of which have changed places."""
    return iter(synth.LEDDrift(seed, 0.1, irrelevant_features=True, n_drift_features=swapped))


def _is_low(rows: Any) -> Rows:
    """Ask whether a digit is below five: a question with two answers."""
    return ((x, y < 5) for x, y in rows)


def _hyperplane(seed: int, turn: float) -> Rows:
    """Return points beside a plane that turns by so much with each one, from the same start."""
    rng = np.random.default_rng(seed)
    angle = 0.0
    while True:
        x = rng.random(4)
        angle += turn * np.pi / 180
        weights = (np.cos(angle), np.sin(angle), 0.5, 0.5)
        y = float(np.dot(weights, x - 0.5)) + rng.normal(0.0, 0.05) > 0
        yield {f"x{i}": float(each) for i, each in enumerate(x)}, y


def concept_world(name: str, seed: int) -> tuple[World, Sequence[Day]]:
    """Return a stream of one concept, and the days that follow a change to another.

    A logistic regression has learned the first concept and is then frozen.
    """
    before, after = (make(seed) for make in concepts()[name])
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for x, y in islice(before, WARM):
        model.learn_one(x, bool(y))
    first, _ = next(before)
    features = tuple((column, "number") for column in sorted(first))
    days = [_concept_day(model, before, features) for _ in range(CONCEPT_DAYS)]
    later = [_concept_day(model, after, features) for _ in range(AFTER_DAYS)]
    return World(name, features, None, days), later


def _concept_day(model: Any, rows: Rows, features: tuple[tuple[str, str], ...]) -> Day:
    taken = list(islice(rows, CONCEPT_PER_HOUR * HOURS))
    score = np.array([model.predict_proba_one(x).get(True, 0.5) for x, _ in taken])
    label = np.array([float(y) for _, y in taken])
    columns = {name: np.array([float(x[name]) for x, _ in taken]) for name, _ in features}
    hour = np.repeat(np.arange(HOURS), CONCEPT_PER_HOUR)
    return Day(hour, columns, score, label, np.full(len(hour), _DELAY_H))
