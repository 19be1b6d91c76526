"""How long topics keep their records: declared, bounded, followed by whatever may be long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from headrace.schemas.errors import DeclarationError
from headrace.streams.duration import DAY_MS, duration_ms
from headrace.streams.pipeline import Alarms, Monitor, Pipeline, TopicRetention, mean
from headrace.streams.plan import MARK_STEP_MS_MAX, plan_of
from headrace.streams.topics import (
    RETENTION_MS,
    Partitions,
    RetentionMs,
    Topics,
    TopicSpec,
    retention_changes,
    topic_specs,
)
from tests.unit.declare.test_faults import good, labels, source


def kept(retention: Any, **changes: Any) -> Pipeline:
    return replace(good, retention=retention, **changes)


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        plan_of(pipeline)
    return list(caught.value.faults)


@pytest.mark.parametrize("wait", ["31d", "120d", "90d", "730d"])
def test_a_wait_is_as_long_as_what_joins_reads_is_kept(wait: str) -> None:
    """Chargebacks take 120 days, churn 90, fines two years."""
    waiting = replace(labels, wait=wait)
    (fault,) = faults(kept("30d", labels=waiting))
    assert f'Labels(wait="{wait}") is longer than the log is kept (30d).' in fault
    assert f'Pipeline(retention="{wait}")' in fault
    assert plan_of(kept(wait, labels=waiting)).wait_ms == duration_ms(wait)
    for role in ("predictions", "labels_routed"):
        short = TopicRetention(wait, **{role: "30d"})
        assert "Labels(wait=" in faults(kept(short, labels=waiting))[0]
    enough = TopicRetention("1d", predictions=wait, labels_routed=wait, counts="30d", events="30d")
    assert plan_of(kept(enough, labels=waiting)).wait_ms == duration_ms(wait)


LONG: dict[str, tuple[str, dict[str, Any]]] = {
    "window": ("events", {"features": [mean("price", over="59d")]}),
    "lateness": ("events", {"events": replace(source, lateness="60d")}),
    "skew": ("events", {"events": replace(source, skew="60d")}),
    "label lateness": ("predictions", {"labels": replace(labels, lateness="60d")}),
    "ahead": ("labels_routed", {"labels": replace(labels, ahead="60d")}),
    "monitor's window": ("counts", {"monitor": Monitor(windows=["1d", "60d"])}),
    "drift's reference": ("counts", {"monitor": Monitor(reference="60d")}),
    "alarms' reference": ("counts", {"alarms": Alarms(reference="60d")}),
}


@pytest.mark.parametrize("case", LONG)
def test_whatever_is_long_follows_what_is_kept(case: str) -> None:
    role, changes = LONG[case]
    assert plan_of(kept("60d", **changes)).name == "orders"
    assert "log is kept" in faults(kept("30d", **changes))[0]
    assert "log is kept" in faults(kept(TopicRetention("60d", **{role: "30d"}), **changes))[0]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("a while", "retention: 'a while' is not a duration"),
        ("59m", "retention: no topic is kept for '59m'"),
        ("36501d", "retention: no topic is kept for '36501d'"),
        (30, "retention=30 is none"),
        (None, "retention=None is none"),
        (TopicRetention(None), "TopicRetention(default=...): None is not a duration"),  # type: ignore[arg-type]
        (TopicRetention("60d", metrics="soon"), "TopicRetention(metrics=...): 'soon' is not"),
        (TopicRetention("60d", counts="0d"), "TopicRetention(counts=...): '0d' is not a positive"),
    ],
)
def test_a_retention_that_cannot_be_is_said(declared: Any, said: str) -> None:
    (fault,) = faults(kept(declared))
    assert said in fault


def test_a_wrong_retention_hides_no_other_fault() -> None:
    found = faults(kept("soon", labels=replace(labels, wait="31d")))
    assert len(found) == 2


def test_topics_are_created_with_what_is_declared() -> None:
    declared = TopicRetention("120d", metrics="7d", events="400d")
    plan = plan_of(kept(declared))
    specs = topic_specs(plan.topics, Partitions(3, 2, 5), joined=True, retention=plan.retention)
    days = {spec.name: int(spec.config["retention.ms"]) // DAY_MS for spec in specs}
    assert days == {
        name: {"orders.metrics": 7, "orders.events": 400}.get(name, 120) for name in plan.topics
    }
    assert {spec.config["retention.bytes"] for spec in specs} == {"-1"}
    assert [spec.partitions for spec in specs] == [3, 2, 5, 5, 1, 1, 1, 1, 1, 1]
    assert [spec.name for spec in specs if spec.append_time] == [
        "orders.labels-routed",
        "orders.predictions",
    ]


def test_without_a_word_all_is_kept_for_thirty_days() -> None:
    assert plan_of(good).retention == RETENTION_MS == RetentionMs(*[30 * DAY_MS] * 10)
    assert RetentionMs._fields == Topics._fields


@pytest.mark.parametrize("declared", ["120d", TopicRetention("120d", metrics="1d")])
def test_retention_is_no_part_of_the_version(declared: str | TopicRetention) -> None:
    assert plan_of(kept(declared)).digest == plan_of(good).digest


def test_watermarks_are_said_daily_at_least() -> None:
    """So what cannot match any more leaves day by day, however long the wait."""
    waits = ["1h", "15d", "16d", "30d", "730d"]
    steps = [
        plan_of(kept("730d", labels=replace(labels, wait=wait))).mark_step_ms for wait in waits
    ]
    assert steps[0] == 3_600_000 // 16
    assert steps[2:] == [MARK_STEP_MS_MAX] * 3 == [DAY_MS] * 3
    assert all(a <= b for a, b in pairwise(steps))


SPEC = TopicSpec("t", 1, {"retention.ms": "5000", "retention.bytes": "-1"})
KEPT: list[tuple[Callable[[], TopicSpec], dict[str, str], dict[str, str]]] = [
    (lambda: SPEC, {"retention.ms": "5000", "retention.bytes": "-1"}, {}),
    (lambda: SPEC, {"retention.ms": "-1"}, {}),
    (lambda: SPEC, {"retention.ms": "6000"}, {}),
    (lambda: SPEC, {}, {}),
    (lambda: SPEC, {"retention.ms": "4999"}, {"retention.ms": "5000"}),
    (lambda: SPEC, {"retention.ms": "0"}, {"retention.ms": "5000"}),
    (lambda: SPEC, {"retention.bytes": "7"}, {"retention.bytes": "-1"}),
    (lambda: TopicSpec("schemas", 1), {"retention.ms": "1"}, {}),
]


@pytest.mark.parametrize(("spec", "present", "changes"), KEPT)
def test_only_what_is_kept_too_short_is_to_be_changed(
    spec: Callable[[], TopicSpec], present: dict[str, str], changes: dict[str, str]
) -> None:
    assert retention_changes(spec(), present) == changes
