"""Labels while they are still coming in: events of one time, counted at the same age.

Labels that say one thing come later than others (a fine that is paid, a fraud that is reported): of
young events the share of true labels says little. So events of one tile, a *cohort*, are held
against earlier cohorts at the same age: of all its events, how many had a true label by then, how
many a false one, and how many none. What delays do to the shares is the same on both sides, and
cancels; a change of the rate shows at the first age at which the labels have come that it is about.

A cohort's counts by delay are exact integers, and say this at any age: of label times before an
age nothing is awaited when the labels' horizon has passed it.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.streams.buckets import number_bucket
from headrace.streams.detectors.calendar import DAY_MS, Calendar
from headrace.streams.duration import duration_text
from headrace.streams.totals import Totals

AGES_MAX = 6
"""At so many ages a cohort is looked at, at most: the oldest that are younger than the wait."""

RATE = "label_rate"
"""The kind of these streams, and how their names begin."""

TASKS = ("binary", "anomaly")
"""Tasks whose labels are true or false."""


def label_ages(task: str, wait_ms: int, tile_ms: int) -> tuple[int, ...]:
    """Return the ages at which cohorts are looked at, the youngest first.

    Each is twice the one before, in whole days from a day on, and shorter than the wait: what has
    come by then is what outcomes are told of.

    Examples
    --------
    >>> hour = 3_600_000
    >>> [age // hour for age in label_ages("binary", 30 * 24 * hour, hour)]
    [8, 24, 48, 96, 192, 384]
    >>> [age // hour for age in label_ages("binary", 6 * hour, hour)]
    [1, 2, 4]
    >>> label_ages("binary", hour, hour), label_ages("regression", 6 * hour, hour)
    ((), ())
    """
    if task not in TASKS:
        return ()
    calendar = Calendar.of(tile_ms)
    ages: list[int] = []
    age = calendar.slot_ms
    while age < wait_ms:
        ages.append(age)
        age *= 2
        if DAY_MS < 2 * age < 4 * DAY_MS and not DAY_MS % calendar.slot_ms:
            age = DAY_MS
    return tuple(ages[-AGES_MAX:])


def name_of(age_ms: int) -> str:
    """Return what the statistic of an age is called.

    Examples
    --------
    >>> name_of(8 * DAY_MS)
    'label_rate_8d'
    """
    return f"{RATE}_{duration_text(age_ms)}"


def at_age(totals: Totals, age_ms: int) -> dict[str, int]:
    """Return how many of a cohort's events had which label by an age, by the statistic's keys.

    Delays are counted by bucket: those of buckets that lie whole before the age.

    Examples
    --------
    >>> day = number_bucket(DAY_MS)
    >>> delays = {"delay": {str(day): 3, str(day + 40): 4}, "true_delay": {str(day): 1}}
    >>> at_age({"": {"events": 9}, **delays}, 2 * DAY_MS)
    {'label_rate_2d:true': 1, 'label_rate_2d:false': 2, 'label_rate_2d:none': 6}
    >>> at_age({}, DAY_MS)
    {}
    """
    events = totals.get("", {}).get("events", 0)
    if not events:
        return {}
    last = number_bucket(age_ms)
    labelled = _before(totals.get("delay", {}), last)
    true = _before(totals.get("true_delay", {}), last)
    counts = {"true": true, "false": labelled - true, "none": events - labelled}
    return {f"{name_of(age_ms)}:{value}": max(n, 0) for value, n in counts.items()}


def _before(buckets: Mapping[str, int], last: int) -> int:
    return sum([n for bucket, n in buckets.items() if int(bucket) < last])
