"""Each parameter of a declaration has an effect: on the version, or on what the plan goes by."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import pytest
from river import linear_model, tree

from headrace.streams.event import Event
from headrace.streams.pipeline import (
    Alarms,
    Cost,
    InEvent,
    Labels,
    Monitor,
    Pipeline,
    Source,
    Threshold,
    majority,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.stages.lookout import watch_terms


class Order(Event):
    id: str
    number: str
    shop: str
    town: str
    at: datetime
    paid_at: datetime
    price: float
    gift: bool
    new: bool


class Other(Order):
    note: str = ""


class Refund(Event):
    id: str
    number: str
    at: datetime
    paid_at: datetime
    refunded: bool
    fraud: bool


class Return(Refund):
    note: str = ""


SOURCE = Source(Order, id="id", key="shop", time="at")
LABELS = Labels(Refund, id="id", value="refunded", time="at", wait="7d")
BASE = Pipeline(
    name="orders",
    events=SOURCE,
    labels=LABELS,
    features=[value("price")],
    model=linear_model.LogisticRegression(),
    monitor=Monitor(segments=["shop"], windows=["1h", "1d"], reference="1d"),
    alarms=Alarms(),
)

CHANGES: dict[type, dict[str, Any]] = {
    Source: {
        "event": Other, "id": "number", "key": "town", "time": "paid_at", "lateness": "1m",
        "skew": "1m", "topic": "elsewhere", "format": "avro",
    },
    Labels: {
        "label": Return, "id": "number", "value": "fraud", "time": "paid_at", "wait": "1d",
        "lateness": "1m", "ahead": "1d", "topic": "elsewhere", "format": "avro",
    },
    Monitor: {
        "segments": ["town"], "baselines": [majority()], "business": Cost(1, 2),
        "windows": ["1h"], "reference": "2d", "features_by_segment": ["price"],
    },
    Alarms: {"run_length": "30d", "reference": "7d"},
    InEvent: {"value": "new"},
    Threshold: {"value": 0.7},
    Cost: {"false_positive": 3, "false_negative": 5, "unit": "EUR"},
    Pipeline: {
        "name": "others", "events": replace(SOURCE, key="town"), "features": [value("gift")],
        "model": tree.HoeffdingTreeClassifier(), "labels": InEvent("gift"),
        "decide": Threshold(0.7), "monitor": Monitor(), "alarms": None,
    },
}  # fmt: skip
"""Another value of each parameter."""

ELSEWHERE: dict[type, set[str]] = {
    Source: {"control_records"},  # tests/integration/test_doors.py: what a publisher writes
    Labels: {"control_records"},  # same
    Monitor: {"pace"},  # tests/unit/stages: when what is emitted
    Alarms: {"segments"},  # tests/unit/alarms/test_lookout.py: what detectors are handed
    Pipeline: {"retention"},  # test_retention.py
}
"""What has an effect that no plan shows, with where it is tested."""

WITHIN: dict[type, Callable[[Any], Pipeline]] = {
    Source: lambda changed: replace(BASE, events=changed),
    Labels: lambda changed: replace(BASE, labels=changed),
    Monitor: lambda changed: replace(BASE, monitor=changed),
    Alarms: lambda changed: replace(BASE, alarms=changed),
    InEvent: lambda changed: replace(BASE, labels=changed),
    Threshold: lambda changed: replace(BASE, decide=changed),
    Cost: lambda changed: replace(BASE, decide=changed),
    Pipeline: lambda changed: changed,
}
USUAL: dict[type, Any] = {
    Source: SOURCE, Labels: LABELS, Monitor: BASE.monitor, Alarms: BASE.alarms,
    InEvent: InEvent("gift"), Threshold: Threshold(0.5), Cost: Cost(1, 2), Pipeline: BASE,
}  # fmt: skip


def observable(plan: Plan) -> list[Any]:
    """Return what stages go by, besides what is in the version."""
    terms = watch_terms(plan)
    return [
        plan.canonical, plan.windows_ms, plan.reference_ms, plan.run_length_ms,
        plan.alarm_reference_ms, plan.threshold, plan.pipeline.monitor.business, repr(terms),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in CHANGES.items() for name in names]
)
def test_a_parameter_that_is_changed_changes_something(kind: type, name: str) -> None:
    usual, within = USUAL[kind], WITHIN[kind]
    changed = replace(usual, **{name: CHANGES[kind][name]})
    before, after = plan_of(within(usual)), plan_of(within(changed))
    assert observable(before) != observable(after)


@pytest.mark.parametrize("kind", CHANGES)
def test_each_parameter_is_tried(kind: Any) -> None:
    tried = set(CHANGES[kind]) | ELSEWHERE.get(kind, set())
    assert {each.name for each in fields(kind)} - {"place"} == tried
