"""What is said of a history's order is what the stages would count."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model

from headrace.streams import ordering as module
from headrace.streams.event import Event
from headrace.streams.ordering import Ordering
from headrace.streams.outgoing import outgoing_event
from headrace.streams.partitioner import partition_of
from headrace.streams.pipeline import InEvent, Labels, Pipeline, Source, count, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.records import WATERMARK
from headrace.streams.replay import OrderWarning, _result, parts_in_memory, replay
from headrace.streams.stages.marks import crossed
from headrace.streams.twins.flow import MemoryFlow
from headrace.streams.watermark import advance, fresh_clock

START = datetime(2024, 5, 1, tzinfo=UTC)


class Ride(Event):
    ride: str
    zone: str
    at: datetime
    fare: float = 1.0


class Paid(Event):
    ride: str
    at: datetime
    paid: bool


PIPELINE = Pipeline(
    name="city",
    events=Source(Ride, id="ride", key="zone", time="at", lateness="10m"),
    features=[value("fare"), count(over="1h")],
    model=linear_model.LogisticRegression(),
    labels=Labels(Paid, id="ride", value="paid", time="at", wait="24h"),
)
PLAN = plan_of(PIPELINE)
AHEAD = plan_of(replace(PIPELINE, labels=replace(PIPELINE.labels, ahead="2h")))  # type: ignore[type-var]

Stream = Sequence[tuple[int, str]]
"""Minutes and zones."""

MINUTES = st.integers(0, 600) | st.integers(0, 40_000)
STREAMS = st.lists(st.tuples(MINUTES, st.sampled_from("abcd")), max_size=40)


def rides(stream: Stream) -> list[Ride]:
    return [
        Ride(ride=f"r{n}", zone=zone, at=START + timedelta(minutes=minutes))
        for n, (minutes, zone) in enumerate(stream)
    ]


def looked_at(stream: Stream, plan: Plan = PLAN, *args: Any, **kwargs: Any) -> Ordering:
    ordering = Ordering(plan, *args, **kwargs)
    for number, ride in enumerate(rides(stream), 2):
        record = outgoing_event(plan, ride)
        ordering.take(record.time_ms, record.key, number)
    return ordering


def counted(
    stream: Stream, plan: Plan, partitions: int, step_ms: int | None, *, marks: bool
) -> Any:
    """Run the product's own stages over events as their publisher writes them, marks and all."""
    flow = MemoryFlow(parts_in_memory(plan, partitions))
    clock, newest, marked = fresh_clock(), None, None
    topic = plan.topics.events

    def mark() -> None:
        for number in range(partitions if clock[0] is not None else 0):
            headers = ((WATERMARK, str(clock[0]).encode()),)
            flow.broker.append((topic, number), None, None, headers=headers, timestamp_ms=clock[0])

    for ride in rides(stream):
        record = outgoing_event(plan, ride)
        now = max(record.time_ms, newest or 0)
        if step_ms and newest is not None and now // step_ms != newest // step_ms:
            mark()
        tp = (topic, partition_of(record.key, partitions))
        flow.broker.append(tp, record.key, record.value, timestamp_ms=now)
        newest = now
        advance(clock, now)
        if marks and not step_ms and crossed(marked, clock[0], plan.mark_step_ms):
            mark()
            marked = clock[0]
    flow.turn()
    flow.finish()
    summary = _result(flow).summary
    return summary.get("late_event", 0), summary.get("late_for_features", 0)


@settings(deadline=None, max_examples=60)
@given(STREAMS, st.integers(1, 3), st.sampled_from([None, 1_800_000]), st.booleans())
@pytest.mark.parametrize("plan", [PLAN, AHEAD], ids=["any time ahead", "2h ahead"])
def test_what_is_said_to_be_late_is_what_the_stages_count(
    plan: Plan, stream: Stream, partitions: int, step_ms: int | None, marks: bool
) -> None:
    found = looked_at(stream, plan, partitions, marks=marks, step_ms=step_ms)
    late, without_past = counted(stream, plan, partitions, step_ms, marks=marks)
    assert (found.never_learned, found.without_past) == (late, without_past)


IN_ORDER = [(n, "ab"[n % 2]) for n in range(600)]
ORDERS: dict[str, Stream] = {
    "newest first": IN_ORDER[::-1],
    "shuffled": Random(3).sample(IN_ORDER, len(IN_ORDER)),
    "sorted by key": sorted(IN_ORDER, key=lambda each: each[1]),
    "joined in the wrong order": [*IN_ORDER[300:], *IN_ORDER[:300]],
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_that_is_no_historys_is_noticed(name: str) -> None:
    found = looked_at(ORDERS[name])
    assert not found.is_meant
    assert found.never_learned == counted(ORDERS[name], PLAN, 1, None, marks=True)[0] >= 290
    told = found.sentence("rides.csv")
    assert told is not None
    assert f"{found.never_learned} come too late to be learned from" in told


def test_where_and_how_far_it_goes_back_is_said() -> None:
    found = looked_at(
        [(0, "a"), (60, "a"), (50, "b"), (130, "a"), (130, "a"), (0, "a"), (200, "b")]
    )
    assert (found.events, found.back) == (7, 2)
    assert found.sentence("rides.csv") == (
        "rides.csv is not in order of time: line 4 is 10m behind one before it, line 7 2h 10m, the"
        " farthest. Of 7 events, with a lateness of 10m, 1 come too late to be learned from and 1"
        " too late for features of their entity's past."
    )
    once = looked_at([(0, "a"), (60, "a"), (60, "a"), (60, "a"), (30, "a")], what="number")
    assert "time: number 6 is 30m behind one before it. Of 5" in (once.sentence("it") or "")


def test_what_is_late_within_the_lateness_is_not_spoken_of() -> None:
    found = looked_at([(n + (-5 if n % 9 == 0 else 0), "a") for n in range(100)])
    assert found.back > 5
    assert found.sentence("rides.csv") is None
    assert found.is_meant
    assert looked_at([]).is_meant


def test_few_late_events_are_those_of_a_history() -> None:
    late = [*IN_ORDER, (100, "a"), (200, "b")]
    found = looked_at(late)
    assert found.is_meant
    assert "2 come too late" in (found.sentence("rides.csv") or "")


def test_of_events_that_carry_their_label_windows_alone_count() -> None:
    class Marked(Ride):
        paid: bool = True

    marked = Source(Marked, id="ride", key="zone", time="at")
    plan = plan_of(replace(PIPELINE, events=marked, labels=InEvent("paid")))
    found = Ordering(plan)
    for n in range(10):
        found.take(3_600_000 * (10 - n), b"a", n)
    assert (found.never_learned, found.without_past) == (0, 9)
    assert "10m, 9 too late for features" in (found.sentence("x") or "")
    plain = Ordering(plan_of(replace(plan.pipeline, features=[value("fare")])))
    for n in range(10):
        plain.take(3_600_000 * (10 - n), b"a", n)
    assert plain.late == 0


def test_entities_beyond_the_bound_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTITIES_MAX", 1)
    found = looked_at([(60, "a"), (60, "b"), (0, "b"), (0, "a")])
    assert found.without_past == 1


def test_a_replay_warns_of_such_an_order_once() -> None:
    events = rides(ORDERS["newest first"][:60])
    with pytest.warns(OrderWarning, match=r"The list of events is not in order of time: number 2 "):
        replay(PIPELINE, events, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replay(PIPELINE, events[::-1], [])
        replay(PIPELINE, [{"ride": ""}, *events[::-1]], [])
