"""Laws of all stages: where batches end changes nothing, nor does a restore, nor a second owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.records import Emit, Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.learn import LearnStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.flow import (
    CODECS,
    PARTITIONS,
    PLAN,
    Runner,
    barrier,
    dumps,
    feed,
    loads,
    reading,
    totals,
    verdict,
    without_counts,
)

TOPICS = PLAN.topics
ONE = Partitions(1, 1, 1)
LAWS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

MACHINES = st.sampled_from(["m0", "m1", "m1", "m3"])
MINUTES = st.one_of(st.integers(0, 40), st.integers(0, 400))
LOADS = st.sampled_from([0.0, 1.0, 2.5, 13.0, 14.0, 999.0, 5_000.0])
HEATS = st.sampled_from([None, 20.0, 80.0])


@st.composite
def events(draw: st.DrawFn) -> list[Record]:
    """Draw an events partition: good ones, late ones, twins, bad ones of each kind, barriers."""
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["good"] * 8 + ["bad", "barrier"]))
        if kind == "good":
            number, minutes = draw(st.integers(0, 12)), draw(MINUTES)
            fields = {"load": draw(LOADS), "heat": draw(HEATS)}
            found.append(reading(number, minutes, draw(MACHINES), **fields))
        elif kind == "bad":
            found.append(draw(st.sampled_from([None, b"", b"{", b"\xff", b"[1]"])))
        else:
            found.append(barrier(draw(st.sampled_from("xy"))))
    return feed(TOPICS.events, found, gaps=True)


@st.composite
def labels(draw: st.DrawFn) -> list[Record]:
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["good"] * 8 + ["bad", "barrier"]))
        if kind == "good":
            found.append(verdict(draw(st.integers(0, 12)), draw(MINUTES), draw(st.booleans())))
        elif kind == "bad":
            found.append(draw(st.sampled_from([None, b"{}", verdict(0, 0, "no")])))
        else:
            found.append(barrier(draw(st.sampled_from("xy"))))
    return feed(TOPICS.labels, found, gaps=True)


def split(records: Sequence[Record], places: Sequence[int]) -> list[Sequence[Record]]:
    edges = [0, *sorted(place % (len(records) + 1) for place in places), len(records)]
    return [records[a:b] for a, b in pairwise(edges)]


PLACES = st.lists(st.integers(0, 100), max_size=6)


def emitted(emits: list[Emit], topic: str) -> list[Record]:
    """Return a topic's emits, of all partitions, as records of one."""
    mine = [Record(topic, 0, 0, 0, e.key, e.value, e.headers) for e in emits if e.topic == topic]
    return feed(topic, mine, gaps=True)


def check(make: Callable[[], Stage], records: list[Record], places: list[int], cut: int) -> Runner:
    """One batch, any batches, a restore up to a cut: the same emits, counts and states."""
    whole = Runner(make())
    whole.run(records)

    parts = Runner(make())
    parts.run(*split(records, places))
    assert without_counts(parts.emits) == without_counts(whole.emits)
    assert totals(parts.emits) == totals(whole.emits)
    assert parts.states() == whole.states()

    restored = Runner(make())
    before, after = split(records, [cut])
    assert restored.run(*split(before, places), context=Context(restoring=True)) == []
    live = Runner(make())
    live.run(before)
    assert restored.states() == live.states()

    owner = restored.restarted(make())
    assert without_counts(owner.run(after)) == without_counts(live.run(after))
    assert owner.states() == whole.states()
    return whole


@LAWS
@given(events(), PLACES, st.integers(0, 100))
def test_score(records: list[Record], places: list[int], cut: int) -> None:
    found = check(lambda: ScoreStage(PLAN, CODECS, 0, PARTITIONS), records, places, cut)
    assert not any(name == "count_failed" for _, _, name in totals(found.emits))


@LAWS
@given(labels(), PLACES, st.integers(0, 100))
def test_route(records: list[Record], places: list[int], cut: int) -> None:
    check(lambda: RouteStage(PLAN, CODECS, 0, PARTITIONS), records, places, cut)


def joined(events: list[Record], labels: list[Record], order: list[bool]) -> list[Record]:
    """Return JOIN's two inputs as SCORE and ROUTE make them, in any interleaving."""
    scored = Runner(ScoreStage(PLAN, CODECS, 0, ONE)).run(events)
    routed = Runner(RouteStage(PLAN, CODECS, 0, ONE)).run(labels)
    sides = [emitted(scored, TOPICS.predictions), emitted(routed, TOPICS.labels_routed)]
    found = [sides[second].pop(0) for second in order if sides[second]]
    return found + sides[0] + sides[1]


@LAWS
@given(events(), labels(), st.lists(st.booleans(), max_size=60), PLACES, st.integers(0, 100))
def test_join(
    events: list[Record], labels: list[Record], order: list[bool], places: list[int], cut: int
) -> None:
    records = joined(events, labels, order)
    found = check(lambda: JoinStage(PLAN, CODECS, 0, ONE, 5), records, places, cut)
    # Another interleaving restores the same state, as a restore may read one side before the other.
    restored = Runner(JoinStage(PLAN, CODECS, 0, ONE, 5))
    restored.run(joined(events, labels, []), context=Context(restoring=True))
    assert restored.states() == found.states()


@LAWS
@given(events(), labels(), PLACES, st.integers(0, 100))
def test_learn(events: list[Record], labels: list[Record], places: list[int], cut: int) -> None:
    join = Runner(JoinStage(PLAN, CODECS, 0, ONE))
    records = emitted(join.run(joined(events, labels, [])), TOPICS.examples)

    def make() -> LearnStage:
        return LearnStage(PLAN, CODECS, 1, 1, dumps, loads)

    whole, parts, restored = make(), make(), make()
    one = Runner(whole).run(records)
    several = Runner(parts).run(*split(records, places))
    assert totals(one) == totals(several)
    before, after = split(records, [cut])
    Runner(restored).run(before, context=Context(restoring=True))
    again = make()
    again.reset(restored.dump())
    Runner(again).run(after)
    x = {"load": 1.0, "heat": 3.0}
    assert again._bundle.predict(x) == parts._bundle.predict(x) == whole._bundle.predict(x)
    assert again._bundle.baselines == whole._bundle.baselines
    assert again._lag.state() == whole._lag.state()
