"""A pipeline's features, from an event and its entity's state to what the model sees."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zlib import crc32

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, preprocessing, stats

from headrace.streams.event import Event
from headrace.streams.features.declared import Feature
from headrace.streams.features.values import FeatureError
from headrace.streams.pipeline import (
    InEvent,
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
    minimum,
    since_last,
    std,
    total,
    value,
    window,
)
from headrace.streams.plan import Plan, plan_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Order(Event):
    id: str = "o"
    shop: str = "s"
    at: datetime = EPOCH
    price: float | None = None
    items: int = 1
    gift: bool = False
    channel: Literal["web", "app"] = "web"
    note: str | None = None


def per_item(price: float, items: int) -> float | None:
    return price / items if items else None


def size(items: int) -> Literal["small", "large"]:
    return "small" if items < 5 else "large"


def many(items: int) -> bool:
    return items > 3


def twice(items: int) -> int:
    return 2 * items


def whole(items: int) -> float:
    return items


def liar(items: int) -> int:
    return items / 2  # type: ignore[return-value]


def endless(price: float) -> float:
    return price * 1e300


def by_table(items: int) -> int:
    return {1: 2}[items]


def exhausting(items: int) -> int:
    raise MemoryError


def plan_with(*features: Any, lateness: str = "10m") -> Plan:
    return plan_of(
        Pipeline(
            name="orders",
            events=Source(Order, id="id", key="shop", time="at", lateness=lateness),
            labels=InEvent("gift"),
            features=list(features),
            model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        )
    )


def at(minutes: float, **fields: Any) -> Order:
    return Order(at=EPOCH + timedelta(minutes=minutes), **fields)


def fold(plan: Plan, events: list[Order]) -> tuple[list[dict[str, Any]], list[bool], Any]:
    """All records of one entity's events, in order of arrival."""
    state, records, lates = None, [], []
    for event in events:
        row, inputs = plan.features.derive(event)
        state, late = plan.features.step(state, row, inputs, plan.event_time_ms(event))
        state = msgpack.unpackb(msgpack.packb(state))
        records.append(plan.features.record(row))
        lates.append(late)
    return records, lates, state


def test_names_follow_one_rule() -> None:
    features = [
        *value("price"), category("note"), log1p("price"), hour("at"), apply(per_item, "price"),
        count(over="1h"), total("price", over="1h"), mean("price", over="3h"),
        minimum("price", over="1h"), maximum("price", over="1h"), std("price", over="1h"),
        distinct("note", over="7d"), since_last(), last("price"),
        *window("price", over="2h", agg="sum"), mean("price", over="1h", name="own"),
    ]  # fmt: skip
    assert [feature.name for feature in features] == [
        "price", "note", "log1p_price", "hour_at", "per_item",
        "count_1h", "sum_price_1h", "mean_price_3h", "min_price_1h", "max_price_1h",
        "std_price_1h", "distinct_note_7d", "since_last_s", "last_price", "sum_price_2h", "own",
    ]  # fmt: skip


def test_kinds_are_those_of_fields_and_functions() -> None:
    plan = plan_with(
        value("price", "items"), category("channel"), hour("at"), count(over="1h"),
        mean("items", over="1h"), last("items"), last("note"), apply(per_item, "price", "items"),
        apply(size, "items"), apply(many, "items"), apply(twice, "items"),
    )  # fmt: skip
    assert [kind for _, kind in plan.feature_fields] == [
        "number", "integer", "category", "integer", "integer",
        "number", "integer", "category", "number", "category", "boolean", "integer",
    ]  # fmt: skip


def test_features_without_a_past() -> None:
    plan = plan_with(
        value("price", "items"),
        log1p("price"),
        hour("at", tz="Asia/Kolkata"),
        apply(per_item, "price", "items"),
        apply(size, "items"),
        apply(whole, "items"),
    )
    records, _, _ = fold(plan, [at(60, price=8.0, items=4), at(61), at(62, price=-1.0, items=0)])
    assert records[0] == {
        "price": 8.0, "items": 4, "log1p_price": pytest.approx(2.1972245773362196),
        "hour_at": 6, "per_item": 2.0, "size": "small", "whole": 4.0,
    }  # fmt: skip
    assert type(records[0]["whole"]) is float
    assert [records[1][name] for name in ("price", "log1p_price", "per_item")] == [None] * 3
    assert [records[2][name] for name in ("log1p_price", "per_item")] == [None] * 2


