"""The watch on days: its false alarms, and how soon it says that something has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.drift.days import DAY_MS, HOUR_MS, Day, World, tiles_of
from headrace.streams.detectors.watch import Stream, Terms, Watch

RUN_LENGTH_DAYS = 90
INPUTS = ("input", "score")
OUTCOMES = ("outcome", "labels")


class Alarm(NamedTuple):
    """An alarm that begins, in days after the first; and when it says the change was."""

    at: float
    since: float
    stream: Stream


def alarms(
    world: World, days: Sequence[Day], reference: int, kinds: tuple[str, ...]
) -> Iterator[Alarm]:
    """Yield alarms of one watch as they come.

    Parameters
    ----------
    reference
        Length of the reference period in days.
    """
    terms = Terms(HOUR_MS, reference * DAY_MS, RUN_LENGTH_DAYS * DAY_MS, "binary", world.features)
    watch = Watch(terms, kinds)
    state = watch.fresh()
    for day, events in enumerate(days):
        for hour, totals in enumerate(tiles_of(world, events)):
            for verdict in watch.observe(state, day * DAY_MS + hour * HOUR_MS, totals):
                if verdict.state == "begun":
                    at, since = verdict.until_ms / DAY_MS, verdict.since_ms / DAY_MS
                    yield Alarm(at, since, verdict.stream)


def first_false(world: World, days: Sequence[Day], reference: int) -> Alarm | None:
    """Return the first alarm of a null replay, whichever kind it is of."""
    found = [next(alarms(world, days, reference, kinds), None) for kinds in (INPUTS, OUTCOMES)]
    return min((each for each in found if each is not None), default=None)


def first_after(
    world: World, days: Sequence[Day], reference: int, at: int, kinds: tuple[str, ...]
) -> tuple[float, float]:
    """Return the delay of the first alarm after a change, and by how much its date is off."""
    for alarm in alarms(world, days, reference, kinds):
        if alarm.at > at:
            return alarm.at - at, alarm.since - at
    return float("inf"), float("inf")
