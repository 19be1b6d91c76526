"""The stage JOIN itself over all interleavings of two short logs: one set of examples, whatever.

``test_matching.py`` does the same with the law alone. Here are real records: decoded, matched,
collected at the end of each batch, encoded; and at each place another process may take over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.observe import tile_ms_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages import matching
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.matching import Arrival, Rules
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.flow import (
    CODECS,
    NOW_MS,
    PLAN,
    START_MS,
    Runner,
    decoded,
    feed,
    reading,
    totals,
)
from tests.unit.stages.interleaving import Entry, Logs, brute_force, interleavings, logs

MINUTE = 60_000
RULES = Rules(PLAN.wait_ms // MINUTE, PLAN.lateness_ms // MINUTE, PLAN.label_lateness_ms // MINUTE)
FATES = (
    "first_event",
    "duplicate_event",
    "late_event",
    "matched",
    "expired",
    "duplicate_label",
    "contradicting_label",
    "late_label",
    "unmatched_label",
)

Said = tuple[str, int, int, int | None]
"""Whose, at which minute, from which source, and the source's watermark before it."""


def pair(predictions: Sequence[Said], labels: Sequence[tuple[Said, bool]]) -> Logs:
    """Return logs of two sources each; of their offsets every second one is a control record."""

    def arrival(at: int, said: Said) -> Arrival:
        event_id, minute, source, watermark = said
        return Arrival(event_id, 2 * at, minute, source, watermark)

    return Logs(
        RULES,
        (2, 2),
        [Entry(arrival(at, said), None) for at, said in enumerate(predictions)],
        [Entry(arrival(at, said), value) for at, (said, value) in enumerate(labels)],
    )


def never(*said: Said) -> list[Said]:
    return [(event_id, minute, source, None) for event_id, minute, source, _ in said]


HARD = {
    "each fate at once": pair(
        [
            ("a", 0, 0, None),
            ("e", 3, 1, None),  # expires
            ("a", 30, 0, 0),  # a duplicate
            ("c", 20, 0, 35),  # late
            ("d", 100, 0, 100),
            ("b", 112, 1, 115),
        ],
        [
            (("b", 115, 0, None), True),
            (("b", 116, 0, 15), False),  # contradicts
            (("a", 5, 1, None), True),
            (("a", 5, 1, 5), True),  # again
            (("x", 66, 0, 75), True),  # for nobody
            (("d", 90, 1, 120), True),  # late
        ],
    ),
    "an id three times, labels at the edges of its waits": pair(
        [
            ("a", 0, 0, None),
            ("a", 60, 1, None),  # just a duplicate
            ("a", 61, 0, 0),  # just none
            ("a", 122, 1, 60),
            ("b", 122, 0, 130),
            ("a", 183, 1, 190),
        ],
        [
            (("a", 60, 0, None), True),
            (("a", 61, 0, 60), False),
            (("a", 0, 1, None), False),
            (("a", 121, 1, 100), True),
            (("a", 182, 0, 185), False),
            (("a", 183, 1, 193), True),
        ],
    ),
    "labels far ahead of their events, and one clock in the future": pair(
        [
            ("a", 0, 0, None),
            ("b", 1, 0, 0),
            ("c", 2, 1, None),
            ("a", 200, 0, 12),
            ("b", 200, 1, 130),
            ("c", 200, 1, 200),
        ],
        [
            (("c", 3, 0, None), True),
            (("a", 4, 0, 500_000), True),  # late: one clock has run away
            (("a", 4, 1, 4), True),
            (("b", 61, 1, 71), True),  # just not late
            (("b", 62, 1, 75), False),
            (("c", 210, 1, 210), False),
        ],
    ),
    "a source that never speaks": pair(
        never(
            ("a", 0, 0, None),
            ("a", 70, 0, None),
            ("b", 0, 0, None),
            ("b", 100, 0, None),
            ("c", 5, 0, None),
            ("a", 5, 0, None),
        ),
        [
            (("a", 75, 0, 300), True),
            (("a", 300, 0, 310), True),
            (("c", 66, 1, None), True),
            (("c", 65, 1, None), True),
            (("b", 50, 1, None), True),
            (("b", 55, 1, None), True),
        ],
    ),
}


def records_of(logs: Logs) -> tuple[list[Record], list[Record]]:
    """Return the two logs as SCORE and ROUTE write them."""
    scored = Runner(ScoreStage(PLAN, CODECS, 0, Partitions(1, 1, 1))).run(feed("", [reading(1, 0)]))
    template: Any = CODECS.prediction.decode(scored[0].value)
    predictions, labels = [], []
    for said, _ in logs.predictions:
        fields = {"event_time": _ms(said.time_ms), **_carried(said)}
        predictions.append(_record(PLAN.topics.predictions, said, "prediction", template | fields))
    for said, value in logs.labels:
        fields = {"label": value, "label_time": _ms(said.time_ms), **_carried(said)}
        labels.append(_record(PLAN.topics.labels_routed, said, "routed_label", fields))
    return predictions, labels


