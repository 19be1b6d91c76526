"""Streams whose labels come late, and later where they are true; their share of true ones changes.

Rows for :func:`headrace.replay`, which runs the product's own stages on them, and the tiles of
counts that come of such rows, for many null streams at the cost of few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from river import linear_model, preprocessing

from bench.drift.days import DAY_MS, HOUR_MS, HOURS, number_buckets
from bench.drift.watching import OUTCOMES, RUN_LENGTH_DAYS
from headrace.streams.detectors.cohorts import RATE, at_age, label_ages
from headrace.streams.detectors.verdicts import Terms, Verdict
from headrace.streams.detectors.watch import Watch
from headrace.streams.event import Event
from headrace.streams.observe import ALL
from headrace.streams.pipeline import Alarms, Labels, Monitor, Pipeline, Source, value
from headrace.streams.totals import Totals, flat

START = datetime(2024, 1, 1, tzinfo=UTC)

Rate = Callable[[float], float]
"""The share of true labels, by days after the start."""


class Stream(NamedTuple):
    """A stream of events with late labels.

    Attributes
    ----------
    days
        For how long events come; labels come for as long as they take.
    per_day
        Events of a day, about: their number is Poisson's.
    rate
        The share of true labels by the day of the event.
    delays
        How many days a label takes, in the mean, where it is false, and where it is true.
    spread
        Standard deviation of a delay, as a share of it.
    volume
        By how much more events there are, by the day.
    """

    days: int
    per_day: float
    rate: Rate
    delays: tuple[float, float] = (5.0, 17.0)
    spread: float = 0.1
    volume: Rate = lambda _: 1.0


def steady(share: float) -> Rate:
    """Return a rate that never changes."""
    return lambda _: share


def gradual(begins: float, ends: float, before: float = 0.9, after: float = 0.2) -> Rate:
    """Return a rate that falls, or rises, in a straight line from one day to another.

    Examples
    --------
    >>> [round(gradual(0, 10)(day), 2) for day in (0, 5, 20)]
    [0.9, 0.55, 0.2]
    """

    def rate(day: float) -> float:
        part = min(max((day - begins) / (ends - begins), 0.0), 1.0)
        return before + (after - before) * part

    return rate


def abrupt(at: float, before: float = 0.9, after: float = 0.2) -> Rate:
    """Return a rate that changes at once."""
    return lambda day: before if day < at else after


class Times(NamedTuple):
    """A stream's events in order, in milliseconds after its start."""

    event: np.ndarray[Any, np.dtype[np.int64]]
    label: np.ndarray[Any, np.dtype[np.int64]]
    true: np.ndarray[Any, np.dtype[np.bool_]]


def times_of(stream: Stream, seed: int) -> Times:
    """Draw a stream's events, and when their labels come."""
    rng = np.random.default_rng(seed)
    volumes = [stream.volume(day) for day in range(stream.days)]
    per_day = rng.poisson(stream.per_day * np.array(volumes))
    start = np.repeat(np.arange(stream.days) * DAY_MS, per_day)
    n = len(start)
    event = np.sort(start + rng.integers(0, DAY_MS, n))
    true = rng.random(n) < np.array([stream.rate(at / DAY_MS) for at in event.tolist()])
    factor = np.maximum(1.0 + stream.spread * rng.normal(size=n), 0.1)
    delay = np.where(true, stream.delays[1], stream.delays[0]) * factor * DAY_MS
    return Times(event, event + delay.astype(np.int64), true)


# -- through the product's stages


class Fine(Event):
    """Something of which it is known only weeks later whether it was paid."""

    fine: str
    office: str
    at: datetime
    amount: float


class Payment(Event):
    """What became of it."""

    fine: str
    at: datetime
    paid: bool


