"""Bytes become an event, or a reason: nothing is guessed."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from river import linear_model

from headrace.schemas.avro import avro_schema_of, to_avro
from headrace.schemas.codec import Codec
from headrace.streams.decoding import NAME_CHARS_MAX, VALUE_BYTES_MAX, Rejected
from headrace.streams.event import INTEGER_MAX, INTEGER_MIN, NUMBER_MAX, TEXT_MAX, Event
from headrace.streams.pipeline import InEvent, Labels, Pipeline, Source, value
from headrace.streams.plan import Plan, plan_of


class Order(Event):
    id: str
    shop: int
    at: datetime
    price: Annotated[float, Field(gt=0)] | None = None
    channel: Literal["web", "app"] = "web"
    gift: bool = False
    note: str = ""
    essay: Annotated[str, Field(max_length=5_000)] = ""
    paid_at: datetime | None = None


class Refund(Event):
    order: str
    at: datetime
    refunded: bool


def plan_with(form: str) -> Plan:
    return plan_of(
        Pipeline(
            name="orders",
            events=Source(Order, id="id", key="shop", time="at", skew="5m", format=form),  # type: ignore[arg-type]
            labels=Labels(Refund, id="order", value="refunded", time="at", format=form),  # type: ignore[arg-type]
            features=[value("price")],
            model=linear_model.LogisticRegression(),
        )
    )


JSON, AVRO = plan_with("json"), plan_with("avro")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_MS = 1_714_564_800_000
GOOD = {"id": '"o1"', "shop": "7", "at": '"2024-05-01T12:00:00Z"', "price": "9.5"}


def written(**changes: str | None) -> bytes:
    fields = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}").encode()


def test_a_good_event_is_read() -> None:
    event = JSON.decode_event(written(more="[1]"), NOON_MS)
    assert event == Order(id="o1", shop=7, at=NOON, price=9.5)
    assert (JSON.event_id(event), JSON.event_key(event)) == ("o1", "7")
    assert JSON.event_time_ms(event) == NOON_MS


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (None, "tombstone", "no value"),
        (b"", "not_json", "EOF"),
        (b'{"id": ', "not_json", "EOF"),
        (b"[]", "wrong_type", "object"),
        (b'{"id": "\xff"}', "invalid_utf8", "Byte 8"),
        (b'{"id": "\\ud800"}', "not_json", "hex escape"),
        (b" " * (VALUE_BYTES_MAX + 1), "too_large", "bytes"),
        (written(id=None), "missing_field", "id"),
        (written(id="null"), "wrong_type", "id"),
        (written(id='""'), "empty_id", "id is empty"),
        (written(id='"' + "x" * (NAME_CHARS_MAX + 1) + '"'), "too_large", "characters"),
        (written(shop='"7"'), "wrong_type", "shop"),
        (written(shop="7.5"), "wrong_type", "shop"),
        (written(shop="true"), "wrong_type", "shop"),
        (written(shop=str(INTEGER_MAX + 1)), "out_of_range", "shop"),
        (written(shop=str(INTEGER_MIN - 1)), "out_of_range", "shop"),
        (written(price='"9.5"'), "wrong_type", "price"),
        (written(price="NaN"), "not_finite", "price"),
        (written(price="Infinity"), "not_finite", "price"),
        (written(price="1e999"), "not_finite", "price"),
        (written(price="1e101"), "out_of_range", "price"),
        (written(price="0"), "out_of_range", "price"),
        (written(channel='"mail"'), "out_of_range", "channel"),
        (written(note='"' + "x" * (TEXT_MAX + 1) + '"'), "out_of_range", "at most 4096"),
        (written(essay='"' + "x" * 5_001 + '"'), "out_of_range", "at most 5000"),
        (written(gift="1"), "wrong_type", "gift"),
        (written(at='"2024-05-01T12:00:00"'), "wrong_type", "timezone"),
        (written(at="17145648"), "wrong_type", "at: 17145648 is no time: a number is read as"),
        (written(at='"2024-05-01"'), "wrong_type", "no offset from UTC"),
        (written(at="true"), "wrong_type", "at: True is no time. Write RFC 3339"),
        (written(at='"2024-13-01T12:00:00Z"'), "wrong_type", "at"),
        (written(at='"1969-12-31T23:59:59.999Z"'), "before_epoch", "1 ms before 1970"),
        (written(at='"2024-05-01T12:05:00.001Z"'), "future_event", "300 s are allowed"),
    ],
)
def test_each_way_to_be_wrong_has_its_code(data: bytes | None, code: str, said: str) -> None:
    found = JSON.decode_event(data, NOON_MS)
    assert isinstance(found, Rejected)
    assert (found.code, said in found.detail) == (code, True), found


def test_the_edges_are_in() -> None:
    assert isinstance(JSON.decode_event(written(at='"2024-05-01T12:05:00Z"'), NOON_MS), Order)
    assert isinstance(JSON.decode_event(written(at='"1970-01-01T00:00:00Z"'), NOON_MS), Order)
    assert isinstance(JSON.decode_event(written(shop=str(INTEGER_MAX)), NOON_MS), Order)
    assert isinstance(JSON.decode_event(written(price="1e100"), NOON_MS), Order)
    long = '"' + "x" * 5_000 + '"'
    assert isinstance(JSON.decode_event(written(essay=long), NOON_MS), Order)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(JSON.decode_event(data, NOON_MS), Rejected)
    assert isinstance(AVRO.decode_event(data, NOON_MS), Rejected)
    assert isinstance(JSON.decode_label(data, NOON_MS), Rejected)


moments = st.integers(0, 2**42).map(
    lambda ms: datetime.fromtimestamp(ms / 1000, timezone(timedelta(hours=5)))
)
events = st.builds(
    Order,
    id=st.text("abcé✓", min_size=1, max_size=9),
    shop=st.integers(INTEGER_MIN, INTEGER_MAX),
    at=moments,
    price=st.none() | st.floats(0, NUMBER_MAX, exclude_min=True),
    gift=st.booleans(),
    paid_at=st.none() | moments,
)


@pytest.mark.parametrize("plan", [JSON, AVRO], ids=["json", "avro"])
@given(event=events)
def test_what_is_written_is_read(plan: Plan, event: Any) -> None:
    assert plan.decode_event(plan.encode_event(event), 2**60) == event


def test_avro_has_reasons_of_its_own() -> None:
    good = AVRO.encode_event(Order(id="o1", shop=7, at=NOON))
    codes = [
        AVRO.decode_event(data, NOON_MS)[0]  # type: ignore[index]
        for data in (b"{}", good[:1] + b"\0\0\0\x63" + good[5:], good[:-3], good + b"!")
    ]
    assert codes == ["not_avro", "unknown_schema", "truncated", "trailing_bytes"]
    nan = Codec(avro_schema_of(Order), 1).encode(
        {**to_avro(Order(id="o1", shop=7, at=NOON)), "price": float("nan")}
    )
    assert AVRO.decode_event(nan, NOON_MS)[0] == "not_finite"  # type: ignore[index]


def test_avro_times_beyond_the_calendar_are_refused() -> None:
    fields = {**to_avro(Order(id="o1", shop=7, at=NOON)), "at": 2**62}
    found = AVRO.decode_event(Codec(avro_schema_of(Order), 1).encode(fields), NOON_MS)
    assert isinstance(found, Rejected)
    assert found.code == "out_of_range"


def test_registered_codecs_are_used() -> None:
    plan = plan_with("avro")
    plan.use_codecs(Codec(avro_schema_of(Order), 42), Codec(avro_schema_of(Refund), 43))
    event, label = Order(id="o", shop=1, at=NOON), Refund(order="o", at=NOON, refunded=True)
    assert plan.encode_event(event)[:5] == b"\0\0\0\0\x2a"
    assert plan.decode_label(plan.encode_label(label), NOON_MS) == label
    assert plan.encode_label(label)[:5] == b"\0\0\0\0\x2b"


def test_labels_are_read_as_strictly() -> None:
    label = JSON.decode_label(
        b'{"order": "o1", "at": "2024-05-01T12:00:00Z", "refunded": true}', NOON_MS
    )
    assert (JSON.label_id(label), JSON.label_value(label)) == ("o1", True)
    assert JSON.label_time_ms(label) == NOON_MS
    for data, code in [
        (b'{"order": "", "at": "2024-05-01T12:00:00Z", "refunded": true}', "empty_id"),
        (b'{"order": "o1", "at": "2024-05-01T12:00:00Z", "refunded": 1}', "wrong_type"),
        (b'{"order": "o1", "at": "2024-06-01T12:00:00Z", "refunded": true}', "future_event"),
        (None, "tombstone"),
    ]:
        assert JSON.decode_label(data, NOON_MS)[0] == code  # type: ignore[index]


def test_events_are_frozen_and_strict_in_python_too() -> None:
    event = Order(id="o1", shop=7, at=NOON)
    with pytest.raises(ValidationError):
        event.shop = 8  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Order(id="o1", shop="7", at=NOON)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Order(id="o1", shop=7, at=datetime(2024, 5, 1))  # noqa: DTZ001 - naive on purpose


def test_a_label_in_the_event_is_read_from_it() -> None:
    plan = plan_of(
        Pipeline(
            name="orders",
            events=Source(Order, id="id", key="shop", time="at"),
            labels=InEvent("gift"),
            features=[value("price")],
            model=linear_model.LogisticRegression(),
        )
    )
    assert plan.in_event_label(Order(id="o1", shop=7, at=NOON, gift=True)) is True
    assert (plan.labels, plan.task, plan.wait_ms, plan.label_ahead_ms) == (
        "in_event",
        "binary",
        0,
        None,
    )
