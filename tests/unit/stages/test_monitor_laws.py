"""Laws of MONITOR: neither batches nor restarts nor the order of sources change what it says."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.records import Emit, Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.learn import LearnStage
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.counting import CODECS, PLAN, Log, monitor, plan_with, said
from tests.unit.stages.flow import Runner, dumps, feed, loads, reading, verdict, without_counts
from tests.unit.stages.test_laws import (
    PLACES,
    check,
    emitted,
    events,
    labels,
    split,
)

TOPICS = PLAN.topics
PATIENT = plan_with(windows=["1h", "1d"])
TWO = Partitions(2, 1, 1)
LAWS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
STEPS_MS = st.lists(st.sampled_from([0, 1, 400, 1_500]), min_size=1, max_size=12)
Counts = list[list[bytes]]


def counts_of(sources: list[list[Record]], verdicts: list[Record], places: list[int]) -> Counts:
    """Return the counts of SCORE (two partitions), ROUTE, JOIN and LEARN, in such batches."""
    scores = [Runner(ScoreStage(PLAN, CODECS, number, TWO)) for number in range(2)]
    for runner, source in zip(scores, sources, strict=True):
        runner.run(*split(source, places))
    route = Runner(RouteStage(PLAN, CODECS, 0, TWO))
    routed = emitted(route.run(*split(verdicts, places)), TOPICS.labels_routed)
    predictions = emitted([*scores[0].emits, *scores[1].emits], TOPICS.predictions)
    join = Runner(JoinStage(PLAN, CODECS, 0, TWO))
    join.run(*split([*predictions, *routed], places))
    learn = Runner(LearnStage(PLAN, CODECS, 1, 1, dumps, loads))
    learn.run(*split(emitted(join.emits, TOPICS.examples), places))
    return [
        [emit.value for emit in runner.emits if emit.topic == TOPICS.counts and emit.value]
        for runner in (*scores, route, join, learn)
    ]


def log_of(counts: Counts, order: list[int], steps_ms: list[int]) -> list[Record]:
    """Return the counts' log: each source in its order, sources in any; a barrier at the end."""
    log, waiting = Log(), [list(source) for source in counts]
    for place in [*order, *range(len(counts)), *range(len(counts))]:
        source = waiting[place % len(waiting)]
        if source:
            log.add(source.pop(0), later_ms=steps_ms[len(log.records) % len(steps_ms)])
    for source in waiting:
        for value in source:
            log.add(value, later_ms=steps_ms[len(log.records) % len(steps_ms)])
    log.barrier("end")
    return log.records


def in_the_end(emits: list[Emit]) -> dict[tuple[Any, ...], Any]:
    """Return the last values of final windows, of the newest ones, and of the whole run.

    What did not change any more is not said again of the whole run, though windows went on.
    """
    last = {(m["metric"], m["segment"], m["window"], m["window_start"]): m for m in said(emits)}
    newest = max(m["window_end"] for m in last.values())
    return {
        key: (m["value"], m["support"], m["coverage"], m["detail"], m["final"])
        for key, m in last.items()
        if m["final"] or m["window"] == "all" or m["window_end"] == newest
    }


@st.composite
def days(draw: st.DrawFn) -> tuple[list[Record], list[Record], list[Record]]:
    """Draw two partitions of a day's events, and their labels: most in time, so windows end."""
    times = draw(st.lists(st.integers(0, 500), min_size=25, max_size=40))
    jitters = draw(st.lists(st.integers(0, 15), min_size=1, max_size=7))  # lateness is 10 minutes
    delays = draw(st.lists(st.sampled_from([1, 20, 55, 90, None]), min_size=1, max_size=7))
    sides: list[list[Any]] = [[], []]
    verdicts: list[tuple[float, bytes]] = []
    for number, minutes in enumerate(sorted(times)):
        at = minutes + jitters[number % len(jitters)]
        kind = "new" if number % 3 else "old"
        side = number % 2
        sides[side].append(reading(number, at, f"m{1 - side}", kind=kind, load=float(number % 11)))
        delay = delays[number % len(delays)]
        if delay is not None:
            verdicts.append((at + delay, verdict(number, at + delay, number % 11 > 6)))
    found = [feed(TOPICS.events, side, partition) for partition, side in enumerate(sides)]
    told = feed(TOPICS.labels, [value for _, value in sorted(verdicts)])
    return found[0], found[1], told


SOURCES = st.one_of(st.tuples(events(), events(), labels()), days(), days())
ORDER = st.lists(st.integers(0, 4), max_size=60)


def flow_counts(sources: Any, places: list[int]) -> Counts:
    first, second, verdicts = sources
    # Not the same records twice: else JOIN's predictions were at one offset.
    return counts_of([first, feed(TOPICS.events, second, partition=1)], verdicts, places)


@LAWS
@given(SOURCES, PLACES, ORDER, STEPS_MS, PLACES, st.integers(0, 100))
def test_batches_and_restarts_change_nothing(
    sources: Any,
    made: list[int],
    order: list[int],
    steps_ms: list[int],
    places: list[int],
    cut: int,
) -> None:
    records = log_of(flow_counts(sources, made), order, steps_ms)
    check(lambda: MonitorStage(PLAN, CODECS), records, places, cut)


@LAWS
@given(SOURCES, PLACES, PLACES, ORDER, ORDER, STEPS_MS)
def test_neither_the_parts_of_counts_nor_their_order_change_the_figures(
    sources: Any,
    one: list[int],
    other: list[int],
    order: list[int],
    second: list[int],
    steps_ms: list[int],
) -> None:
    """As long as no source is so far behind that it is not waited for."""
    parts = log_of(flow_counts(sources, one), order, steps_ms)
    wholes = log_of(flow_counts(sources, other), second, [400])
    assert in_the_end(monitor(PATIENT).run(parts)) == in_the_end(monitor(PATIENT).run(wholes))


@LAWS
@given(SOURCES, PLACES, ORDER, STEPS_MS, st.integers(0, 100))
def test_every_change_is_said_in_the_end(
    sources: Any, made: list[int], order: list[int], steps_ms: list[int], cut: int
) -> None:
    """A fresh owner says from the state alone what the old one said: nothing was left out."""
    records = log_of(flow_counts(sources, made), order, steps_ms)
    runner = monitor()
    runner.run(records)
    before, after = split(records, [cut])
    restarted = monitor()
    first = restarted.run(before)
    owner = restarted.restarted(MonitorStage(PLAN, CODECS))
    assert in_the_end([*first, *owner.run(after)]) == in_the_end(runner.emits)
    assert without_counts(runner.emits) == without_counts([*first, *owner.emits])
    # The newest values said are those that the state amounts to.
    latest = sorted(owner.stage.latest(), key=repr)  # type: ignore[attr-defined]
    anew = owner.restarted(MonitorStage(PLAN, CODECS))
    assert sorted(anew.stage.latest(), key=repr) == latest  # type: ignore[attr-defined]
