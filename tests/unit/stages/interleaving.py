"""Two short logs that JOIN reads, all their interleavings, and what must come of each of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from hypothesis import strategies as st

from headrace.streams.stages.matching import Arrival, Rules


class Entry(NamedTuple):
    """One record of either log; ``label`` is None for a prediction."""

    arrival: Arrival
    label: bool | None


class Logs(NamedTuple):
    rules: Rules
    sources: tuple[int, int]
    predictions: list[Entry]
    labels: list[Entry]


TIMES = st.sampled_from([0, 5, 10, 20, 25, 30, 40, 55, 60, 70, 90, 120])


@st.composite
def entries(draw: st.DrawFn, sizes: st.SearchStrategy[int], sources: int, *, labels: bool) -> Any:
    """Draw a log: any event times; of each source watermarks that never fall."""
    watermarks: list[int | None] = [None] * sources
    found = []
    for offset in range(draw(sizes)):
        source = draw(st.integers(0, sources - 1))
        before = watermarks[source]
        risen = draw(st.none() | st.none() | TIMES)
        if risen is not None:
            watermarks[source] = risen if before is None else max(before, risen)
        event_id = draw(st.sampled_from(["a", "a", "a", "b"]))
        arrival = Arrival(event_id, offset * 2, draw(TIMES), source, watermarks[source])
        found.append(Entry(arrival, draw(st.booleans()) if labels else None))
    return found


WAITS, LATENESSES = st.sampled_from([15, 30, 50]), st.sampled_from([0, 5, 30])
RULES = st.builds(Rules, WAITS, LATENESSES, LATENESSES, st.sampled_from([None, None, 40]))


@st.composite
def logs(
    draw: st.DrawFn, sizes: st.SearchStrategy[int], any_rules: st.SearchStrategy[Rules] = RULES
) -> Logs:
    rules = draw(any_rules)
    sources = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    predictions = draw(entries(sizes, sources[0], labels=False))
    return Logs(rules, sources, predictions, draw(entries(sizes, sources[1], labels=True)))


def interleavings(logs: Logs) -> Iterator[list[bool]]:
    """Go through all orders in which the two logs can be read: True takes the next prediction."""
    length = len(logs.predictions) + len(logs.labels)
    for places in combinations(range(length), len(logs.predictions)):
        yield [step in places for step in range(length)]


def eligible(arrival: Arrival, lateness: int, ahead: int | None) -> bool:
    if arrival.watermark is None:
        return True
    latest = arrival.time_ms if ahead is None else arrival.watermark + ahead
    return arrival.watermark - lateness <= arrival.time_ms <= latest


def horizon(log: Sequence[Entry], sources: int, lateness: int) -> float:
    """Return before which time nothing more of a log can be eligible."""
    by_source: list[float] = [float("-inf")] * sources
    for arrival, _ in log:
        if arrival.watermark is not None:
            by_source[arrival.source] = max(by_source[arrival.source], arrival.watermark)
    return min(by_source) - lateness


def firsts_of(logs: Logs, counts: Counter[Any]) -> list[Arrival]:
    rules = logs.rules
    firsts: list[Arrival] = []
    for arrival, _ in logs.predictions:
        same = [f for f in firsts if f.event_id == arrival.event_id]
        if not eligible(arrival, rules.event_lateness_ms, rules.ahead_ms):
            counts["late_event", arrival.time_ms] += 1
        elif any(abs(f.time_ms - arrival.time_ms) <= rules.wait_ms for f in same):
            counts["duplicate_event", arrival.time_ms] += 1
        else:
            firsts.append(arrival)
            counts["first_event", arrival.time_ms] += 1
    return firsts


def brute_force(logs: Logs) -> tuple[Counter[Any], Counter[Any], float]:
    """Return examples, counts and what is settled, by the predicate alone, over whole logs."""
    rules, counts, examples = logs.rules, Counter[Any](), Counter[Any]()
    firsts = firsts_of(logs, counts)
    won: dict[int, bool | None] = {}
    no_event = horizon(logs.predictions, logs.sources[0], rules.event_lateness_ms)
    no_label = horizon(logs.labels, logs.sources[1], rules.label_lateness_ms)
    for label, value in logs.labels:
        if not eligible(label, rules.label_lateness_ms, rules.ahead_ms):
            counts["late_label", label.time_ms] += 1
            continue
        mine = [f for f in firsts if f.event_id == label.event_id]
        hits = [f for f in mine if f.time_ms <= label.time_ms <= f.time_ms + rules.wait_ms]
        if not hits:
            counts["unmatched_label", label.time_ms] += int(no_event > label.time_ms)
        elif hits[0].offset in won:
            same_value = won[hits[0].offset] == value
            counts["duplicate_label" if same_value else "contradicting_label", label.time_ms] += 1
        else:
            won[hits[0].offset] = value
            examples[hits[0].offset, label.offset] += 1
            counts["matched", hits[0].time_ms] += 1
    for first in firsts:
        if first.offset not in won:
            counts["expired", first.time_ms] += int(no_label > first.time_ms + rules.wait_ms)
    return examples, +counts, min(no_event, no_label - rules.wait_ms)
