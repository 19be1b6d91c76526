"""Changes that are put into real days: what, how much, and how it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bench.drift.days import Change, Column, Day, World

RAMP_DAYS = 10
RECUR_DAYS = 2


class Scenario(NamedTuple):
    """A change.

    Attributes
    ----------
    sort
        ``distribution`` or ``loss``: which alarms are to see it.
    days_of
        ``(day, days since the change, random numbers)``: the changed day.
    """

    name: str
    sort: str
    days_of: Callable[[Day, int, np.random.Generator], Day]


def scenarios(world: World, quick: bool) -> list[Scenario]:
    """Return the changes that are tried on a real stream."""
    numbers = [name for name, kind in world.features if kind == "number"]
    one = numbers[1]
    spread = {name: float(np.nanstd(_all(world, name))) for name in numbers}
    found: list[Scenario] = []
    for size in (0.5,) if quick else (0.25, 0.5, 1.0):
        all_of_them = _shifts({name: size * spread[name] for name in numbers})
        only = _shifts({one: size * spread[one]})
        found += [
            Scenario(f"abrupt, all features, {size} sd", "distribution", _abrupt(all_of_them)),
            Scenario(f"one feature, {size} sd", "distribution", _abrupt(only)),
            Scenario(f"gradual, one feature, {size} sd", "distribution", _gradual(only)),
            Scenario(f"recurring, one feature, {size} sd", "distribution", _recurring(only)),
        ]
    for share in (0.2,) if quick else (0.1, 0.2):
        flipped = _flips(share, None)
        found += [
            Scenario(f"labels, {share:.0%} flipped", "loss", _abrupt(flipped)),
            Scenario(f"labels, gradual, {share:.0%} flipped", "loss", _gradual(flipped)),
        ]
        if world.segment is not None:
            part = _flips(2 * share, world.segment)
            name = f"labels of one segment, {2 * share:.0%} flipped"
            found.append(Scenario(name, "loss", _abrupt(part)))
    return found


def _all(world: World, name: str) -> Column:
    return np.concatenate([day.columns[name] for day in world.days])


def _shifts(by: dict[str, float]) -> Change:
    def change(day: Day, _: np.random.Generator) -> Day:
        for name, shift in by.items():
            day = day.with_column(name, day.columns[name] + shift)
        return day

    return change


def _flips(share: float, segment: str | None) -> Change:
    def change(day: Day, rng: np.random.Generator) -> Day:
        flipped = rng.random(len(day.label)) < share
        if segment is not None:
            flipped &= day.columns[segment] == 0.0
        return day.with_label(np.where(flipped, 1.0 - day.label, day.label))

    return change


def _abrupt(change: Change) -> Callable[[Day, int, np.random.Generator], Day]:
    return lambda day, _, rng: change(day, rng)


def _recurring(change: Change) -> Callable[[Day, int, np.random.Generator], Day]:
    """Have a change for two days, and then not for two."""
    return lambda day, since, rng: change(day, rng) if since // RECUR_DAYS % 2 == 0 else day


def _gradual(change: Change) -> Callable[[Day, int, np.random.Generator], Day]:
    """Have a change come over ten days, more and more events of it."""

    def days_of(day: Day, since: int, rng: np.random.Generator) -> Day:
        reached = rng.random(len(day.hour)) < (since + 1) / RAMP_DAYS
        changed = change(day, rng)
        columns = {
            name: np.where(reached, changed.columns[name], column)
            for name, column in day.columns.items()
        }
        label = np.where(reached, changed.label, day.label)
        return Day(day.hour, columns, day.score, label, day.delay_h)

    return days_of