def _ms(minute: int) -> int:
    return START_MS + minute * MINUTE


def _carried(said: Arrival) -> dict[str, Any]:
    return {
        "event_id": said.event_id,
        "source_partition": said.source,
        "source_offset": said.offset,
        "watermark": None if said.watermark is None else _ms(said.watermark),
    }


def _record(topic: str, said: Arrival, codec: str, fields: dict[str, Any]) -> Record:
    return Record(topic, 0, said.offset, NOW_MS, None, getattr(CODECS, codec).encode(fields))


class Outcome(NamedTuple):
    """What has come of an interleaving: examples by their two offsets, counts by tile and name."""

    examples: Counter[tuple[int, int]]
    counts: Counter[tuple[int, str, str]]
    states: dict[str, Any]


def outcome(emits: Sequence[Emit], states: dict[str, Any]) -> Outcome:
    found = decoded(emits, PLAN.topics.examples, CODECS.example)
    examples = Counter((each["source_offset"], each["label_offset"]) for each in found)
    return Outcome(examples, totals(emits), states)


def join(logs: Logs) -> JoinStage:
    return JoinStage(PLAN, CODECS, 0, Partitions(*logs.sources, 1), 100)


def expected(logs: Logs) -> tuple[Counter[Any], Counter[Any]]:
    """Return examples and counts by the predicate over the whole logs."""
    examples, counts, _ = brute_force(logs)
    tiles: Counter[Any] = Counter()
    for (name, minute), n in counts.items():
        tiles[_ms(minute) - _ms(minute) % tile_ms_of(PLAN), "all", name] += n
    return examples, tiles


def test_all_924_interleavings_have_one_outcome() -> None:
    logs = HARD["each fate at once"]
    predictions, labels = records_of(logs)
    examples, counts = expected(logs)
    tried, states = 0, None
    for order in interleavings(logs):
        sides = {True: iter(predictions), False: iter(labels)}
        runner = Runner(join(logs))
        runner.run(*([next(sides[side])] for side in order), context=Context())
        found = outcome(runner.emits, runner.states())
        assert (found.examples, found.counts) == (examples, counts)
        states = states or found.states
        assert found.states == states
        tried += 1
    assert tried == 924


def test_the_hard_pairs_meet_every_fate() -> None:
    names = {name for logs in HARD.values() for name, _ in brute_force(logs)[1]}
    assert names == set(FATES)


def walk(logs: Logs) -> Outcome:
    """Go through all interleavings at once; return the outcome that all of them have.

    At each place, so many predictions and so many labels read, it is asserted that both ways
    there have the same outcome: then all ways there have it. Each step is another owner's.
    """
    predictions, labels = records_of(logs)
    places: dict[tuple[int, int], tuple[Runner, list[Emit]]] = {(0, 0): (Runner(join(logs)), [])}
    for i in range(len(predictions) + 1):
        for j in range(len(labels) + 1):
            ways = []
            for before, record in (((i - 1, j), predictions[i - 1]), ((i, j - 1), labels[j - 1])):
                if before in places:
                    runner, emits = places[before]
                    owner = runner.restarted(join(logs))
                    ways.append((owner, emits + owner.run([record], context=Context())))
            outcomes = [outcome(emits, owner.states()) for owner, emits in ways]
            assert all(each == outcomes[0] for each in outcomes), (i, j)
            places.setdefault((i, j), ways[0] if ways else (Runner(join(logs)), []))
    owner, emits = places[len(predictions), len(labels)]
    return outcome(emits, owner.states())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(st.just(6), st.just(RULES)))
def test_all_interleavings_of_any_six_and_six_have_one_outcome(logs: Logs) -> None:
    examples, counts = expected(logs)
    found = walk(logs)
    assert (found.examples, found.counts) == (examples, counts)


@pytest.mark.parametrize("logs", HARD.values(), ids=HARD)
def test_all_interleavings_of_a_hard_pair_have_one_outcome(logs: Logs) -> None:
    examples, counts = expected(logs)
    found = walk(logs)
    assert (found.examples, found.counts) == (examples, counts)


def test_one_watermark_for_all_sources_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_lowest", matching.newest)
    with pytest.raises(AssertionError):
        walk(HARD["a source that never speaks"])
