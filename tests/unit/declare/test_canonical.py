"""What changes a version, what does not, and what is said about it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import pytest
from pydantic import Field
from river import anomaly, linear_model, optim, preprocessing

from headrace.streams.canonical import declaration_diff
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
    majority,
    mean,
    value,
)
from headrace.streams.plan import Plan, plan_of


class Order(Event):
    """An order."""

    id: str
    shop: str
    at: datetime
    price: float
    gift: bool


class Refund(Event):
    id: str
    at: datetime
    refunded: bool


def double(price: float) -> float:
    return 2 * price


def triple(price: float) -> float:
    return 3 * price


def is_dear(event: Order) -> bool:
    return event.price > 100


def redefined(constraint: Any, doc: str = "") -> type[Event]:
    """The same class again, with a rule for the price."""
    fields = {"id": str, "shop": str, "at": datetime, "price": constraint, "gift": bool}
    return type("Order", (Event,), {"__annotations__": fields, "__doc__": doc, "__module__": "m"})


good = Pipeline(
    name="orders",
    events=Source(Order, id="id", key="shop", time="at"),
    labels=Labels(Refund, id="id", value="refunded", time="at", wait="7d"),
    features=[value("price"), mean("price", over="1h"), apply(double, "price")],
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
)


def trained() -> Any:
    model = good.model.clone()
    model.learn_one({"price": 3.0}, True)
    return model


def features(*declared: Any) -> Pipeline:
    return replace(good, features=list(declared))


CHANGES: dict[str, tuple[Callable[[], Pipeline], str]] = {
    "name": (lambda: replace(good, name="others"), "The name"),
    "lateness": (
        lambda: replace(good, events=replace(good.events, lateness="1m")), "The events",
    ),
    "rule": (
        lambda: replace(
            good,
            events=replace(good.events, event=redefined(Annotated[float, Field(gt=0)])),
        ),
        "The events",
    ),
    "window": (lambda: features(value("price"), mean("price", over="2h")), "The features"),
    "function": (
        lambda: features(*good.features[:2], apply(triple, "price", name="double")),
        "The features",
    ),
    "order": (lambda: replace(good, features=good.features[::-1]), "The features"),
    "wait": (
        lambda: replace(
            good, labels=Labels(Refund, id="id", value="refunded", time="at", wait="1d")
        ),
        "The labels",
    ),
    "label": (lambda: replace(good, labels=InEvent("gift")), "The labels"),
    "model": (lambda: replace(good, model=linear_model.LogisticRegression()), "The model"),
    "rate": (
        lambda: replace(
            good,
            model=preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.1)),
        ),
        "The model",
    ),
    "filter": (
        lambda: replace(
            good, model=anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.9)
        ),
        "The model and the decision",
    ),
    "trained": (lambda: replace(good, model=trained()), "What the model comes with"),
    "missing": (
        lambda: features(value("price"), mean("price", over="1h", missing=0.0), good.features[2]),
        "The features",
    ),
    "threshold": (lambda: replace(good, decide=Threshold(0.7)), "The decision"),
    "baseline": (lambda: replace(good, monitor=Monitor(baselines=[is_dear])), "The baselines"),
    "segment": (lambda: replace(good, monitor=Monitor(segments=["shop"])), "The segments"),
    "feature by segment": (
        lambda: replace(
            good, monitor=Monitor(segments=["shop"], features_by_segment=["price"])
        ),
        "The segments and the features by segment",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_state_depends_on_changes_the_version(case: str) -> None:
    changed, named = CHANGES[case]
    before, after = plan_of(good), plan_of(changed())
    assert before.digest != after.digest
    said = declaration_diff(before.canonical, after.canonical)
    assert said.startswith(f"{named} changed, so a new version begins: ")
    assert said.endswith("are kept.")
    assert "\n" not in said


@pytest.mark.parametrize(
    "same",
    [
        lambda: replace(good),
        lambda: replace(good, monitor=Monitor(windows=["10m", "1h"], business=Cost(1, 2))),
        lambda: replace(good, alarms=None),
        lambda: replace(good, alarms=Alarms(run_length="30d")),
        lambda: replace(good, model=good.model.clone()),
        lambda: features(value("price"), mean("price", over="1h"), apply(double, "price")),
    ],
    ids=["again", "watched", "no alarms", "alarms", "clone", "other lines"],
)
def test_what_state_does_not_depend_on_keeps_it(same: Callable[[], Pipeline]) -> None:
    before, after = plan_of(good), plan_of(same())
    assert before.digest == after.digest
    said = declaration_diff(before.canonical, after.canonical)
    assert said == "Nothing changed that state depends on: all of it is kept."


def test_a_class_is_known_by_its_fields_and_not_by_its_words() -> None:
    plans = [
        plan_of(replace(good, events=replace(good.events, event=redefined(float, doc))))
        for doc in ("One.", "Another.")
    ]
    assert plans[0].digest == plans[1].digest


def test_several_changes_are_listed() -> None:
    after = plan_of(replace(good, name="b", decide=Threshold(0.1), features=[value("price")]))
    said = declaration_diff(plan_of(good).canonical, after.canonical)
    assert said.startswith("The name, the features and the decision changed")


def answers(plan: Plan) -> list[Any]:
    return [plan.decide(score) for score in (0.0, 0.1, 0.5, 0.9)]


def test_a_score_becomes_an_answer() -> None:
    assert answers(plan_of(good)) == [False, False, True, True]
    assert answers(plan_of(replace(good, decide=Threshold(0.9)))) == [False, False, False, True]
    costs = Cost(false_positive=1, false_negative=9)
    assert answers(plan_of(replace(good, decide=costs))) == [False, True, True, True]


def test_the_likeliest_class_is_the_answer() -> None:
    plan = plan_of(good)
    assert plan.decide({"b": 0.4, "a": 0.4, "c": 0.2}) == "a"
    assert plan.decide({"b": 0.4, "a": 0.3, "c": 0.3}) == "b"


def test_segments_and_baselines_are_compiled() -> None:
    monitor = Monitor(segments=["shop", "gift"], baselines=[majority(), is_dear])
    plan = plan_of(replace(good, monitor=monitor))
    noon = datetime.fromisoformat("2024-01-01T12:00:00Z")
    event = Order(id="o", shop="s", at=noon, price=1.0, gift=True)
    assert plan.segments(event) == {"shop": "s", "gift": "True"}
    assert plan.learned_baselines == ("majority",)
    assert {name: rule(event) for name, rule in plan.rules.items()} == {"is_dear": False}


def test_topics_and_schemas_are_named() -> None:
    plan = plan_of(replace(good, events=replace(good.events, topic="shop.orders")))
    assert (plan.topics.events, plan.topics.labels) == ("shop.orders", "orders.labels")
    assert set(plan.schemas) >= {"prediction", "example", "routed_label"}
