"""ROUTE: labels to the partition of their event id."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from headrace.streams.buckets import number_bucket
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit
from headrace.streams.stages.route import RouteStage
from tests.unit.stages.flow import (
    CODECS,
    NOW_MS,
    PARTITIONS,
    PLAN,
    START_MS,
    Runner,
    barrier,
    barriers,
    counted,
    decoded,
    feed,
    verdict,
)

TOPIC, ROUTED = PLAN.topics.labels, PLAN.topics.labels_routed


def route(partition: int = 1) -> Runner:
    return Runner(RouteStage(PLAN, CODECS, partition, PARTITIONS))


def routed(emits: list[Emit]) -> list[dict[str, Any]]:
    return decoded(emits, ROUTED, CODECS.routed_label)


def test_a_label_goes_to_its_events_partition_with_its_origin_and_the_watermark() -> None:
    emits = route().run(feed(TOPIC, [verdict(n, n, n == 3) for n in range(4)], 1))
    assert routed(emits)[3] == {
        "event_id": "e3",
        "label": True,
        "label_time": START_MS + 180_000,
        "source_partition": 1,
        "source_offset": 3,
        "watermark": START_MS + 60_000,
    }
    assert [(emit.partition, emit.key) for emit in emits if emit.key] == [
        (1, b"e0"), (1, b"e1"), (1, b"e2"), (0, b"e3")
    ]  # fmt: skip
    delays = Counter(
        f"label_record_delay:{number_bucket(NOW_MS - START_MS - n * 60_000)}" for n in range(4)
    )
    assert counted(emits) == {"routed": 4, **delays}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (verdict(0, 0, "yes"), "wrong_type"),
        (b'{"id": "e0"}', "missing_field"),
        (verdict(0, 3_000), "future_event"),
    ],
)
def test_what_is_no_label_becomes_a_dead_letter(value: bytes | None, reason: str) -> None:
    runner = route()
    emits = runner.run(feed(TOPIC, [value]))
    (letter,) = decoded(emits, PLAN.topics.dead_letters, CODECS.dead_letter)
    assert (letter["reason"], letter["stage"]) == (reason, "route")
    assert counted(emits) == {f"dead_letter.{reason}": 1}
    assert runner.states() == {"w": [None, []]}


def test_a_barrier_is_passed_on_to_every_partition() -> None:
    emits = route().run(feed(TOPIC, [barrier("b")]))
    assert barriers(emits) == [(ROUTED, 0, "b", "route-1"), (ROUTED, 1, "b", "route-1")]
    assert len(emits) == 2


def test_a_restore_moves_the_clock_alone() -> None:
    records = feed(TOPIC, [verdict(n, n) for n in range(5)])
    live, restored = route(), route()
    live.run(records)
    assert restored.run(records[:2], records[2:], context=Context(restoring=True)) == []
    assert restored.states() == live.states() != {}


def test_a_label_that_no_rule_foresaw_is_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Plan, label: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Plan, "label_value", fails)
    runner = route()
    emits = runner.run(feed(TOPIC, [verdict(0, 0)]))
    assert counted(emits) == {"dead_letter.poison": 1}
    assert runner.states() == {}
