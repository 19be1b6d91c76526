"""``python -m bench.drift --late-labels``: the promise, and delays, where labels come weeks late.

Events come for as long as a stream lasts, 250 a day; labels after 5 days where they are false and
17 where they are true, with a tenth of that as their spread; a label is waited for for 30 days.
Both watches see what MONITOR hands them, label rates and outcomes; they have half the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, inf
from statistics import median
from typing import Any, NamedTuple

from bench.drift.days import DAY_MS
from bench.drift.late_labels import (
    Stream,
    abrupt,
    gradual,
    said_of_outcomes,
    said_of_rates,
    steady,
    times_of,
)
from bench.drift.trial import interval
from bench.drift.watching import RUN_LENGTH_DAYS

REFERENCES = (3, 7, 14)
WAIT_DAYS = 30
WATCHED_DAYS = 75
PER_DAY = 250
CHUNK = 5
SHARE_WATCHED = 0.5

NULLS = {
    "nine in ten true": Stream(0, PER_DAY, steady(0.9)),
    "half of them true": Stream(0, PER_DAY, steady(0.5)),
    "the same, delays spread by six tenths": Stream(0, PER_DAY, steady(0.5), spread=0.6),
}

InProcesses = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]


class Change(NamedTuple):
    """A change of the rate, by the days of the reference.

    Attributes
    ----------
    at
        The day on which it begins.
    """

    name: str
    at: Callable[[int], float]
    stream: Callable[[int], Stream]


CHANGES = (
    Change(
        "0.9 to 0.2 in five weeks from the first day on",
        lambda _: 0.0, lambda _: Stream(65, PER_DAY, gradual(0, 35)),
    ),
    Change(
        "0.2 to 0.9 in five weeks from the first day on",
        lambda _: 0.0, lambda _: Stream(65, PER_DAY, gradual(0, 35, 0.2, 0.9)),
    ),
    Change(
        "0.9 to 0.2 at once, after 0.6 of the reference",
        lambda reference: 0.6 * reference,
        lambda reference: Stream(65, PER_DAY, abrupt(0.6 * reference)),
    ),
    Change(
        "0.9 to 0.2 at once, on day 35", lambda _: 35.0,
        lambda _: Stream(75, PER_DAY, abrupt(35)),
    ),
    Change(
        "0.9 to 0.8 at once, on day 35", lambda _: 35.0,
        lambda _: Stream(90, PER_DAY, abrupt(35, 0.9, 0.8)),
    ),
    Change(
        "0.9 to 0.2 in five weeks from day 35 on", lambda _: 35.0,
        lambda _: Stream(100, PER_DAY, gradual(35, 70)),
    ),
)  # fmt: skip


def print_late_labels(in_processes: InProcesses, replays: int, trials: int) -> None:
    """Measure, and print both tables."""
    _print_nulls(in_processes, replays)
    _print_delays(in_processes, trials)


def _print_nulls(in_processes: InProcesses, replays: int) -> None:
    allowed = 1.0 - exp(-SHARE_WATCHED * WATCHED_DAYS / RUN_LENGTH_DAYS)
    print(f"\nFalse alarms: promised at most {allowed:.1%} of replays of {WATCHED_DAYS} days.\n")
    print("| null stream | reference | replays | with an alarm | 95 % interval | kept |")
    print("|---|---|---|---|---|---|")
    tasks = [
        (name, reference, seeds)
        for name in NULLS
        for reference in REFERENCES
        for seeds in _chunks(replays)
    ]
    alarms: dict[tuple[str, int], int] = {}
    for (name, reference, _), n in zip(tasks, in_processes(_null_alarms, tasks), strict=True):
        alarms[name, reference] = alarms.get((name, reference), 0) + n
    for (name, reference), n in alarms.items():
        low, high = interval(n, replays)
        kept = "yes" if low <= allowed else "NO"
        print(f"| {name} | {reference}d | {replays} | {n / replays:.1%} "
              f"| {low:.1%} to {high:.1%} | {kept} |", flush=True)  # fmt: skip


def _chunks(replays: int) -> Iterator[range]:
    for first in range(0, replays, CHUNK):
        yield range(first, min(first + CHUNK, replays))


def _null_alarms(name: str, reference: int, seeds: range) -> int:
    """Return in how many null replays something is said, references that drift included."""
    days = reference + WATCHED_DAYS
    stream = NULLS[name]._replace(days=days)
    alarms = 0
    for seed in seeds:
        times = times_of(stream, seed)
        said = (said_of_rates, said_of_outcomes)
        alarms += any(
            next(iter(each(times, days, reference, WAIT_DAYS)), None) is not None for each in said
        )
    return alarms


def _print_delays(in_processes: InProcesses, trials: int) -> None:
    print(
        "\nMedian days from the begin of the change to the first alert (never: in most trials).\n"
    )
    print(
        "| change | reference | label rates | of kind | dated within | `true_share` of outcomes |"
    )
    print("|---|---|---|---|---|---|")
    tasks = [
        (place, reference, seed)
        for place in range(len(CHANGES))
        for reference in REFERENCES
        for seed in range(100, 100 + trials)
    ]
    found: dict[tuple[int, int], list[tuple[float, float, str, float]]] = {}
    for (place, reference, _), each in zip(tasks, in_processes(_delay, tasks), strict=True):
        found.setdefault((place, reference), []).append(each)
    for (place, reference), each in found.items():
        delays, off, kinds, final = zip(*each, strict=True)
        kind = max(sorted(set(kinds)), key=kinds.count)
        print(f"| {CHANGES[place].name} | {reference}d | {_text(median(delays))} | {kind} "
              f"| {_text(median(off))} | {_text(median(final))} |", flush=True)  # fmt: skip


def _delay(place: int, reference: int, seed: int) -> tuple[float, float, str, float]:
    """Return delay, error of dating and kind of the first alert; the delay of outcomes' own."""
    change = CHANGES[place]
    stream, at = change.stream(reference), change.at(reference)
    times = times_of(stream, seed)
    days = stream.days + WAIT_DAYS
    delay, off, kind = inf, inf, "none"
    for verdict in said_of_rates(times, days, reference, WAIT_DAYS):
        if verdict.state == "begun" and verdict.until_ms / DAY_MS > at:
            delay, kind = verdict.until_ms / DAY_MS - at, verdict.stream.kind
            off = abs(verdict.since_ms / DAY_MS - at)
            break
    final = [
        verdict.until_ms / DAY_MS + WAIT_DAYS - at
        for verdict in said_of_outcomes(times, days, reference, WAIT_DAYS)
        if verdict.state == "begun" and verdict.stream.name == "true_share"
    ]
    return delay, off, kind, min((each for each in final if each > 0), default=inf)


def _text(days: float) -> str:
    return "never" if days == inf else f"{days:.1f}"