def test_what_a_function_promises_is_held() -> None:
    said = {
        liar: "TypeError: it returned 1.5 and promises int.",
        endless: "ValueError: it returned inf, which is no finite number.",
        by_table: "KeyError: 3.",
    }
    for function, why in said.items():
        plan = plan_with(apply(function, "price" if function is endless else "items"))
        with pytest.raises(FeatureError) as error:
            plan.features.derive(at(0, price=1e99, items=3))
        name = function.__name__
        assert str(error.value) == f"feature {name}, function {name}: {why}"


def test_memory_that_runs_out_in_a_function_is_no_fault_of_its_own() -> None:
    with pytest.raises(MemoryError):
        plan_with(apply(exhausting, "items")).features.derive(at(0, price=1.0, items=3))


def test_windows_share_tiles_and_tell_current_apart() -> None:
    plan = plan_with(
        count(over="1h"),
        count(over="1h", current=False, name="before"),
        total("price", over="1h"),
        mean("items", over="1h", current=False),
        std("price", over="2h"),
    )
    records, lates, state = fold(
        plan, [at(0, price=1.0, items=2), at(30, price=3.0, items=4), at(70, price=None, items=6)]
    )
    assert records == [
        {"count_1h": 1, "before": 0, "sum_price_1h": 1.0, "mean_items_1h": None,
         "std_price_2h": None},
        {"count_1h": 2, "before": 1, "sum_price_1h": 4.0, "mean_items_1h": 2.0,
         "std_price_2h": pytest.approx(2**0.5)},
        {"count_1h": 2, "before": 1, "sum_price_1h": 3.0, "mean_items_1h": 4.0,
         "std_price_2h": pytest.approx(2**0.5)},
    ]  # fmt: skip
    assert lates == [False] * 3
    assert len(state[2]) == 2  # one group of tiles for each width


def test_one_aggregate_alone_and_one_set_for_two_counts() -> None:
    plan = plan_with(
        maximum("price", over="1h"),
        minimum("items", over="2h", current=False),
        distinct("note", over="1h"),
        distinct("note", over="1h", current=False, name="before"),
    )
    records, _, state = fold(
        plan, [at(0, price=1.0, note="a"), at(1, price=3.0, items=0, note="b"), at(2, note="b")]
    )
    assert [tuple(record.values()) for record in records] == [
        (1.0, None, 1, 0),
        (3.0, 1.0, 2, 1),
        (3.0, 0.0, 2, 2),
    ]
    assert len(state[3]) == 1


def test_the_event_before_this_one() -> None:
    plan = plan_with(since_last(), last("price"), last("note"), lateness="10m")
    records, lates, _ = fold(
        plan,
        [
            at(0, price=1.0, note="a"),
            at(5, note="b"),
            at(2, price=9.0, note="c"),  # out of order: what came before it is not known
            at(6, price=4.0),
        ],
    )
    assert [tuple(record.values()) for record in records] == [
        (None, None, None),
        (300.0, 1.0, "a"),
        (None, None, None),
        (60.0, 1.0, "b"),
    ]
    assert lates == [False] * 4


def test_a_late_event_changes_nothing() -> None:
    plan = plan_with(
        value("items"), count(over="1h"), distinct("note", over="1h"), since_last(), last("items")
    )
    on_time = [at(0, items=1, note="a"), at(30, items=2, note="b")]
    _, _, before = fold(plan, on_time)
    records, lates, after = fold(plan, [*on_time, at(19.9, items=7, note="z")])
    assert lates == [False, False, True]
    assert records[2] == {
        "items": 7, "count_1h": None, "distinct_note_1h": None, "since_last_s": None,
        "last_items": None,
    }  # fmt: skip
    assert after == before
    assert fold(plan, [*on_time, at(20, items=7)])[1][2] is False  # the edge is in time


steps = st.lists(
    st.tuples(st.integers(-12, 30), st.none() | st.floats(-1e3, 1e3), st.sampled_from("abc")),
    min_size=1,
    max_size=30,
)


@given(steps)
def test_late_events_might_as_well_not_have_come(steps: list[tuple[int, Any, str]]) -> None:
    plan = plan_with(
        mean("price", over="1h"), distinct("note", over="2h"), since_last(), last("note")
    )
    now, events = 100, []
    for step, price, note in steps:
        now += step
        events.append(at(max(0, now), price=price, note=note))
    records, lates, state = fold(plan, events)
    in_time = [position for position, late in enumerate(lates) if not late]
    again, none_late, same = fold(plan, [events[position] for position in in_time])
    assert not any(none_late)
    assert again == [records[position] for position in in_time]
    assert same == state