def pipeline_of(reference: str, wait: str = "30d", tile: str = "1h") -> Pipeline:
    """Return a pipeline of such a stream."""
    return Pipeline(
        name="fines",
        events=Source(Fine, id="fine", key="office", time="at"),
        labels=Labels(Payment, id="fine", value="paid", time="at", wait=wait),
        features=[value("amount")],
        model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        monitor=Monitor(windows=[tile, "1d"]),
        alarms=Alarms(reference=reference, segments=False),
    )


def rows_of(stream: Stream, seed: int) -> tuple[Sequence[Fine], Sequence[Payment]]:
    """Return a stream's events and labels."""
    times, rng = times_of(stream, seed), np.random.default_rng(seed)
    amounts = rng.gamma(2.0, 50.0, len(times.event)).tolist()
    events = [
        Fine(fine=f"f{n}", office="north", at=_at(ms), amount=amount)
        for n, (ms, amount) in enumerate(zip(times.event.tolist(), amounts, strict=True))
    ]
    labels = [
        Payment(fine=f"f{n}", at=_at(ms), paid=true)
        for n, (ms, true) in enumerate(zip(times.label.tolist(), times.true.tolist(), strict=True))
    ]
    return events, labels


def _at(ms: int) -> datetime:
    return START + timedelta(milliseconds=ms)


def told(alerts: Sequence[Any]) -> Iterator[tuple[float, float, str, str]]:
    """Yield of each alert that begins when, since when (days), its kind and what has changed."""
    for alert in alerts:
        if alert["state"] == "begun":
            days = [(alert[name] - START) / timedelta(days=1) for name in ("noticed", "since")]
            yield days[0], days[1], alert["kind"], alert["what"]


# -- by counts alone


def tiles_of(times: Times) -> dict[int, Totals]:
    """Return what is counted of a stream's labels, all of which have come, by tile of an hour."""
    hours, delays = times.event // HOUR_MS, number_buckets((times.label - times.event) * 1.0)
    found: dict[int, Totals] = {}
    for hour, delay, true in zip(hours.tolist(), delays.tolist(), times.true.tolist(), strict=True):
        totals = found.setdefault(hour, {"": {}, "delay": {}, "true_delay": {}})
        # The answer is always true: outcomes are of the labels alone.
        for name in ("events", "labelled", "outcome.tp" if true else "outcome.fp"):
            totals[""][name] = totals[""].get(name, 0) + 1
        for family in ("delay", "true_delay") if true else ("delay",):
            totals[family][str(delay)] = totals[family].get(str(delay), 0) + 1
    return found


def said_of_rates(times: Times, days: int, reference: int, wait_days: int) -> Iterator[Verdict]:
    """Yield what is said of label rates, as MONITOR hands cohorts to their watch.

    Parameters
    ----------
    days, reference, wait_days
        How long labels come, the reference, and how long a label is waited for.
    """
    terms, tiles = _terms(reference, wait_days), tiles_of(times)
    watch = Watch(terms, (RATE,))
    state = watch.fresh()
    for hour in range(days * HOURS):
        counts: dict[str, int] = {}
        for age in terms.label_ages_ms:
            counts |= at_age(tiles.get(hour - age // HOUR_MS, {}), age)
        yield from watch.observe(state, hour * HOUR_MS, {ALL: counts})


def said_of_outcomes(times: Times, days: int, reference: int, wait_days: int) -> Iterator[Verdict]:
    """Yield what is said of tiles that are final: of what happened a wait ago."""
    watch, tiles = Watch(_terms(reference, wait_days), OUTCOMES), tiles_of(times)
    state = watch.fresh()
    for hour in range((days - wait_days) * HOURS):
        totals = {ALL: flat(tiles.get(hour, {}))}
        yield from watch.observe(state, hour * HOUR_MS, totals)


def _terms(reference: int, wait_days: int) -> Terms:
    ages = label_ages("anomaly", wait_days * DAY_MS, HOUR_MS)
    return Terms(HOUR_MS, reference * DAY_MS, RUN_LENGTH_DAYS * DAY_MS, "anomaly", (), ages)
