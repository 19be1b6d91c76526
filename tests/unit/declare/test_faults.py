"""Every fault of a declaration is said, at once, with its line and a remedy."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import pytest
from river import (
    anomaly,
    linear_model,
    multiclass,
    preprocessing,
    tree,
)

from headrace.schemas.errors import DeclarationError
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
    apply,
    category,
    count,
    distinct,
    hour,
    last,
    last_value,
    log1p,
    majority,
    mean,
    std,
    total,
    value,
    window,
)
from headrace.streams.plan import plan_of


class Order(Event):
    id: str
    shop: str
    at: datetime
    price: float
    items: int
    gift: bool
    channel: Literal["web", "app"]
    note: str | None = None
    paid_at: datetime | None = None
    tags: tuple[str, ...] = ()


class Plain(Event):
    """An order without the field that has no Avro type."""

    id: str
    shop: str
    at: datetime
    price: float
    items: int
    gift: bool
    channel: Literal["web", "app"]
    note: str | None = None
    paid_at: datetime | None = None
    blob: bytes = b""


class Refund(Event):
    order: str
    at: datetime
    refunded: bool
    maybe: bool | None = None
    reason: Literal["broken", "late", "other"]
    text: str
    amount: float
    number: int


class NotAnEvent:
    pass


def per_item(price: float, items: int) -> float:
    return price / items


def in_words(items: int) -> Literal["few", "many"]:
    return "few" if items < 9 else "many"


def unannotated(price, items):  # type: ignore[no-untyped-def]
    return price / items


def returns_list(price: float) -> list[float]:
    return [price]


def unknown_annotation(price: float) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
    return price


def is_gift(event: Plain) -> bool:
    return event.gift


def takes_two(event: Plain, other: int) -> bool:
    return event.gift


source = Source(Plain, id="id", key="shop", time="at")
labels = Labels(Refund, id="order", value="refunded", time="at", wait="7d")
good = Pipeline(
    name="orders",
    events=source,
    labels=labels,
    features=[value("price", "items")],
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
)


def with_features(*features: Any) -> Callable[[], Pipeline]:
    return lambda: replace(good, features=list(features))


def with_source(**changes: Any) -> Callable[[], Pipeline]:
    return lambda: replace(good, events=replace(source, **changes))


def with_labels(**changes: Any) -> Callable[[], Pipeline]:
    return lambda: replace(good, labels=replace(labels, **changes))


def with_monitor(**settings: Any) -> Callable[[], Pipeline]:
    return lambda: replace(good, monitor=Monitor(**settings))


def but(**changes: Any) -> Callable[[], Pipeline]:
    return lambda: replace(good, **changes)


def nested() -> Callable[..., float]:
    def inner(price: float) -> float:
        return price

    return inner


REGRESSION = linear_model.LinearRegression()


FAULTS: dict[str, tuple[Callable[[], Pipeline], str]] = {
    "name": (but(name="1 orders"), "name='1 orders' cannot be the prefix of topics"),
    "no source": (but(events="orders"), "is no Source of a subclass of headrace.Event"),
    "no event": (with_source(event=NotAnEvent), "is no Source of a subclass"),
    "unknown id": (with_source(id="ids"), 'Source(id="ids") names a field that Plain does not'),
    "unknown key": (with_source(key="shopp"), 'Did you mean "shop"?'),
    "unknown time": (with_source(time="when"), 'Source(time="when") names a field'),
    "number as key": (with_source(key="price"), 'Source(key="price") must be text or an integer'),
    "null as id": (with_source(id="note"), 'Source(id="note") must be text or an integer'),
    "text as time": (with_source(time="shop"), 'Source(time="shop") must be a datetime'),
    "null as time": (with_source(time="paid_at"), 'Source(time="paid_at") must be a datetime'),
    "lateness": (with_source(lateness="ten minutes"), "Source(lateness=...): 'ten minutes' is not"),
    "skew": (with_source(skew="90d"), 'Source(skew="90d") is longer than the log is kept'),
    "format": (with_source(format="jsn"), 'Did you mean "json"?'),
    "topic": (with_source(topic="a b"), "Source(topic='a b') is no topic's name"),
    "same topics": (
        lambda: replace(good, events=replace(source, topic="t"), labels=replace(labels, topic="t")),
        "Labels and Source both read 't'",
    ),
    "field type": (
        with_source(event=Order, format="avro"),
        "Order.tags is tuple[str, ...], which has no Avro type",
    ),
    "no labels": (but(labels="refunds"), "labels='refunds' is none"),
    "no label class": (with_labels(label=NotAnEvent), "is no subclass of headrace.Event"),
    "unknown label id": (with_labels(id="ordr"), 'Did you mean "order"?'),
    "unknown label value": (with_labels(value="refundd"), 'Did you mean "refunded"?'),
    "unknown label time": (with_labels(time="when"), 'Labels(time="when") names a field'),
    "label may be null": (with_labels(value="maybe"), "the label Refund.maybe may be null"),
    "wait": (with_labels(wait="soon"), "Labels(wait=...): 'soon' is not"),
    "ahead": (with_labels(ahead="x"), "Labels(ahead=...): 'x' is not"),
    "label type": (with_labels(value="number"), "is int; a classifier learns bool"),
    "two classes only": (with_labels(value="reason"), "LogisticRegression takes two"),
    "unknown label in event": (but(labels=InEvent("refunded")), 'InEvent(value="refunded") names'),
    "label as a feature": (
        lambda: replace(good, labels=InEvent("gift"), features=[value("gift")]),
        "reads 'gift', the label: the answer would leak",
    ),
    "no features": (with_features(), "it has no features"),
    "text for a feature": (with_features("price"), "'price' in features= is no feature"),
    "unknown field": (with_features(mean("prise", over="1h")), 'Did you mean "price"?'),
    "text as number": (with_features(value("shop")), 'Write category("shop")'),
    "time as number": (with_features(value("at")), 'Write hour("at")'),
    "missing": (with_features(value("price", missing="median")), "has missing='median'"),  # type: ignore[arg-type]
    "missing number": (
        with_features(mean("price", over="1h", missing=math.inf)),
        "has missing=inf",
    ),
    "missing text": (with_features(last("shop", missing=0)), "missing= is for numbers"),
    "missing text of a function": (
        with_features(apply(in_words, "items", missing="mean")),
        "missing= is for numbers",
    ),
    "number as category": (
        with_features(category("price")),
        'category("price") is no text and no code; the field is float.\n  Use value(...), or apply',
    ),
    "top of known values": (
        with_features(category("channel", top=20)),
        "has top=20, which has no effect",
    ),
    "top beside values": (
        with_features(category("shop", top=20, values=["a"])),
        "has top=20, which has no effect",
    ),
    "top": (with_features(category("shop", top=0)), "has top=0"),
    "values": (with_features(category("shop", values=["a", "a"])), "has values=['a', 'a']"),
    "hour of a number": (with_features(hour("price")), 'hour("price") needs a datetime'),
    "time zone": (with_features(hour("at", tz="Mars/Base")), "time zone 'Mars/Base'"),
    "log of text": (with_features(log1p("shop")), 'log1p("shop") needs a number'),
    "last of a time": (with_features(last("at")), 'last("at") needs a number or text'),
    "mean of text": (with_features(mean("shop", over="1h")), "needs a number; the field is str"),
    "distinct times": (with_features(distinct("at", over="1h")), "needs a number or text"),
    "aggregate": (with_features(window("price", over="1h", agg="maximum")), 'Did you mean "max"?'),
    "window": (with_features(count(over="an hour")), "has a window that cannot be read"),
    "long window": (with_features(total("price", over="60d")), "Use 29d or less"),
    "short window": (with_features(std("price", over="10s")), "is short beside a lateness of 10m"),
    "lambda": (with_features(apply(lambda price: price, "price")), "has no source of its own"),
    "nested function": (with_features(apply(nested(), "price")), "has no source of its own"),
    "arguments": (with_features(apply(per_item, "price")), "calls per_item with 1 values"),
    "no annotation": (
        with_features(apply(unannotated, "price", "items")),
        "does not say what it returns",
    ),
    "unknown annotation": (
        with_features(apply(unknown_annotation, "price")),
        "does not say what it returns",
    ),
    "bytes as a number": (with_features(value("blob")), "needs a number; the field is bytes"),
    "return type": (with_features(apply(returns_list, "price")), "returns list[float]"),
    "no arguments": (with_features(apply(per_item)), "names no field"),
    "same names": (
        with_features(value("price"), log1p("price", name="price")),
        'two features are called \'price\': value("price") and log1p("price")',
    ),
    "feature's name": (with_features(value("price", name="the price")), "called 'the price'"),
    "unknown feature by segment": (
        with_monitor(segments=["shop"], features_by_segment=["prize"]),
        'names no feature.\n  Did you mean "price"?',
    ),
    "feature by segment twice": (
        with_monitor(segments=["shop"], features_by_segment=["price", "price"]),
        "names a feature twice",
    ),
    "features of no segments": (with_monitor(features_by_segment=["price"]), "has no segments"),
    "unknown segment": (with_monitor(segments=["shp"]), 'Did you mean "shop"?'),
    "number as segment": (with_monitor(segments=["price"]), "has too many values"),
    "label as segment": (
        lambda: replace(good, labels=InEvent("gift"), monitor=Monitor(segments=["gift"])),
        "is the label",
    ),
    "baseline not called": (with_monitor(baselines=[majority]), "Write majority()"),
    "lambda as baseline": (with_monitor(baselines=[lambda e: True]), "has no source of its own"),
    "baseline of two": (with_monitor(baselines=[takes_two]), "calls takes_two with 1 values"),
    "baseline sees the label": (
        lambda: replace(good, labels=InEvent("gift"), monitor=Monitor(baselines=[is_gift])),
        "baseline is_gift reads 'gift', the label",
    ),
    "baselines without labels": (
        lambda: replace(
            good,
            labels=None,
            model=anomaly.HalfSpaceTrees(seed=1),
            monitor=Monitor(baselines=[last_value()]),
        ),
        "no labels to judge them by",
    ),
    "no windows": (with_monitor(windows=[]), "Monitor(windows=[]) watches nothing"),
    "window to watch": (with_monitor(windows=["day"]), "Monitor(windows=...): 'day' is not"),
    "alarms": (but(alarms="90d"), "Use Alarms(...), or None for no alarms"),
    "promise": (but(alarms=Alarms("a quarter")), "Alarms(run_length=...): 'a quarter'"),
    "short promise": (but(alarms=Alarms("1h")), 'Use "1d" to "3650d"'),
    "long promise": (but(alarms=Alarms("4000d")), "cannot be promised"),
    "reference of alarms": (but(alarms=Alarms(reference="1w")), "Alarms(reference=...)"),
    "alarms of segments": (
        but(alarms=Alarms(segments="shop")),  # type: ignore[arg-type]
        "is neither True nor",
    ),
    "windows that do not fit": (with_monitor(windows=["1h", "90m"]), "Use multiples of"),
    "reference": (with_monitor(reference="x"), "Monitor(reference=...): 'x' is not"),
    "pace": (with_monitor(pace="fast"), "Monitor(pace=...): 'fast' is not"),
    "pace of nothing": (with_monitor(pace="0s"), "Monitor(pace=...): '0s' is not"),
    "business": (with_monitor(business=Cost(1, -1)), "business=Cost(false_negative=-1)"),
    "business of numbers": (
        lambda: replace(
            good,
            model=REGRESSION,
            labels=replace(labels, value="amount"),
            monitor=Monitor(business=Cost(1, 2)),
        ),
        "business=Cost(...) is for true or false",
    ),
}


def check_fault(pipeline: Callable[[], Pipeline], said: str) -> None:
    """Check that a declaration is refused with a fault that says so, and where it stands."""
    with pytest.raises(DeclarationError) as caught:
        plan_of(pipeline())
    matching = [fault for fault in caught.value.faults if said in fault]
    assert matching, caught.value.faults
    assert matching[0].startswith(str(pipeline().name) + ": ")
    assert re.search(r"test_(model_)?faults\.py, line \d+\)$", matching[0])


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_said_with_its_place(case: str) -> None:
    check_fault(*FAULTS[case])


def test_all_faults_are_said_at_once() -> None:
    bad = replace(
        good,
        name="?",
        events=replace(source, key="shp"),
        features=[value("prce"), hour("price")],
        monitor=Monitor(segments=["x"]),
    )
    with pytest.raises(DeclarationError) as caught:
        plan_of(bad)
    assert len(caught.value.faults) == 5
    assert str(caught.value).count("test_faults.py, line") == 5


def test_a_fault_points_at_the_line_of_its_feature() -> None:
    bad = replace(
        good,
        features=[
            value("price"),
            mean("prise", over="1h"),  # this line
        ],
    )
    with pytest.raises(DeclarationError) as caught:
        plan_of(bad)
    line = int(re.findall(r"line (\d+)", caught.value.faults[0])[0])
    with open(__file__, encoding="utf-8") as file:
        assert "# this line" in file.read().splitlines()[line - 1]


@pytest.mark.parametrize(
    "pipeline",
    [
        good,
        replace(good, decide=Cost(1, 9)),
        replace(good, alarms=None),
        replace(good, alarms=Alarms(run_length="30d", reference="2d", segments=False)),
        replace(good, labels=InEvent("gift")),
        replace(good, model=REGRESSION, labels=replace(labels, value="amount")),
        replace(good, model=REGRESSION, labels=replace(labels, value="number")),
        replace(good, model=tree.HoeffdingTreeClassifier(), labels=replace(labels, value="reason")),
        replace(
            good,
            model=multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
            labels=replace(labels, value="text"),
        ),
        replace(good, model=anomaly.HalfSpaceTrees(seed=1), labels=None, decide=Threshold(3)),
        replace(good, model=anomaly.HalfSpaceTrees(seed=1)),
    ],
)
def test_what_works_has_no_faults(pipeline: Pipeline) -> None:
    assert plan_of(pipeline).name == "orders"


def test_a_declaration_is_data() -> None:
    again = replace(good)
    assert again == good
    assert hash(again) == hash(good)
    assert "Plain" in repr(good)
    assert replace(good, name="other") != good


def test_one_name_is_for_one_field() -> None:
    with pytest.raises(ValueError, match="names one feature of 2 fields"):
        value("price", "items", name="both")
