"""A feature that alone orders the labels is told, once, whatever happens in between."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

import pytest
from river import linear_model, tree

from headrace.streams.event import Event
from headrace.streams.leaks import EXAMPLES_MAX, EXAMPLES_MIN, VALUES_MAX, Suspicions, area_of
from headrace.streams.pipeline import (
    InEvent,
    Labels,
    Pipeline,
    Source,
    apply,
    category,
    count,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import parts_in_memory, replay
from headrace.streams.stages.learn import LearnStage
from tests.oracle.quality import auc

START = datetime(2024, 5, 1, tzinfo=UTC)


class Flight(Event):
    id: str
    town: str
    at: datetime
    dep_delay: float
    arr_delay: float | None = None
    gate: str = "a"


class Landing(Event):
    id: str
    at: datetime
    late: bool


def minutes(dep_delay: float) -> float:
    return dep_delay


def plan_with(*features: Any, labels: Any = None, model: Any = None) -> Plan:
    usual: list[Any] = [value("dep_delay", "arr_delay"), category("gate"), count(over="1h")]
    return plan_of(
        Pipeline(
            name="trips",
            events=Source(Flight, id="id", key="town", time="at"),
            labels=labels or Labels(Landing, id="id", value="late", time="at", wait="1d"),
            features=features or usual,
            model=model or linear_model.LogisticRegression(),
        )
    )


def flights(number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return flights with the arrival's delay filled in afterwards, beside whether it was late."""
    rng = Random(2)
    events: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for n in range(number):
        at = START + timedelta(minutes=2 * n)
        departed = rng.gauss(5, 10)
        arrived = departed + rng.gauss(0, 10)
        row = {"id": f"f{n}", "town": "t", "at": at, "gate": rng.choice("abc")}
        events.append({**row, "dep_delay": departed, "arr_delay": arrived})
        landed = at + timedelta(hours=2)
        labels.append({"id": row["id"], "at": landed, "late": arrived > 15})
    return events, labels


def test_the_area_is_that_of_all_pairs() -> None:
    rng = Random(1)
    labels = [rng.random() < 0.4 for _ in range(300)]
    scores = [round(rng.gauss(label, 1), 1) for label in labels]
    found = area_of(scores, labels, category=False)
    assert found == pytest.approx(auc(labels, scores))
    assert area_of([-score for score in scores], labels, category=False) == pytest.approx(found)


@pytest.mark.parametrize(
    ("values", "category", "area"),
    [
        ([None if n % 3 == 0 else n for n in range(90)], False, 1.0),  # null tells it
        ([n % 3 == 0 for n in range(90)], False, 1.0),
        (["landed" if n % 3 == 0 else "cancelled" for n in range(90)], True, 1.0),
        ([str(n) for n in range(90)], True, 0.5),  # each value once says nothing
        ([1.0] * 90, False, 0.5),
        ([None] * 90, True, 0.5),
    ],
)
def test_what_orders_labels(values: list[Any], category: bool, area: float) -> None:
    assert area_of(values, [n % 3 == 0 for n in range(90)], category=category) == area


def test_of_several_classes_each_two_must_be_told_apart() -> None:
    labels = ["abc"[n % 3] for n in range(90)]
    assert area_of([n % 3 for n in range(90)], labels, category=False) == 1
    assert area_of([n % 3 == 0 for n in range(90)], labels, category=False) == 0.5
    assert area_of([0.0] * 30, [True] * 30, category=False) is None


def test_a_number_that_stands_beside_the_label_is_told_and_others_are_not() -> None:
    events, labels = flights(700)
    result = replay(plan_with().pipeline, events, labels, step="1h")
    told = {name: area for name, area in result.summary.items() if name.startswith("leak")}
    assert told == {"leak.arr_delay": 1.0}
    records = [each for each in result.metrics if each["metric"] == "leak.arr_delay"]
    assert {each["window"] for each in records} == {"all"}


def test_without_a_leak_nothing_is_told() -> None:
    events, labels = flights(700)
    plan = plan_with(value("dep_delay"), category("gate"), apply(minutes, "dep_delay"))
    result = replay(plan.pipeline, events, labels, step="1h")
    assert not [name for name in result.summary if name.startswith("leak")]


def examples(plan: Plan, number: int) -> list[dict[str, Any]]:
    events, labels = flights(number)
    return list(replay(plan.pipeline, events, labels, step="1h").examples)


def test_it_is_told_once_and_a_restart_changes_nothing() -> None:
    plan = plan_with()
    given = examples(plan, EXAMPLES_MAX + 100)
    whole, told = Suspicions(plan), []
    parted, again = Suspicions(plan), []
    for number, example in enumerate(given):
        told += [(number, name) for name in whole.take(example)]
        again += [(number, name) for name in parted.take(example)]
        if number % 90 == 0:
            parted = Suspicions(plan, parted.state())
        assert parted.state() == whole.state()
    assert told == again == [(EXAMPLES_MAX // 2 - 1, "arr_delay")]
    assert whole.over
    assert whole.state()["rows"] == []


def test_what_is_kept_is_bounded_and_part_of_the_checkpoint() -> None:
    many = plan_with(*[value("dep_delay", name=f"d{n}") for n in range(90)])
    assert Suspicions(many)._last == EXAMPLES_MIN
    some = plan_with(*[value("dep_delay", name=f"d{n}") for n in range(20)])
    assert Suspicions(some)._last == VALUES_MAX // 20
    plan = plan_with()
    parts = parts_in_memory(plan, 1)
    stage = LearnStage(plan, parts.codecs, 1, 1, parts.dumps, parts.loads)
    assert parts.loads(stage.dump())["suspicions"] == Suspicions(plan).state()
    older = {name: part for name, part in parts.loads(stage.dump()).items() if name != "suspicions"}
    stage.reset(parts.dumps(older))
    assert parts.loads(stage.dump())["suspicions"] == Suspicions(plan).state()


def test_numbers_to_be_predicted_are_not_looked_at() -> None:
    numbers = Suspicions(numbers_plan())
    assert numbers.over
    assert numbers.take({"label": 1.0, "features": {}}) == {}


class Ride(Event):
    id: str
    town: str
    at: datetime
    km: float
    price: float
    kind: Literal["a", "b", "c"]


def numbers_plan(label: str = "price", model: Any = None) -> Plan:
    return plan_of(
        Pipeline(
            name="rides",
            events=Source(Ride, id="id", key="town", time="at"),
            labels=InEvent(label),
            features=[value("km")],
            model=model or linear_model.LinearRegression(),
        )
    )


def test_examples_without_a_label_and_too_few_classes_are_passed_over() -> None:
    found = Suspicions(numbers_plan("kind", tree.HoeffdingTreeClassifier()))
    assert found.take({"label": None, "features": {"km": 1.0}}) == {}
    for number in range(EXAMPLES_MAX):
        assert found.take({"label": "a", "features": {"km": float(number)}}) == {}
    assert found.over