def test_a_record_gives_its_row_back() -> None:
    plan = plan_with(value("price", "items"), category("channel"), count(over="1h"))
    row, inputs = plan.features.derive(at(0, items=3))
    plan.features.step(None, row, inputs, 0)
    assert plan.features.row(plan.features.record(row)) == row == [None, 3, "web", 1]


def test_the_door_sees_floats_and_no_nulls() -> None:
    plan = plan_with(value("price", "items"), apply(many, "items"), category("note", top=2))
    row, _ = plan.features.derive(at(0, items=4))
    keys = plan.features.door(row)
    assert keys == {"items": 4.0, "many": 1.0}
    assert {type(seen) for seen in keys.values()} == {float}


def test_categories_are_dense() -> None:
    plan = plan_with(
        category("channel"),
        category("shop", values=["a", "b"]),
        category("note", top=3),
        apply(size, "items"),
    )
    row, _ = plan.features.derive(at(0, channel="app", shop="z", note="x", items=9))
    bucket = crc32(b"x") % 3
    assert plan.features.door(row) == {
        "channel=web": 0.0, "channel=app": 1.0,
        "shop=a": 0.0, "shop=b": 0.0, "shop=other": 1.0,
        **{f"note#{number}": float(number == bucket) for number in range(3)},
        "size=small": 0.0, "size=large": 1.0,
    }  # fmt: skip


def test_null_can_be_filled_in() -> None:
    plan = plan_with(value("price", missing=-1.0), value("price", missing="mean", name="filled"))
    row, _ = plan.features.derive(at(0))
    assert plan.features.door(row) == {"price": -1.0, "filled": None}
    model = plan.new_model()
    model.learn_one({"price": 2.0, "filled": 6.0}, True)
    assert next(iter(model.steps.values())).transform_one({"price": 2.0, "filled": None}) == {
        "price": 2.0,
        "filled": 6.0,
    }


def test_null_can_be_filled_in_wherever_a_number_can_be_null() -> None:
    declared = [
        log1p("price", missing=1), hour("at", missing=2), apply(twice, "items", missing=3),
        count(over="1h", missing=4), total("price", over="1h", missing=5),
        mean("price", over="1h", missing=6), minimum("price", over="1h", missing=7),
        maximum("price", over="1h", missing=8), std("price", over="1h", missing=9),
        distinct("shop", over="1h", missing=10), since_last(missing=11), last("price", missing=12),
        *window("price", over="2h", agg="mean", missing="mean"),
    ]  # fmt: skip
    plan = plan_with(*declared)
    door = plan.features.door([None] * len(declared))
    assert list(door.values()) == [*map(float, range(1, 13)), None]
    assert "StatImputer" in plan.new_model().steps


def test_an_integer_that_is_a_code_is_a_category() -> None:
    plan = plan_with(category("items", values=[1, 20]), category("items", top=3, name="hashed"))  # type: ignore[list-item]
    row, _ = plan.features.derive(at(0, items=20))
    assert row == ["20", "20"]
    bucket = crc32(b"20") % 3
    assert plan.features.door(row) == {
        "items=1": 0.0, "items=20": 1.0, "items=other": 0.0,
        **{f"hashed#{number}": float(number == bucket) for number in range(3)},
    }  # fmt: skip
    assert plan.features.row(plan.features.record(row)) == row


def test_new_models_share_nothing() -> None:
    plan = plan_with(value("price", missing="mean"))
    taught, fresh = plan.new_model(), plan.new_model()
    taught.learn_one({"price": 6.0}, True)
    assert fresh.predict_proba_one({"price": 6.0}) == {False: 0.5, True: 0.5}
    assert next(iter(fresh.steps.values())).transform_one({"price": None}) == {"price": 0.0}


def test_new_models_share_nothing_of_the_declared_one() -> None:
    """River's clones share statistics that stand in tuples."""
    plan = plan_with(value("price"))
    imputer = preprocessing.StatImputer(("price", stats.Mean()))  # type: ignore[no-untyped-call]
    own = plan_of(replace(plan.pipeline, model=imputer | linear_model.LogisticRegression()))
    own.new_model().learn_one({"price": 6.0}, True)
    fresh = next(iter(own.new_model().steps.values()))
    assert fresh.transform_one({"price": None}) == {"price": 0.0}


def test_a_plan_without_windows_has_no_past() -> None:
    assert not plan_with(value("price")).features.stateful
    assert plan_with(value("price"), since_last()).features.stateful


def test_features_are_made_by_functions_and_know_their_line() -> None:
    made = mean("price", over="1h")
    assert made == Feature("mean", "mean_price_1h", ("price",), over="1h")
    assert "test_program.py, line " in made.place
