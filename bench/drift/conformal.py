"""What was tried beside: a conformal test martingale over days, valid without any calibration.

If days are exchangeable, the rank of a day's strangeness among all days so far is uniform, whatever
the days are like. Bets against that make an e-detector (Shiryaev-Roberts), whose mean run length
to a false alarm is at least its threshold: V. Vovk et al., *Retrain or not retrain: conformal test
martingales for change-point detection* (2021); J. Shin, A. Ramdas, A. Rinaldo, *E-detectors*
(2023). Of each stream a day's strangeness is the PSI against the reference's other days; the
streams' detectors are averaged, so that the promise is one for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.drift.days import Day, World, tiles_of
from headrace.streams.groups import Groups, grouping_of, paired, psi

POWERS = (0.1, 0.3, 0.5, 0.7)
"""Bets on small ranks: ``power * p ** (power - 1)``."""


def delay_days(
    world: World, days: Sequence[Day], reference: int, at: int, run_length: float
) -> float:
    """Return how long after a change the detector of all features alarms, in days."""
    strange = [_strangeness(world, days, reference, name) for name, _ in world.features]
    detectors = np.zeros((len(strange), len(POWERS)))
    rng = np.random.default_rng(1)
    for day in range(reference, len(days)):
        for stream, values in enumerate(strange):
            above = np.sum(values[:day] > values[day])
            rank = (above + rng.random() * (1 + np.sum(values[:day] == values[day]))) / (day + 1)
            bets = np.array([power * rank ** (power - 1) for power in POWERS])
            detectors[stream] = (detectors[stream] + 1.0) * bets
        if detectors.mean() >= run_length and day >= at:
            return float(day + 1 - at)
    return float("inf")


def _strangeness(world: World, days: Sequence[Day], reference: int, name: str) -> np.ndarray:
    families = [_family(world, day, f"feature.{name}:") for day in days]
    merged: dict[str, int] = {}
    for family in families[:reference]:
        for key, n in family.items():
            merged[key] = merged.get(key, 0) + n
    groups = Groups(grouping_of(merged))
    counts = [groups.counts(family) for family in families]
    total = np.sum(counts[:reference], axis=0)
    found = []
    for place, here in enumerate(counts):
        others = total - here if place < reference else total
        found.append(psi(paired([float(n) for n in here], [float(n) for n in others])))
    return np.array(found)


def _family(world: World, day: Day, prefix: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for tile in tiles_of(world, day):
        for name, n in tile["all"].items():
            if name.startswith(prefix):
                key = name[len(prefix) :]
                found[key] = found.get(key, 0) + n
    return found
