"""Synthetic rows are what a declaration allows, and nothing else."""

from datetime import datetime
from math import log1p as log_of
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from river import linear_model

from headrace.streams.event import Event
from headrace.streams.features.declared import Features
from headrace.streams.pipeline import (
    InEvent,
    Labels,
    Pipeline,
    Source,
    apply,
    category,
    count,
    distinct,
    hour,
    last,
    log1p,
    maximum,
    mean,
    since_last,
    std,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.synthetic import LATE_ROWS, ROWS, late_examples, synthetic_examples


class Trip(Event):
    id: str
    town: str
    at: datetime
    km: float
    stops: int
    wet: bool
    mood: Literal["good", "bad"]
    length: Annotated[float, Field(ge=0)]
    depth: float = Field(gt=0, lt=2)
    fall: Annotated[float, Field(lt=-5)]
    floor: Annotated[int, Field(ge=3, le=5)]
    shelf: Annotated[int, Field(gt=3, lt=6)]
    grade: Annotated[float, Field(gt=-1)]
    slope: Annotated[float, Field(ge=-1)]
    tip: Annotated[float, Field(ge=0, le=1)] | None = None
    left: datetime | None = None


class Fare(Event):
    id: str
    at: datetime
    price: Annotated[float, Field(gt=0)]
    refund: Annotated[float, Field(le=-1)]
    text: str


def root(length: float) -> float:
    return float(length**0.5)


def maybe(length: float) -> float | None:
    return None if length > 50 else length


def fails(town: str, at: datetime) -> int:
    raise ValueError(f"{town} {at}")


def fails_in_words(stops: int, wet: bool) -> Literal["few", "many"]:
    raise ValueError(stops, wet)


def plan_with(*features: Features, labels: Any = None, model: Any = None) -> Plan:
    return plan_of(
        Pipeline(
            name="trips",
            events=Source(Trip, id="id", key="town", time="at"),
            labels=labels or InEvent("wet"),
            features=features,
            model=model or linear_model.LogisticRegression(),
        )
    )


def column(feature: Features, key: str) -> list[Any]:
    """Return a feature's values over all rows; None where it is absent."""
    return [x.get(key) for x, _ in synthetic_examples(plan_with(feature))]


@pytest.mark.parametrize(
    ("feature", "key", "least", "most"),
    [
        (value("km"), "km", -40, 60),
        (value("stops"), "stops", 0, 23),
        (value("length"), "length", 0, 100),
        (value("depth"), "depth", 0, 2),
        (value("fall"), "fall", -105, -5),
        (value("floor"), "floor", 3, 5),
        (value("shelf"), "shelf", 4, 5),
        (mean("length", over="1h"), "mean_length_1h", 0, 100),
        (maximum("depth", over="1h"), "max_depth_1h", 0, 2),
        (count(over="1h"), "count_1h", 1, 24),
        (count(over="1h", current=False), "count_1h", 0, 23),
        (distinct("mood", over="1h"), "distinct_mood_1h", 0, 23),
        (hour("at"), "hour_at", 0, 23),
        (log1p("length"), "log1p_length", 0, log_of(100)),
        (log1p("grade"), "log1p_grade", -20, log_of(100)),
        (apply(root, "length"), "root", 0, 10),
        (apply(fails, "town", "at"), "fails", 0, 23),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_always_there_lies_within_its_bounds(
    feature: Features, key: str, least: float, most: float
) -> None:
    found = column(feature, key)
    assert all(number is not None and least <= number <= most for number in found), found
    assert len(set(found)) > 1
    assert len(found) == ROWS


def test_a_least_value_is_met_if_it_is_allowed() -> None:
    assert 0.0 in column(value("length"), "length")
    assert 0.0 not in column(value("depth"), "depth")
    assert max(column(value("fall"), "fall")) < -5


@pytest.mark.parametrize(
    ("feature", "key"),
    [
        (value("tip"), "tip"),
        (mean("length", over="1h", current=False), "mean_length_1h"),
        (mean("tip", over="1h"), "mean_tip_1h"),
        (std("length", over="1h"), "std_length_1h"),
        (since_last(), "since_last_s"),
        (last("stops"), "last_stops"),
        (log1p("km"), "log1p_km"),
        (log1p("slope"), "log1p_slope"),
        (hour("left"), "hour_left"),
        (apply(maybe, "length"), "maybe"),
        (apply(root, "tip", name="rooted"), "rooted"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_can_be_null_is_absent_in_some_rows(feature: Features, key: str) -> None:
    found = column(feature, key)
    assert {number is None for number in found} == {True, False}


def test_categories_are_of_their_values() -> None:
    rows = [x for x, _ in synthetic_examples(plan_with(category("mood"), category("town", top=3)))]
    assert all(x["mood=good"] + x["mood=bad"] == 1.0 for x in rows)
    assert all(sum(x[f"town#{bucket}"] for bucket in range(3)) == 1.0 for x in rows)
    words = [x for x, _ in synthetic_examples(plan_with(apply(fails_in_words, "stops", "floor")))]
    assert {x["fails_in_words=few"] for x in words} == {0.0, 1.0}


def test_rows_lack_what_is_asked_for_and_nothing_else() -> None:
    plan = plan_with(value("tip", "km"))
    assert all(len(x) == 2 for x, _ in synthetic_examples(plan, without=()))
    lacking = [x for x, _ in synthetic_examples(plan, without=("km",))]
    assert any("km" not in x for x in lacking)
    assert all("tip" in x for x in lacking)


def test_a_late_event_has_its_own_fields_and_none_of_its_past() -> None:
    plan = plan_with(value("km"), count(over="1h"), last("km"))
    late = [number for number, (x, _) in enumerate(late_examples(plan)) if len(x) == 1]
    assert late == list(LATE_ROWS)


@pytest.mark.parametrize(("field", "least", "most"), [("price", 0, 100), ("refund", -101, -1)])
def test_a_label_lies_within_its_bounds(field: str, least: float, most: float) -> None:
    labels = Labels(Fare, id="id", value=field, time="at")
    plan = plan_with(value("km"), labels=labels, model=linear_model.LinearRegression())
    found = [label for _, label in synthetic_examples(plan)]
    assert all(least <= label <= most and isinstance(label, float) for label in found)
    assert 0.0 not in found
    plain = plan_with(value("length"), labels=InEvent("km"), model=linear_model.LinearRegression())
    assert {0 <= label <= 100 for _, label in synthetic_examples(plain)} == {True}
